"""One record of JSON text to one typed item, or the reason why not."""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw
from msgspec.inspect import DecimalType, IntType

from coinspider.record import RECORD_SIZE_MAX, Record
from coinspider.table_item import TableItem, columns

_NUMBER = re.compile(rb'("?)(-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,2})?)\1')
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode
_is_finite = Decimal.is_finite


class CoercionError(ValueError):
    """A record can't become an item; the message is the reason."""


class _Shape(NamedTuple):
    """What coercion needs to know of an item class, found out once."""

    decode: Callable[[Any], TableItem]
    json_keys: frozenset[str]
    integer_keys: frozenset[str]
    amounts: Callable[[TableItem], tuple[Decimal | None, ...]]


@cache
def _shape(item_class: type[TableItem], constants: frozenset[str]) -> _Shape:
    sent = [c for c in columns(item_class) if c.name != "extra" and c.name not in constants]
    return _Shape(
        decode=msgspec.json.Decoder(item_class).decode,
        json_keys=frozenset(c.json_key for c in sent),
        integer_keys=frozenset(c.json_key for c in sent if c.type is IntType),
        amounts=_tuple_getter([c.name for c in sent if c.type is DecimalType]),
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
    text = memoryview(record.text)
    if text.nbytes > RECORD_SIZE_MAX:
        raise CoercionError(f"{text.nbytes} bytes, more than the {RECORD_SIZE_MAX} of a record")
    try:
        _check_text(str(text, "utf-8"))
        fields = _decode_object(record.text)
        item = _decode(record.text, fields, shape)
    except msgspec.DecodeError as error:
        raise CoercionError(_in_plain_words(error)) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise CoercionError(str(error)) from None
    if not all(map(_is_finite, filter(None, shape.amounts(item)))):
        raise CoercionError(f"{_not_finite(fields)}: not a finite number")
    known = shape.json_keys
    item.extra = Raw(_encode({key: text for key, text in fields.items() if key not in known}))
    for name, value in source.constants.items():
        setattr(item, name, value)
    item.__dict__["source"] = source
    return item


def _check_text(text: str) -> None:
    # The plain search first: it is ten times as fast, and hardly ever finds anything.
    if "\\u0000" in text and _NUL.search(text):
        raise CoercionError("a NUL character, which PostgreSQL can't store")


def _decode(text: Raw, fields: dict[str, Raw], shape: _Shape) -> TableItem:
    try:
        return shape.decode(text)
    except msgspec.ValidationError:
        repaired = {key: _as_integer(fields[key]) for key in shape.integer_keys & fields.keys()}
        return shape.decode(_encode(fields | repaired))


def _as_integer(text: Raw) -> Raw | int:
    """The integer that ``21000000.0``, ``1e3`` or ``"7"`` stands for; anything else as it is."""
    number = _NUMBER.fullmatch(bytes(text))
    if number is None:
        return text
    value = Decimal(number[2].decode())
    return int(value) if value == value.to_integral_value() else text


def _not_finite(fields: dict[str, Raw]) -> str:
    """The keys of what ``Decimal`` takes for NaN or infinity: only strings can say that."""
    words = (b"nan", b"inf")
    return ", ".join(k for k, v in fields.items() if any(w in bytes(v).lower() for w in words))


def _in_plain_words(error: msgspec.DecodeError) -> str:
    """``Expected `int`, got `str` - at `$.rank` `` becomes ``rank: expected int, got str``."""
    message, _, path = str(error).replace("`", "").partition(" - at ")
    return f"{path.removeprefix('$.')}: {message}" if path else message
