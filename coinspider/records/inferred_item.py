"""Items for tables that no item class stands for, made from a page or from a table's columns."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from keyword import iskeyword
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, defstruct

from coinspider.errors import ConfigurationError
from coinspider.records.table_item import NULL, TableItem

# By the type's name in PostgreSQL, as information_schema tells it.
TYPES: dict[str, Any] = {
    "text": str,
    "numeric": Decimal,
    "boolean": bool,
    "timestamp with time zone": Annotated[datetime, Meta(tz=True)],
    "jsonb": Raw,
}
NUMBER_AS_TEXT = "a number as text"
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_RESERVED = {"table", "history_table", "source", "extra", "delisted_at"}
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def infer_item_class(table: str, key: str, texts: Sequence[Raw]) -> type[TableItem]:
    """An item class whose columns are the fields of these records.

    Numbers become ``numeric``, times with a zone ``timestamptz``, objects, arrays and what is not
    of one type ``jsonb``. What is null throughout, or no name for a column, goes to ``extra``.
    Raises :exc:`ConfigurationError` where the records don't have the key.
    """
    values: dict[str, set[str]] = {}
    for record in _objects(texts):
        for name, value in record.items():
            if value is not None and _is_column_name(name):
                values.setdefault(name, set()).add(_sql_type(value))
    types = {name: _common_type(found) for name, found in values.items()}
    if types.get(key) not in ("text", "numeric"):
        raise ConfigurationError(f"the records have no key {key}: name it with -a key=NAME")
    return make_item_class(table, [key], types)


def make_item_class(
    table: str, keys: Sequence[str], sql_types: Mapping[str, str]
) -> type[TableItem]:
    """An item class for columns of these types; a type it does not know is left to ``extra``."""
    fields: list[Any] = []
    for name, sql_type in sql_types.items():
        if name in _RESERVED or sql_type not in TYPES:
            continue
        if name in keys:
            mark = Meta(extra={"primary_key": True})
            fields.append((name, Annotated[TYPES[sql_type], mark]))
        elif sql_type == "jsonb":
            fields.append((name, Raw, NULL))
        else:
            fields.append((name, TYPES[sql_type] | None, None))
    made: type[Any] = defstruct(
        "InferredItem", fields, bases=(TableItem,), namespace={"table": table}, kw_only=True
    )
    return made


def _objects(texts: Iterable[Raw]) -> Iterable[dict[str, Any]]:
    for text in texts:
        try:
            yield _decode_object(text)
        except msgspec.DecodeError:
            continue  # coercion sets it aside, with its reason


def _is_column_name(name: str) -> bool:
    return name.isidentifier() and not iskeyword(name) and len(name) < 64 and name not in _RESERVED


def _common_type(found: set[str]) -> str:
    """The type that holds all of these; a number in a string is a number where others are."""
    if "numeric" in found:
        found = found - {NUMBER_AS_TEXT}
    else:
        found = {"text" if type_ == NUMBER_AS_TEXT else type_ for type_ in found}
    return found.pop() if len(found) == 1 else "jsonb"


def _sql_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "numeric"
    if not isinstance(value, str):
        return "jsonb"
    if _NUMBER.fullmatch(value):
        return NUMBER_AS_TEXT
    try:
        zoned = "T" in value and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        zoned = False
    return "timestamp with time zone" if zoned else "text"
