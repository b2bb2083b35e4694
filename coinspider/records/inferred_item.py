"""Item classes for tables that have none, made from a page or from the table's columns."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from keyword import iskeyword
from typing import Annotated, Any
from unicodedata import normalize

import msgspec
from msgspec import Meta, Raw, defstruct

from coinspider.errors import ConfigurationError
from coinspider.records.discovery import naming_advice
from coinspider.records.record import cut_object
from coinspider.records.table_item import (
    AMOUNT,
    DATE,
    INTEGER,
    JSON,
    LOCAL_TIME,
    NULL,
    TEXT,
    TIME,
    ColumnType,
    TableItem,
    columns,
    inferred_type,
    primary_key,
)

# A number in a string, if all of a column are: not 007, 1e5 or 12345678901234567890123, which are
# codes, hashes and ids more often than amounts.
_NUMBER_AS_TEXT = TEXT._replace(is_number=True)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_NUMBER_OF_TEXT = re.compile(
    r"-?(?:0|[1-9]\d{0,20})(?:\.\d+(?:[eE][+-]?\d{1,3})?|[eE][+-]\d{1,3})?"
)
# Names of what is whole: accountId, block_count, rank.
_WHOLE = re.compile(
    r"(?:^|_)(?:id|ids|count|rank|index|position|height|size|year|age)$|[a-z](?:Id|ID|Count|Rank)$"
)
_INTEGER_MAX = 2**63
# Names that the items, the tables and PostgreSQL itself use:
# https://www.postgresql.org/docs/current/ddl-system-columns.html
_RESERVED = {
    *(name for name in dir(TableItem) if not name.startswith("__")),
    *("table", "delisted_at", "first_crawled_at"),
    *("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"),
}
# PostgreSQL allows 1,600, but a row has to fit into 8 kB, which a few hundred fill:
# https://www.postgresql.org/docs/current/limits.html
COLUMNS_MAX = 550
_NAME_MAX = 63  # bytes: PostgreSQL cuts longer ones off
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_NUMBERS = {AMOUNT, INTEGER, _NUMBER_AS_TEXT}
_TEXTS = {TEXT, TIME, LOCAL_TIME, DATE, _NUMBER_AS_TEXT}
_OF_KEYS = {*_NUMBERS, *_TEXTS}


def infer_item_class(table: str, keys: Sequence[str], texts: Sequence[Raw]) -> type[TableItem]:
    """An item class whose columns are the fields of these records.

    Numbers become ``numeric``, also those that come as strings; whole ones whose name says that
    they are (``rank``), ``bigint``. Times with a zone become ``timestamptz``, others ``timestamp``,
    unless they are finer than a microsecond; objects, arrays and mixed types ``jsonb``. Fields go
    to ``extra`` if they are always null, can't name a column, or are more than a table has room
    for. Raises :exc:`ConfigurationError` if the records don't have the key.
    """
    found = _found_types(texts, keys)
    types = {name: _common_type(kinds) for name, kinds in found.items()}
    for key in keys:
        if found.get(key, {JSON}) <= _OF_KEYS and found[key] - {AMOUNT, INTEGER}:
            # What is a number or a time here may be a word on another page.
            types[key] = TEXT
        if types.get(key) not in (TEXT, AMOUNT, INTEGER):
            raise ConfigurationError(f"the records have no key {key}: {naming_advice(texts)}")
    return make_item_class(table, keys, types)


def grown_item_class(item_class: type[TableItem], texts: Sequence[Raw]) -> type[TableItem]:
    """The same, or one that has columns for the fields of these records that have none."""
    known = {column.json_key: column for column in columns(item_class)}
    new = {name: _common_type(kinds) for name, kinds in _found_types(texts, (), known).items()}
    if not new:
        return item_class
    types = {column.name: column.type for column in known.values() if column.name != "extra"}
    return make_item_class(item_class.table, primary_key(item_class), types | new)


def _found_types(
    texts: Sequence[Raw], keys: Sequence[str], known: Collection[str] = ()
) -> dict[str, set[ColumnType]]:
    """The types of the values of each field that can name a column and is not known."""
    values: dict[str, set[ColumnType]] = {}
    for record in _objects(texts):
        for name in record.keys() - known if known else record:
            value = record[name]
            if value is None or not _is_column_name(name):
                continue
            if name in values or name in keys or len(values) + len(known) < COLUMNS_MAX:
                values.setdefault(name, set()).add(_type(name, value))
    return values


def make_item_class(
    table: str, keys: Sequence[str], types: Mapping[str, ColumnType]
) -> type[TableItem]:
    """An item class for columns of these types."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, column_type in types.items():
        if name in _RESERVED:
            continue
        if name in keys:
            mark = Meta(extra={"primary_key": True})
            fields.append((name, Annotated[column_type.alias, mark]))
        elif column_type is JSON:
            fields.append((name, Raw, NULL))
        else:
            fields.append((name, column_type.alias | None, None))
    made: type[Any] = defstruct(
        "InferredItem", fields, bases=(TableItem,), namespace={"table": table}, kw_only=True
    )
    return made


def _objects(texts: Iterable[Raw]) -> Iterable[dict[str, object]]:
    for text in texts:
        try:
            yield _decode_object(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            fields = cut_object(bytes(text)) or {}
            yield {name: _value(value) for name, value in fields.items()}


def _value(text: bytes | Raw) -> object:
    """A decoded value; if it can't be decoded, all that is known is whether it is a number."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0 if _NUMBER.fullmatch(str(text, "latin-1")) else None


def _is_column_name(name: str) -> bool:
    """Whether it is a valid name in both Python and PostgreSQL; others go to extra."""
    is_name = name.isidentifier() and not iskeyword(name) and not name.startswith("__")
    is_same = is_name and normalize("NFKC", name) == name and len(name.encode()) <= _NAME_MAX
    return is_same and name not in _RESERVED


def _common_type(found: set[ColumnType]) -> ColumnType:
    """The type that holds all of these; a number in a string counts if others are numbers."""
    if found <= _NUMBERS:
        return INTEGER if found == {INTEGER} else AMOUNT
    if found <= _TEXTS:
        return TEXT if len(found) > 1 else next(iter(found))
    return found.pop() if len(found) == 1 else JSON


def _type(name: str, value: object) -> ColumnType:
    if type(value) is int and abs(value) < _INTEGER_MAX and _WHOLE.search(name):
        return INTEGER
    if isinstance(value, str) and _NUMBER_OF_TEXT.fullmatch(value):
        return _NUMBER_AS_TEXT
    return inferred_type(value)
