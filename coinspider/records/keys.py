"""The keys of a page's records, read before anything else."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from coinspider.records.table_item import Column, TableItem, columns

# The value of a record's key field, or a tuple of the values of several.
Key = str | int | tuple[str | int, ...]


class _Reader(NamedTuple):
    """What is needed to read the keys of an item's records, computed once."""

    fields: tuple[str, ...]
    json_keys: tuple[str, ...]
    values: Callable[[Any], Any]
    """The value of the one field, or a tuple of those of several."""
    decode: Any


def key_columns(item_class: type[TableItem], constants: Mapping[str, Any]) -> list[Column]:
    """The columns of the primary key whose values are in the records."""
    return [c for c in columns(item_class) if c.primary_key and c.name not in constants]


def record_keys(
    texts: Sequence[Raw], item_class: type[TableItem], constants: Mapping[str, Any]
) -> list[Key | None]:
    """The key of each record; ``None`` if it can't be read."""
    reader = _reader(item_class, frozenset(constants))
    try:
        found = reader.decode(b"[" + b",".join(texts) + b"]")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [_spoiled_key(text, reader.json_keys) for text in texts]
    if len(reader.fields) > 1:
        return [_key(reader.values(record)) for record in found]
    keys = list(map(reader.values, found))
    # Nearly all pages are like this; checking each key by itself would take ten times as long.
    if set(map(type, keys)) == {str} and (text := "".join(keys)).isascii() and text.isprintable():
        return keys
    return [_key((key,)) for key in keys]


@cache
def _reader(item_class: type[TableItem], constants: frozenset[str]) -> _Reader:
    own = key_columns(item_class, dict.fromkeys(constants))
    fields = [(c.name, Any, msgspec.field(name=c.json_key, default=None)) for c in own]
    struct: Any = msgspec.defstruct("Keys", fields)
    return _Reader(
        fields=tuple(c.name for c in own),
        json_keys=tuple(c.json_key for c in own),
        values=attrgetter(*(c.name for c in own)),
        decode=msgspec.json.Decoder(list[struct]).decode,
    )


def _spoiled_key(text: Raw, json_keys: Sequence[str]) -> Key | None:
    """The key of a record that may not even be JSON."""
    try:
        record = json.loads(str(memoryview(text), "utf-8", "replace"))
        return _key(tuple(record[key] for key in json_keys))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _key(values: tuple[Any, ...]) -> Key | None:
    if not all(isinstance(value, str | int) for value in values):
        return None
    values = tuple(_storable(value) if isinstance(value, str) else value for value in values)
    return values if len(values) > 1 else values[0]


def _storable(text: str) -> str:
    """The text as PostgreSQL can store it; a key that is stored already is not changed."""
    if text.isascii() and text.isprintable():
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
