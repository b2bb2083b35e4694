"""One record of JSON text to one typed item, or the reason why not."""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import fields as struct_fields

from coinspider.errors import CoercionError
from coinspider.records.column_types import AMOUNT, INTEGER
from coinspider.records.record import RECORD_SIZE_MAX, Record, cut_object
from coinspider.records.rejected_record import FieldSetAside
from coinspider.records.table_item import TableItem, columns, fields_without_column

_NUMBER = re.compile(rb'("?)(-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,2})?)\1')
_NOT_FINITE = re.compile(rb"-?(?:NaN|Infinity)")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode
_is_finite = Decimal.is_finite
_adjusted = Decimal.adjusted
DIGITS_MAX = 1000


class _Field(NamedTuple):
    """What coercion needs to know of one field of a record."""

    column: str
    nullable: bool
    decode: Callable[[bytes], Any]


class _Shape(NamedTuple):
    """What coercion needs to know of an item class, found out once."""

    item_class: type[TableItem]
    digits_max: int
    decode: Callable[[bytes], TableItem]
    # Refuses fields that the item does not declare.
    decode_strictly: Callable[[bytes], TableItem]
    fields: dict[str, _Field]
    """By their JSON keys."""
    integer_keys: frozenset[str]
    amounts: Callable[[TableItem], tuple[Decimal | None, ...]]
    # What a record does not set, unless by accident, and its values.
    unsent: Callable[[TableItem], tuple[Any, ...]]
    defaults: tuple[Any, ...]
    without_column: dict[str, str]


@cache
def _shape(item_class: type[TableItem], constants: frozenset[str], digits_max: int) -> _Shape:
    unsent = [field for field in struct_fields(item_class) if field.name in {"extra", *constants}]
    sent = [c for c in columns(item_class) if c.name != "extra" and c.name not in constants]
    types = {field.name: field.type for field in struct_fields(item_class)}
    strict: Any = msgspec.defstruct("Strict", [], bases=(item_class,), forbid_unknown_fields=True)
    return _Shape(
        item_class=item_class,
        digits_max=digits_max,
        decode=msgspec.json.Decoder(item_class).decode,
        decode_strictly=msgspec.json.Decoder(strict).decode,
        fields={
            c.json_key: _Field(
                c.name,
                nullable=not (c.required or c.primary_key),
                decode=msgspec.json.Decoder(types[c.name]).decode,
            )
            for c in sent
        },
        integer_keys=frozenset(c.json_key for c in sent if c.type is INTEGER),
        amounts=_tuple_getter([c.name for c in sent if c.type is AMOUNT]),
        unsent=_tuple_getter([field.name for field in unsent]),
        defaults=tuple(field.default for field in unsent),
        without_column=fields_without_column(item_class),
    )


def _tuple_getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda item: tuple(getattr(item, name) for name in names)


def coerce(record: Record, by_field: bool = False, digits_max: int = DIGITS_MAX) -> TableItem:
    """Make the item that a record stands for; amounts keep every digit of their text.

    An amount has at most ``digits_max`` digits, and places before and after the point.

    Raises :exc:`CoercionError` where a value does not fit its field, and for what PostgreSQL
    can't hold: a NUL character, bytes that are not UTF-8, ``NaN``. With ``by_field`` a value that
    does not fit costs only its field, where that may be null: the item then has its text in
    ``extra`` and in ``set_aside``.
    """
    source = record.source
    shape = _shape(source.item_class, frozenset(source.constants), digits_max)
    text = bytes(record.text)
    if len(text) > RECORD_SIZE_MAX:
        raise CoercionError(f"{len(text)} bytes, more than the {RECORD_SIZE_MAX} of a record")
    _check_text(text)
    try:
        item = _decode_all(text, shape)
    except CoercionError as error:
        if not by_field:
            raise
        item = _decode_each(text, shape, error)
    for name, value in source.constants.items():
        setattr(item, name, value)
    item.__dict__["source"] = source
    if record.repeated:
        item.__dict__["repeated"] = True
    return item


def _decode_all(text: bytes, shape: _Shape) -> TableItem:
    try:
        item = _decode(text, shape)
    except msgspec.DecodeError as error:
        raise CoercionError(_in_plain_words(error)) from None
    except RecursionError as error:
        raise CoercionError(str(error)) from None
    amounts = list(filter(None, shape.amounts(item)))
    if not all(map(_is_finite, amounts)):
        raise CoercionError(f"{_not_finite(text)}: not a finite number")
    if amounts and _is_too_long(len(text), amounts, shape.digits_max):
        raise CoercionError(_too_long(shape))
    return item


