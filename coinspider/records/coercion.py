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
from coinspider.records.record import RECORD_SIZE_MAX, Record
from coinspider.records.table_item import TableItem, columns, fields_without_column

_NUMBER = re.compile(rb'("?)(-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,2})?)\1')
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode
_is_finite = Decimal.is_finite


class _Shape(NamedTuple):
    """What coercion needs to know of an item class, found out once."""

    item_class: type[TableItem]
    decode: Callable[[bytes], TableItem]
    # Refuses fields that the item does not declare.
    decode_strictly: Callable[[bytes], TableItem]
    json_keys: frozenset[str]
    integer_keys: frozenset[str]
    amounts: Callable[[TableItem], tuple[Decimal | None, ...]]
    # What a record does not set, unless by accident, and its values.
    unsent: Callable[[TableItem], tuple[Any, ...]]
    defaults: tuple[Any, ...]
    without_column: dict[str, str]


@cache
def _shape(item_class: type[TableItem], constants: frozenset[str]) -> _Shape:
    unsent = [field for field in struct_fields(item_class) if field.name in {"extra", *constants}]
    sent = [c for c in columns(item_class) if c.name != "extra" and c.name not in constants]
    strict: Any = msgspec.defstruct("Strict", [], bases=(item_class,), forbid_unknown_fields=True)
    return _Shape(
        item_class=item_class,
        decode=msgspec.json.Decoder(item_class).decode,
        decode_strictly=msgspec.json.Decoder(strict).decode,
        json_keys=frozenset(c.json_key for c in sent),
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


def coerce(record: Record) -> TableItem:
    """Make the item that a record stands for; amounts keep every digit of their text.

    Raises :exc:`CoercionError` where a value does not fit its field, and for what PostgreSQL
    can't hold: a NUL character, bytes that are not UTF-8, ``NaN``.
    """
    source = record.source
    shape = _shape(source.item_class, frozenset(source.constants))
    text = bytes(record.text)
    if len(text) > RECORD_SIZE_MAX:
        raise CoercionError(f"{len(text)} bytes, more than the {RECORD_SIZE_MAX} of a record")
    try:
        _check_text(text)
        item = _decode(text, shape)
    except msgspec.DecodeError as error:
        raise CoercionError(_in_plain_words(error)) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise CoercionError(str(error)) from None
    if not all(map(_is_finite, filter(None, shape.amounts(item)))):
        raise CoercionError(f"{_not_finite(text)}: not a finite number")
    for name, value in source.constants.items():
        setattr(item, name, value)
    item.__dict__["source"] = source
    if record.repeated:
        item.__dict__["repeated"] = True
    return item


def _check_text(text: bytes) -> None:
    # The plain searches first: they take next to nothing, and hardly ever find anything.
    if not text.isascii():
        text.decode()
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
    extra = {key: value for key, value in fields.items() if key not in shape.json_keys}
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
        if key in shape.json_keys
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
