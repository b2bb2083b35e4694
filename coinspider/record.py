"""A record between the page it came on and the item it becomes."""

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from coinspider.table_item import TableItem

_decode_list = msgspec.json.Decoder(list[Raw]).decode
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},"]', re.DOTALL)
_OPEN_STRING = b'"'
_DEPTH = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


class Source(Struct, frozen=True):
    """Where the records of one page come from, and what they become."""

    url: str
    item_class: type[TableItem]
    constants: dict[str, Any]
    """Fields of the item that the record itself does not carry, by name."""


class Record(Struct):
    """One record of a page, its text untouched."""

    text: Raw
    source: Source


class PageError(ValueError):
    """The body of a page is not a whole JSON array."""


def split_page(body: bytes) -> list[Raw]:
    """Cut a page's JSON array into the texts of its elements.

    An element that is not valid JSON by itself (``NaN``, half a surrogate pair, nesting past any
    parser's limit) does not spoil the others of its page: it is cut out like them.
    Raises :exc:`PageError` where the body is no array, or an array cut short.
    """
    try:
        return _decode_list(body)
    except (msgspec.DecodeError, RecursionError):
        return _cut_array(body.strip())


def _cut_array(body: bytes) -> list[Raw]:
    """Cut at the commas of the outermost array, whatever stands between them."""
    if not body.startswith(b"["):
        raise PageError(f"not a JSON array but {_beginning(body)}")
    elements, depth, start = [], 0, 1
    for token in _STRUCTURE.finditer(body):
        depth += _DEPTH.get(token[0], 0)
        if depth == 0 or (depth == 1 and token[0] == b","):
            elements.append(Raw(body[start : token.start()].strip()))
            start = token.end()
        if depth == 0 or token[0] == _OPEN_STRING:
            break
    if depth or start != len(body):
        raise PageError("a JSON array that is cut short or broken")
    return elements if elements != [Raw(b"")] else []


def _beginning(body: bytes) -> str:
    return repr(body[:80].decode("utf-8", "replace")) if body else "nothing: the body is empty"