def _is_too_long(size: int, amounts: list[Decimal], digits_max: int) -> bool:
    """A few characters, such as 1e131000, become 131,001 digits wherever they are shown."""
    longest = max(map(abs, map(_adjusted, amounts)))
    if longest <= digits_max < size:
        longest = max(len(amount.as_tuple().digits) for amount in amounts)
    return longest > digits_max


def _too_long(shape: _Shape) -> str:
    return f"a number of more than {shape.digits_max} digits (AMOUNT_DIGITS_MAX)"


def _decode_each(text: bytes, shape: _Shape, error: CoercionError) -> TableItem:
    """The record of which ``error`` tells, without those fields that it can do without."""
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


def _cut(text: bytes) -> dict[str, Any]:
    """The texts of a record's fields, each JSON but for NaN and infinity; else none at all."""
    try:
        fields = dict(cut_object(text) or {})
        for value in map(bytes, fields.values()):
            if not _NOT_FINITE.fullmatch(value):
                msgspec.json.decode(value, type=Raw)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return {}
    return {key: Raw(value) for key, value in fields.items()}


def _fault(key: str, text: bytes, shape: _Shape) -> str | None:
    """Why a value does not fit its field."""
    if _NOT_FINITE.fullmatch(text):
        return "not a finite number"
    whole = _as_integer(Raw(text)) if key in shape.integer_keys else text
    try:
        value = shape.fields[key].decode(whole if isinstance(whole, bytes) else _encode(whole))
    except msgspec.DecodeError as error:
        return _in_plain_words(error)
    if not isinstance(value, Decimal):
        return None
    if not value.is_finite():
        return "not a finite number"
    return _too_long(shape) if _is_too_long(len(text), [value], shape.digits_max) else None


def _as_json(text: bytes, is_number: bool) -> Raw:
    """As a string what JSON, or PostgreSQL, has no number for."""
    return Raw(_encode(text.decode()) if is_number or _NOT_FINITE.fullmatch(text) else text)


def _check_text(text: bytes) -> None:
    # The plain searches first: they take next to nothing, and hardly ever find anything.
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise CoercionError(str(error)) from None
    if b"\\" in text and b"\\u0000" in text and _NUL.search(text):
        raise CoercionError("a NUL character, which PostgreSQL can't store")


def _decode(text: bytes, shape: _Shape) -> TableItem:
    try:
        item = shape.decode_strictly(text)
    except msgspec.ValidationError:
        return _decode_any(text, shape)
    if shape.unsent(item) != shape.defaults:
        return _decode_any(text, shape)
    item.__class__ = shape.item_class
    extra = {}
    for name, key in shape.without_column.items():
        if (value := getattr(item, name)) is not UNSET:
            extra[key] = value
            setattr(item, name, UNSET)
    if extra:
        item.extra = Raw(_encode(extra))
    return item


def _decode_any(text: bytes, shape: _Shape) -> TableItem:
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


def _repaired(fields: dict[str, Raw], shape: _Shape) -> dict[str, Raw | int]:
    return {
        key: _as_integer(text) if key in shape.integer_keys else text
        for key, text in fields.items()
        if key in shape.fields
    }


def _as_integer(text: Raw) -> Raw | int:
    """The integer that ``21000000.0``, ``1e3`` or ``"7"`` stands for; anything else as it is."""
    number = _NUMBER.fullmatch(bytes(text))
    if number is None:
        return text
    value = Decimal(number[2].decode())
    return int(value) if value == value.to_integral_value() else text


def _not_finite(text: bytes) -> str:
    """The keys of what ``Decimal`` takes for NaN or infinity: only strings can say that."""
    words, fields = (b"nan", b"inf"), _decode_object(text)
    return ", ".join(k for k, v in fields.items() if any(w in bytes(v).lower() for w in words))


def _in_plain_words(error: msgspec.DecodeError) -> str:
    """``Expected `int`, got `str` - at `$.rank` `` becomes ``rank: expected int, got str``."""
    message, _, path = str(error).replace("`", "").partition(" - at ")
    return f"{path.removeprefix('$.')}: {message}" if path else message
