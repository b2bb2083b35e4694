"""Decodes a record by itself, and says why it can't become an item."""

import re
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from coinspider.errors import CoercionError
from coinspider.records.checks import check_text, is_too_long
from coinspider.records.item_shape import ItemShape
from coinspider.records.record import RECORD_SIZE_MAX, cut_object
from coinspider.records.rejected_record import FieldSetAside
from coinspider.records.table_item import TableItem

_NUMBER = rb'("?)(-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,2})?)\1'
_NOT_FINITE = rb"-?(?:NaN|Infinity)"
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode
_is_finite = Decimal.is_finite


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
    return item


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


def _cut(text: bytes) -> dict[str, Any]:
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
    if not isinstance(value, Decimal):
        return None
    if not value.is_finite():
        return "not a finite number"
    return _too_long(shape) if is_too_long(len(text), [value], shape.digits_max) else None


def _as_json(text: bytes, is_number: bool) -> Raw:
    """Numbers that JSON or PostgreSQL doesn't have, as strings."""
    return Raw(_encode(text.decode()) if is_number or re.fullmatch(_NOT_FINITE, text) else text)
