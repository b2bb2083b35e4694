"""Turns records of JSON text into typed items, or says why not."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from itertools import chain, repeat
from operator import attrgetter, ne
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw
from msgspec.json import encode
from msgspec.structs import fields as struct_fields

from coinspider.errors import CoercionError
from coinspider.records.record import (
    RECORD_SIZE_MAX,
    FieldSetAside,
    Made,
    Record,
    Source,
    cut_object,
)
from coinspider.records.table_item import (
    AMOUNT,
    INTEGER,
    LOCAL_TIME,
    NULL,
    TIME,
    TableItem,
    columns,
    fields_without_column,
    is_too_fine,
)

DIGITS_MAX = 1000
_NUL = rb"(?<!\\)(?:\\\\)*\\u0000"
_adjusted = Decimal.adjusted
_NUMBER = rb'("?)(-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,2})?)\1'
_NOT_FINITE = rb"-?(?:NaN|Infinity)"
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode
_is_finite = Decimal.is_finite
_microsecond = attrgetter("microsecond")
_TOO_FINE = "a time of more than microseconds"


class Field(NamedTuple):
    """How one field of a record is read."""

    column: str
    nullable: bool
    decode: Callable[[bytes], object]


class ItemShape(NamedTuple):
    """How records become items of a class."""

    item_class: type[TableItem]
    digits_max: int
    decode: Callable[[bytes], TableItem]
    # Fails on fields that the item does not declare.
    decode_strictly: Callable[[bytes], TableItem]
    decode_list: Callable[[bytes], list[TableItem]]
    """The same for several records."""
    fields: dict[str, Field]
    """By their JSON keys."""
    integer_keys: frozenset[str]
    amounts: Callable[[TableItem], tuple[Decimal | None, ...]]
    times: Callable[[TableItem], tuple[datetime | None, ...]]
    # The fields that a record itself doesn't set, except by accident, and their defaults.
    unsent: Callable[[TableItem], tuple[object, ...]]
    defaults: tuple[object, ...]
    without_column: dict[str, str]
    no_columns: Callable[[TableItem], tuple[object, ...]]
    # Their values if all are null, and ``extra`` in that case, which is that of most records.
    nulls: tuple[Raw, ...]
    extra_of_nulls: Raw

    def finish(self, items: Sequence[TableItem]) -> None:
        """Give strict items their declared class, and put what has no column into ``extra``."""
        item_class, no_columns, nulls = self.item_class, self.no_columns, self.nulls
        for item in items:
            item.__class__ = item_class
            values = no_columns(item)
            if values == nulls:
                item.extra = self.extra_of_nulls
            else:
                named = zip(self.without_column.values(), values, strict=True)
                item.extra = Raw(encode({key: value for key, value in named if value is not UNSET}))
            for name in self.without_column:
                setattr(item, name, UNSET)


@cache
def item_shape(
    item_class: type[TableItem], constants: frozenset[str], digits_max: int
) -> ItemShape:
    unsent = [field for field in struct_fields(item_class) if field.name in {"extra", *constants}]
    sent = [c for c in columns(item_class) if c.name != "extra" and c.name not in constants]
    types = {field.name: field.type for field in struct_fields(item_class)}
    strict: Any = msgspec.defstruct("Strict", [], bases=(item_class,), forbid_unknown_fields=True)
    without = fields_without_column(item_class)
    return ItemShape(
        item_class=item_class,
        digits_max=digits_max,
        decode=msgspec.json.Decoder(item_class).decode,
        decode_strictly=msgspec.json.Decoder(strict).decode,
        decode_list=msgspec.json.Decoder(list[strict]).decode,
        fields={
            c.json_key: Field(
                c.name,
                nullable=not (c.required or c.primary_key),
                decode=msgspec.json.Decoder(types[c.name]).decode,
            )
            for c in sent
        },
        integer_keys=frozenset(c.json_key for c in sent if c.type is INTEGER),
        amounts=_tuple_getter([c.name for c in sent if c.type is AMOUNT]),
        times=_tuple_getter([c.name for c in sent if c.type in (TIME, LOCAL_TIME)]),
        unsent=_tuple_getter([field.name for field in unsent]),
        defaults=tuple(field.default for field in unsent),
        without_column=without,
        no_columns=_tuple_getter(list(without)),
        nulls=(NULL,) * len(without),
        extra_of_nulls=Raw(encode(dict.fromkeys(without.values(), NULL))),
    )


def _tuple_getter(names: list[str]) -> Callable[[object], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    get = attrgetter(names[0]) if names else None
    return lambda item: (get(item),) if get else ()


def coerce(record: Record, by_field: bool = False, digits_max: int = DIGITS_MAX) -> TableItem:
    """Make a record's item; amounts keep every digit of their text.

    An amount has at most ``digits_max`` digits, and at most that many before and after the point.

    Raises :exc:`CoercionError` if a value does not fit its field, and for what PostgreSQL
    can't hold: a NUL character, bytes that are not UTF-8, ``NaN``. With ``by_field``, a value that
    does not fit costs only its field, if that may be null: its text is then in ``extra`` and in
    ``set_aside``.
    """
    made, record.made = record.made, None
    if made and made.text is record.text and made.source is record.source:
        item = made.item
    else:
        item = _coerce_alone(record, by_field, digits_max)
    if record.repeated:
        item.__dict__["repeated"] = True
    return item


def prepare(records: Sequence[Record], digits_max: int = DIGITS_MAX) -> None:
    """Make the items of a page's records at once, for :func:`coerce` to use.

    This takes two thirds of the time. If one record is not as declared, all of them are left to
    ``coerce``, which says which one it is, and why.
    """
    source, texts = records[0].source, [record.text for record in records]
    shape = item_shape(source.item_class, frozenset(source.constants), digits_max)
    views: Iterable[memoryview] = map(memoryview, texts)
    longest = max(map(len, views))
    items = _decode_plain(b"[" + b",".join(texts) + b"]", longest, shape)
    if len(items) != len(records):
        return
    _attribute(items, source)
    for record, text, item in zip(records, texts, items, strict=True):
        record.made = Made(text, source, item)


def _attribute(items: Sequence[TableItem], source: Source) -> None:
    """Set what is not in the record itself."""
    for name, value in source.constants.items():
        for item in items:
            setattr(item, name, value)
    for item in items:
        item.__dict__["source"] = source


def _decode_plain(text: bytes, longest: int, shape: ItemShape) -> list[TableItem]:
    """The items of a list of records; none if any of them needs a closer look."""
    if len(text) > RECORD_SIZE_MAX:
        return []
    try:
        check_text(text)
        items = shape.decode_list(text)
    except (CoercionError, msgspec.DecodeError, RecursionError):
        return []
    if any(map(ne, map(shape.unsent, items), repeat(shape.defaults))):
        return []
    amounts = list(filter(None, chain.from_iterable(map(shape.amounts, items))))
    if not all(map(_is_finite, amounts)) or is_too_long(longest, amounts, shape.digits_max):
        return []
    if _is_rounded(text, chain.from_iterable(map(shape.times, items))):
        return []
    shape.finish(items)
    return items


def _coerce_alone(record: Record, by_field: bool, digits_max: int) -> TableItem:
    source, text = record.source, bytes(record.text)
    shape = item_shape(source.item_class, frozenset(source.constants), digits_max)
    item = decode_alone(text, shape, by_field)
    _attribute([item], source)
    return item


def decode_alone(text: bytes, shape: ItemShape, by_field: bool) -> TableItem:
    if len(text) > RECORD_SIZE_MAX:
        raise CoercionError(f"{len(text)} bytes, more than the {RECORD_SIZE_MAX} of a record")
    check_text(text)
    try:
        return _decode_all(text, shape)
    except CoercionError as error:
        if not by_field:
            raise
        return _decode_each(text, shape, error)


def check_text(text: bytes) -> None:
    """Raise :exc:`CoercionError` for bytes that are not UTF-8, and for a NUL character."""
    # The plain searches first: they are cheap, and hardly ever find anything.
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise CoercionError(str(error)) from None
    if b"\\" in text and b"\\u0000" in text and re.search(_NUL, text):
        raise CoercionError("a NUL character, which PostgreSQL can't store")


def is_too_long(size: int, amounts: list[Decimal], digits_max: int) -> bool:
    """Whether an amount in a text of this size has too many digits, or too large an exponent.

    A few characters, such as 1e131000, become 131,001 digits wherever they are shown.
    """
    if max(map(abs, set(map(_adjusted, amounts))), default=0) > digits_max:
        return True
    # The text of a number is at least as long as its digits, and much faster to get.
    return digits_max < size and any(
        len(amount.as_tuple().digits) > digits_max
        for amount in amounts
        if len(str(amount)) > digits_max
    )


def _decode_all(text: bytes, shape: ItemShape) -> TableItem:
    try:
        item = _decode(text, shape)
    except msgspec.DecodeError as error:
        raise CoercionError(_in_plain_words(error)) from None
    except RecursionError as error:
        raise CoercionError(str(error)) from None
    amounts = list(filter(None, shape.amounts(item)))
    if not all(map(_is_finite, amounts)):
        raise CoercionError(f"{_not_finite(text)}: not a finite number")
    if is_too_long(len(text), amounts, shape.digits_max):
        raise CoercionError(_too_long(shape))
    if _is_rounded(text, shape.times(item)):
        raise CoercionError(_TOO_FINE)
    return item


def _is_rounded(text: bytes, times: Iterable[datetime | None]) -> bool:
    """Whether one of these times, read from the text, may have lost digits."""
    # Hardly any API sends more than milliseconds, and a search of the text takes longer.
    fractions = set(map(_microsecond, filter(None, times)))
    return any(fraction % 1000 for fraction in fractions) and is_too_fine(text)


def _too_long(shape: ItemShape) -> str:
    return f"a number of more than {shape.digits_max} digits (AMOUNT_DIGITS_MAX)"


def _decode(text: bytes, shape: ItemShape) -> TableItem:
    try:
        item = shape.decode_strictly(text)
    except msgspec.ValidationError:
        return _decode_any(text, shape)
    if shape.unsent(item) != shape.defaults:
        return _decode_any(text, shape)
    shape.finish([item])
    return item


def _decode_any(text: bytes, shape: ItemShape) -> TableItem:
    """A record with fields that the item does not declare, or with integers of another form."""
    fields = _decode_object(text)
    extra = {key: value for key, value in fields.items() if key not in shape.fields}
    try:
        item = shape.decode(text)
    except msgspec.ValidationError:
        item = shape.decode(_encode(_repaired(fields, shape)))
    for name in shape.without_column:
        setattr(item, name, UNSET)
    item.extra = Raw(_encode(extra))
    return item


def _repaired(fields: dict[str, Raw], shape: ItemShape) -> dict[str, Raw | int]:
    return {
        key: _as_integer(text) if key in shape.integer_keys else text
        for key, text in fields.items()
        if key in shape.fields
    }


def _as_integer(text: Raw) -> Raw | int:
    """The integer for ``21000000.0``, ``1e3`` or ``"7"``; anything else unchanged."""
    number = re.fullmatch(_NUMBER, bytes(text))
    if number is None:
        return text
    value = Decimal(number[2].decode())
    return int(value) if value == value.to_integral_value() else text


def _not_finite(text: bytes) -> str:
    """The keys of strings that ``Decimal`` takes for NaN or infinity."""
    words, fields = (b"nan", b"inf"), _decode_object(text)
    return ", ".join(k for k, v in fields.items() if any(w in bytes(v).lower() for w in words))


def _in_plain_words(error: msgspec.DecodeError) -> str:
    """``Expected `int`, got `str` - at `$.rank` `` becomes ``rank: expected int, got str``."""
    message, _, path = str(error).replace("`", "").partition(" - at ")
    return f"{path.removeprefix('$.')}: {message}" if path else message


def _decode_each(text: bytes, shape: ItemShape, error: CoercionError) -> TableItem:
    """The record that caused ``error``, without the bad fields that it can do without."""
    found = _cut(text)
    aside: dict[str, FieldSetAside] = {}
    for key in found.keys() & shape.fields.keys():
        field, value = shape.fields[key], bytes(found[key])
        if reason := _fault(key, value, shape):
            if not field.nullable:
                raise CoercionError(f"{key}: {reason}")
            aside[key] = FieldSetAside(field.column, value, f"{key}: {reason}")
            del found[key]
    if not aside:
        raise error
    item = _decode_all(_encode(found), shape)
    extra = _decode_object(bytes(item.extra))
    too_long = _too_long(shape)
    extra |= {key: _as_json(each.text, too_long in each.reason) for key, each in aside.items()}
    item.extra = Raw(_encode(extra))
    item.__dict__["set_aside"] = tuple(aside.values())
    return item


def _cut(text: bytes) -> dict[str, Raw]:
    """The texts of a record's fields; none if one is neither JSON, NaN nor infinity."""
    try:
        fields = dict(cut_object(text) or {})
        for value in map(bytes, fields.values()):
            if not re.fullmatch(_NOT_FINITE, value):
                msgspec.json.decode(value, type=Raw)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return {}
    return {key: Raw(value) for key, value in fields.items()}


def _fault(key: str, text: bytes, shape: ItemShape) -> str | None:
    """Why a value does not fit its field."""
    if re.fullmatch(_NOT_FINITE, text):
        return "not a finite number"
    whole = _as_integer(Raw(text)) if key in shape.integer_keys else text
    try:
        value = shape.fields[key].decode(whole if isinstance(whole, bytes) else _encode(whole))
    except msgspec.DecodeError as error:
        return _in_plain_words(error)
    if isinstance(value, datetime) and is_too_fine(text):
        return _TOO_FINE
    if not isinstance(value, Decimal):
        return None
    if not value.is_finite():
        return "not a finite number"
    return _too_long(shape) if is_too_long(len(text), [value], shape.digits_max) else None


def _as_json(text: bytes, is_number: bool) -> Raw:
    """Numbers that JSON or PostgreSQL doesn't have, as strings."""
    return Raw(_encode(text.decode()) if is_number or re.fullmatch(_NOT_FINITE, text) else text)
