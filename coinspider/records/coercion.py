"""Turns records of JSON text into typed items, or says why not."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain, repeat
from operator import ne

import msgspec

from coinspider.errors import CoercionError
from coinspider.records.checks import DIGITS_MAX, check_text, is_too_long
from coinspider.records.item_shape import ItemShape, item_shape
from coinspider.records.record import RECORD_SIZE_MAX, Made, Record, Source
from coinspider.records.single_record import decode_alone
from coinspider.records.table_item import TableItem

_is_finite = Decimal.is_finite


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
    shape.finish(items)
    return items


def _coerce_alone(record: Record, by_field: bool, digits_max: int) -> TableItem:
    source, text = record.source, bytes(record.text)
    shape = item_shape(source.item_class, frozenset(source.constants), digits_max)
    item = decode_alone(text, shape, by_field)
    _attribute([item], source)
    return item
