"""A record between the page it came on and the item it becomes."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from coinspider.errors import PageError
from coinspider.records.keys import record_keys
from coinspider.records.table_item import TableItem, primary_key
from coinspider.secrets import masked

PAGE_RECORDS_MAX = 1_000_000  # each takes about 100 bytes
RECORD_SIZE_MAX = 1024 * 1024  # bytes; a batch of them must fit into memory
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_FIELD = rb'(?s)("(?:[^"\\]|\\.)*")\s*:\s*(.*)'
_STRUCTURE = rb'(?s)"(?:[^"\\]|\\.)*"|[\[\]{},"]'
_CLOSING = {b"[": b"]", b"{": b"}"}
# What a page that no parser takes may have: looking at more would take minutes.
_DEPTH_MAX, _BROKEN_RECORDS_MAX = 200_000, 200_000
_LARGE = 100_000  # bytes
# A closing bracket without an opening one, or a string without an end.
_BROKEN = (b"]", b"}", b'"')
TEXT_MAX = 100_000  # bytes


class Source(Struct, frozen=True):
    """Where the records of a page come from, and which item they become."""

    url: str
    item_class: type[TableItem]
    constants: Mapping[str, object]
    """Fields of the item that are not in the record itself, by name."""


class Made(Struct):
    """An item made together with those of other records, and what it was made of."""

    text: Raw
    source: Source
    item: TableItem


class Record(Struct):
    """One record of a page, its text untouched."""

    text: Raw
    source: Source
    repeated: bool = False
    """Whether a record with the same key came earlier in the same crawl."""
    made: Made | None = None


class PastPrice(Struct, frozen=True):
    """The tracked fields of one row at an earlier time; :class:`Raw` keeps the API's digits."""

    key: Mapping[str, str]
    at: datetime
    values: Mapping[str, Raw | float | None]


class PastAsked(Struct, frozen=True):
    """A row whose prices since some time were asked for; ``hourly`` if not only those of days."""

    key: Mapping[str, str]
    since: datetime
    hourly: bool


class PastPrices(Struct):
    """What an API says of earlier times, for the candles of an item."""

    item_class: type[TableItem]
    source: str
    points: list[PastPrice]
    hourly: bool = True
    """Whether they are dense enough for hourly candles."""
    asked: PastAsked | None = None
    """What to remember as loaded, if they were asked for by themselves."""


class Page(Struct):
    """The texts of the records of one page."""

    texts: list[Raw]
    source: Source
    repeated: list[bool] | None = None
    """For each record, whether its key came earlier; ``None`` if not yet known."""
    past: PastPrices | None = None


def split_page(body: bytes) -> list[Raw]:
    """Cut a page's JSON array into the texts of its elements.

    An element that is not valid JSON by itself (``NaN``, half a surrogate pair, nesting too deep
    for any parser) does not spoil the others: it is cut out like them. Raises :exc:`PageError` if
    the body is not an array, or is cut short.
    """
    _check_count(body)
    try:
        return _decode_list(body)
    except (msgspec.DecodeError, RecursionError):
        return [Raw(element) for element in _cut_array(body.strip())]


def _check_count(body: bytes) -> None:
    """64 MB of ``1,1,1`` would take gigabytes as a list."""
    # If it has no more commas than this, it has no more elements either.
    if len(body) <= PAGE_RECORDS_MAX or body.count(b",") <= PAGE_RECORDS_MAX:
        return
    for number, _ in enumerate(_outer_cuts(body.strip())):
        if number > PAGE_RECORDS_MAX:
            raise PageError(f"more than {PAGE_RECORDS_MAX} records on one page")


