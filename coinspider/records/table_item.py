"""The base of every item that becomes a row of a table."""

import re
from collections.abc import Callable, Iterator, KeysView
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from types import ModuleType
from typing import Annotated, Any, ClassVar, LiteralString, NamedTuple

import msgspec
from itemadapter import ItemAdapter
from itemadapter.adapter import AdapterInterface
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec import inspect as msgspec_inspect
from msgspec.structs import fields as struct_fields

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


Key = Annotated[str, Meta(min_length=1, extra={"primary_key": True})]
IntegerKey = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, extra={"primary_key": True})]
# An amount whose changes are kept if the item has a history.
TrackedAmount = Annotated[Amount, Meta(extra={"tracked": True})]
Version = Annotated[datetime, Meta(tz=True, extra={"version": True})]
Extra = Raw
# A field that an API is known to send but that has no column; its default is UNSET.
NoColumn = Raw | UnsetType
NO_EXTRA = Raw(b"{}")
NULL = Raw(b"null")


class TableItem(Struct, kw_only=True, dict=True):
    """A record that becomes a row of :attr:`table`.

    The fields marked as ``Key`` are the primary key; the one marked as ``Version`` decides which of
    two rows is newer. ``extra`` holds, as the text of a JSON object, whatever the API sent that has
    no column. Declaring such a field as ``NoColumn`` is faster than not declaring it.
    """

    table: ClassVar[str]
    history_table: ClassVar[str | None] = None
    """The table of changes (``HISTORY_ENABLED``): the key, the version, the tracked fields."""
    candle_table: ClassVar[str | None] = None
    """How the names of the tables and views of candles begin."""
    candle_price: ClassVar[str | None] = None
    """The tracked field whose open, high, low and close a candle keeps; it keeps others' last."""
    noun: ClassVar[str] = "record"
    """What people call a row; the plural adds an s."""
    shown: ClassVar[tuple[str, ...]] = ()
    """The columns that a listing shows, sorted by the first; all of them by default."""
    searched: ClassVar[tuple[str, ...]] = ()
    """The columns in which a listing searches, beside the first of the key."""
    source: ClassVar[Any] = None
    """The source of the item's record. It is not a field, and not in the row."""
    set_aside: ClassVar[tuple[Any, ...]] = ()
    """Fields of the record that could not be coerced, each a ``FieldSetAside``; they are null."""
    repeated: ClassVar[bool] = False
    """Whether a record with the same key came earlier in the same crawl."""
    extra: Extra = NO_EXTRA


class Column(NamedTuple):
    """A field of a :class:`TableItem`, as other modules need it."""

    name: str
    json_key: str
    type: ColumnType
    required: bool
    primary_key: bool
    version: bool
    tracked: bool = False


@cache
def columns(item_class: type[TableItem]) -> tuple[Column, ...]:
    """The columns of an item's table as its fields are declared, ``extra`` at the end."""
    info = msgspec_inspect.type_info(item_class)
    assert isinstance(info, msgspec_inspect.StructType)
    without = fields_without_column(item_class)
    found = [_column(field) for field in info.fields if field.name not in without]
    # A struct's inherited fields come first.
    return tuple(sorted(found, key=lambda column: column.name == "extra"))


def fields_without_column(item_class: type[TableItem]) -> dict[str, str]:
    """The JSON keys of the fields that are declared as ``NoColumn``, by name."""
    return {f.name: f.encode_name for f in struct_fields(item_class) if f.default is UNSET}


def _column(field: msgspec_inspect.Field) -> Column:
    declared = field.type
    marks: dict[str, bool] = {}
    if isinstance(declared, msgspec_inspect.UnionType):
        declared = next(t for t in declared.types if not isinstance(t, msgspec_inspect.NoneType))
    if isinstance(declared, msgspec_inspect.Metadata):
        marks, declared = declared.extra or {}, declared.type
    return Column(
        name=field.name,
        json_key=field.encode_name,
        type=declared_type(field.name, declared),
        required=not isinstance(field.type, msgspec_inspect.UnionType) and field.default != NULL,
        primary_key=marks.get("primary_key", False),
        version=marks.get("version", False),
        tracked=marks.get("tracked", False),
    )


def primary_key(item_class: type[TableItem]) -> list[str]:
    """The names of the columns that identify a row."""
    return [column.name for column in columns(item_class) if column.primary_key]


def history_columns(item_class: type[TableItem]) -> list[Column]:
    """The columns that a history keeps: the key, the version and the tracked ones."""
    return [c for c in columns(item_class) if c.primary_key or c.version or c.tracked]


def candle_values(item_class: type[TableItem]) -> list[str]:
    """The tracked columns other than the price, whose last value a candle has."""
    return [c.name for c in columns(item_class) if c.tracked and c.name != item_class.candle_price]


def stored_columns(item_class: type[TableItem]) -> list[str]:
    """The names of all columns of the table, in order."""
    return [*(column.name for column in columns(item_class)), "delisted_at", "first_crawled_at"]


@cache
def _names(item_class: type) -> dict[str, None]:
    return dict.fromkeys(column.name for column in columns(item_class))


class TableItemAdapter(AdapterInterface):
    """Lets feeds, and whatever else uses itemadapter, read a :class:`TableItem` like a dict."""

    @classmethod
    def is_item_class(cls, item_class: type) -> bool:
        return issubclass(item_class, TableItem)

    @classmethod
    def get_field_names_from_class(cls, item_class: type) -> list[str]:
        return list(_names(item_class))

    @property
    def _names(self) -> dict[str, None]:
        return _names(self.item.__class__)

    def field_names(self) -> KeysView[str]:
        return self._names.keys()

    def __getitem__(self, name: str) -> object:
        if name not in self._names:
            raise KeyError(name)
        return getattr(self.item, name)

    def __setitem__(self, name: str, value: object) -> None:
        if name not in self._names:
            raise KeyError(f"{type(self.item).__name__} does not support field: {name}")
        setattr(self.item, name, value)

    def __delitem__(self, name: str) -> None:
        raise KeyError(f"the fields of a {type(self.item).__name__} are fixed: {name}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


ItemAdapter.ADAPTER_CLASSES = (TableItemAdapter, *ItemAdapter.ADAPTER_CLASSES)
