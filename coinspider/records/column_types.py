"""The types that a column can have: everything about each is here and nowhere else."""

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from types import ModuleType
from typing import Annotated, Any, LiteralString, NamedTuple

import msgspec
from msgspec import Meta, Raw
from msgspec import inspect as msgspec_inspect

from coinspider.errors import ConfigurationError

Amount = Decimal
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Time = Annotated[datetime, Meta(tz=True)]
LocalTime = Annotated[datetime, Meta(tz=False)]
Date = date

# A seventh digit of a second that is not 0, or one after it.
_FINE = rb"\d:\d\d:\d\d\.\d{6}0*[1-9]"


class ColumnType(NamedTuple):
    """The type of an item's field, of its column, and of exports."""

    alias: Any
    """How an item declares it, which also decides how its JSON is read."""
    declared: type[msgspec_inspect.Type]
    """The Python type that msgspec decodes it to."""
    sql: LiteralString
    """Its name in PostgreSQL's ``format_type`` and ``information_schema``."""
    arrow: Callable[[ModuleType], object]
    """Its type in Arrow, of the module ``pyarrow``; exporters write :class:`Raw` as text."""
    is_number: bool = False
    """Whether it is shown aligned to the right."""
    infers: Callable[[object], bool] = lambda _: False
    """Whether a value decoded from JSON, of an undeclared field, has this type."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text_of(alias: object) -> Callable[[object], bool]:
    """Whether a text is read as this type, and keeps all its digits."""

    def is_so(value: object) -> bool:
        if not isinstance(value, str) or is_too_fine(value.encode()):
            return False
        try:
            msgspec.convert(value, alias)
        except msgspec.ValidationError:
            return False
        return True

    return is_so


def is_too_fine(text: bytes) -> bool:
    """Whether a time in it has more than microseconds, which PostgreSQL and Python would round."""
    return re.search(_FINE, text) is not None


BOOLEAN = ColumnType(
    bool,
    msgspec_inspect.BoolType,
    "boolean",
    arrow=lambda arrow: arrow.bool_(),
    infers=lambda value: isinstance(value, bool),
)
# Inferred by its name only: another page may have fractions of anything else.
INTEGER = ColumnType(
    Integer,
    msgspec_inspect.IntType,
    "bigint",
    arrow=lambda arrow: arrow.int64(),
    is_number=True,
)
# Without precision: numeric(p, s) would round small prices to 0 and reject large supplies.
AMOUNT = ColumnType(
    Amount,
    msgspec_inspect.DecimalType,
    "numeric",
    arrow=lambda arrow: arrow.float64(),
    is_number=True,
    infers=_is_number,
)
TIME = ColumnType(
    Time,
    msgspec_inspect.DateTimeType,
    "timestamp with time zone",
    arrow=lambda arrow: arrow.timestamp("us", tz="UTC"),
    infers=_is_text_of(Time),
)
LOCAL_TIME = ColumnType(
    LocalTime,
    msgspec_inspect.DateTimeType,
    "timestamp without time zone",
    arrow=lambda arrow: arrow.timestamp("us"),
    infers=_is_text_of(LocalTime),
)
DATE = ColumnType(
    Date,
    msgspec_inspect.DateType,
    "date",
    arrow=lambda arrow: arrow.date32(),
    infers=_is_text_of(Date),
)
TEXT = ColumnType(
    str,
    msgspec_inspect.StrType,
    "text",
    arrow=lambda arrow: arrow.string(),
    infers=lambda value: isinstance(value, str),
)
JSON = ColumnType(
    Raw,
    msgspec_inspect.RawType,
    "jsonb",
    arrow=lambda arrow: arrow.string(),
    infers=lambda _: True,
)
# A value has the first type that matches.
COLUMN_TYPES = (BOOLEAN, INTEGER, AMOUNT, TIME, LOCAL_TIME, DATE, TEXT, JSON)

_BY_DECLARED = {kind.declared: kind for kind in COLUMN_TYPES if kind is not LOCAL_TIME}
_BY_SQL = {column_type.sql: column_type for column_type in COLUMN_TYPES}


def declared_type(field: str, declared: msgspec_inspect.Type) -> ColumnType:
    """The type of a field that an item declares; :exc:`ConfigurationError` if no column has it."""
    if isinstance(declared, msgspec_inspect.DateTimeType) and declared.tz is False:
        return LOCAL_TIME
    if found := _BY_DECLARED.get(type(declared)):
        return found
    raise ConfigurationError(
        f"the field {field} has a type that no column can have:"
        " declare it as Amount, Integer, Time, LocalTime, Date, str, bool or Raw"
    )


def stored_type(sql: str) -> ColumnType | None:
    """The type with this name in PostgreSQL."""
    return _BY_SQL.get(sql)


def inferred_type(value: object) -> ColumnType:
    """The type of a value that was decoded from JSON."""
    return next(column_type for column_type in COLUMN_TYPES if column_type.infers(value))