def cut_object(body: bytes) -> Mapping[str, bytes | Raw] | None:
    """Cut a JSON object into the texts of its fields; ``None`` if it is not an object."""
    try:
        return _decode_object(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = (re.fullmatch(_FIELD, text) for text in _elements(body.strip(), b"{"))
        # A name that is not UTF-8: such a record is set aside when its fields are read.
        return {
            json.loads(field[1].decode("utf-8", "surrogateescape")): field[2]
            for field in fields
            if field
        } or None


def _cut_array(body: bytes) -> list[bytes]:
    """Cut at the commas of the outermost array, whatever is between them."""
    if not body.startswith(b"["):
        raise PageError(f"not a JSON array but {_beginning(body)}")
    elements = _elements(body, b"[")
    if not elements or not all(elements):
        raise PageError("a JSON array that is cut short or broken")
    if len(elements) > _BROKEN_RECORDS_MAX:
        raise PageError(f"more than {_BROKEN_RECORDS_MAX} records on a page that is not JSON")
    return elements


def _elements(body: bytes, opening: bytes) -> list[bytes]:
    """The parts between the outermost commas; nothing if the brackets don't enclose everything."""
    if not body.startswith(opening):
        return []
    cuts = [0, *(_cuts_of_large(body) if len(body) > _LARGE else _outer_cuts(body))]
    if body[cuts[-1] :] != _CLOSING[opening]:
        return []
    return [body[start + 1 : end].strip() for start, end in pairwise(cuts)]


@lru_cache(2)
def _cuts_of_large(body: bytes) -> tuple[int, ...]:
    """A page is looked at ten times until its next page is known."""
    return tuple(_outer_cuts(body))


def _outer_cuts(body: bytes) -> Iterator[int]:
    """The positions of the outermost commas and of the end, as far as the text is well-formed."""
    expected: list[bytes] = []
    for token in re.finditer(_STRUCTURE, body):
        character = token[0]
        if character in _CLOSING and len(expected) < _DEPTH_MAX:
            expected.append(_CLOSING[character])
        elif character == expected[-1]:
            expected.pop()
        elif character in _BROKEN or character in _CLOSING:
            return
        if not expected or (len(expected) == 1 and character == b","):
            yield token.start()
        if not expected:
            return


def _beginning(body: bytes) -> str:
    text = masked(body[:1000].decode("utf-8", "replace"))
    return repr(text[:80]) if text else "nothing: the body is empty"


class RejectedRecord(NamedTuple):
    """A row of the table ``rejected_record``, with the record's own text, byte for byte.

    Bytes that are not UTF-8 and NUL characters, which PostgreSQL can't hold, appear as ``\\xff``.
    Only the first ``TEXT_MAX`` bytes of a text are kept.
    """

    source_url: str | None
    text: str
    reason: str
    column: str | None = None
    """The column, if only its value is set aside and the row is stored without it."""
    identity: str = ""
    """The same for the same field of the same record, however often a crawl meets it."""


class FieldSetAside(NamedTuple):
    """A field that is set aside while its record is stored: its column, its text, and why."""

    column: str
    text: bytes
    reason: str


def rejected_record(
    source: Source | None,
    text: bytes,
    reason: str,
    column: str | None = None,
    item: TableItem | None = None,
) -> RejectedRecord:
    """``item`` is what became of the rest of the record, if only a field is set aside."""
    url = masked(source.url) if source else None
    identity = _identity(source, text, column, item)
    return RejectedRecord(url, storable(text[:TEXT_MAX]), reason, column, identity)


def _identity(
    source: Source | None, text: bytes, column: str | None, item: TableItem | None
) -> str:
    """Whose record it is; a record that does not say so is known by its text."""
    if not source:
        return _digest(None, column, text)
    own = source.item_class
    if item is not None:
        key: object = [str(getattr(item, name)) for name in primary_key(own)]
    else:
        key = next(iter(record_keys([Raw(text)], own, source.constants)), None)
        key = key if key is None else [str(key), sorted(map(str, source.constants.items()))]
    return _digest(own.table, column, text if key is None else str(key).encode())


def _digest(table: str | None, column: str | None, subject: bytes) -> str:
    named = f"{table}\0{column}\0".encode()
    return sha256(named + subject).hexdigest()[:32]


def storable(text: bytes) -> str:
    """The text of a record in a form that PostgreSQL can hold."""
    return text.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
