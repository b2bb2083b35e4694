"""Fetches the rows of a query for people and programs: with all digits, or one line why not."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self, TypeVar

import psycopg
from msgspec import Raw
from psycopg import Column, Connection, ServerCursor, errors, sql
from psycopg.abc import Buffer
from psycopg.rows import DictRow, TupleRow
from psycopg.types.datetime import TimestamptzLoader
from psycopg.types.json import set_json_loads

from coinspider.errors import NothingCrawledError
from coinspider.installation import program
from coinspider.records.table_item import (
    AMOUNT,
    BOOLEAN,
    DATE,
    INTEGER,
    JSON,
    LOCAL_TIME,
    TEXT,
    TIME,
    ColumnType,
)

T = TypeVar("T")
# As psycopg calls them.
_TYPES = {
    "bool": BOOLEAN,
    "int2": INTEGER,
    "int4": INTEGER,
    "int8": INTEGER,
    "numeric": AMOUNT,
    "timestamptz": TIME,
    "timestamp": LOCAL_TIME,
    "date": DATE,
    "text": TEXT,
    "jsonb": JSON,
}
_BATCH = 2000  # rows
# Otherwise PostgreSQL plans for a reader who wants only the first rows.
_ALL_ROWS = "SET LOCAL cursor_tuple_fraction = 1"


class AnyTimeLoader(TimestamptzLoader):
    """``infinity``, a time before year 1 or after 9999: a string."""

    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


def fetch_all(
    connection: Connection, query: sql.SQL | sql.Composed, values: Mapping[str, object]
) -> tuple[Sequence[Column], list[TupleRow]]:
    """The columns and the rows, whatever they contain."""
    query = _with_names(query)
    cursor = connection.execute(query, values)
    try:
        rows = cursor.fetchall()
    except psycopg.DataError:
        # Only if needed: psycopg's own loader is several times as fast.
        connection.adapters.register_loader("timestamptz", AnyTimeLoader)
        cursor = connection.execute(query, values)
        rows = cursor.fetchall()
    return cursor.description or (), rows


def _with_names(part: Any) -> Any:
    """The statement, or a part of it, with names in which ``%`` does not begin a parameter."""
    if isinstance(part, sql.Composed):
        return sql.Composed([_with_names(each) for each in part])
    if isinstance(part, sql.Identifier):
        return sql.SQL(part.as_string().replace("%", "%%"))
    return part


class Listing(NamedTuple):
    """Rows and the names of their columns; ``title`` is what they are about, if that is known.

    ``types`` has the types of columns of the database, for formats that need one even if no row has
    a value.
    """

    columns: Sequence[str]
    rows: Sequence[TupleRow]
    title: str = ""
    types: Mapping[str, ColumnType] = {}

    @property
    def is_empty(self) -> bool:
        return not self.rows

    def without(self, names: Collection[str]) -> Self:
        """The listing without these columns."""
        kept = [number for number, name in enumerate(self.columns) if name not in names]
        if len(kept) == len(self.columns):
            return self
        rows = [tuple(row[number] for number in kept) for row in self.rows]
        return self._replace(columns=[self.columns[number] for number in kept], rows=rows)

    def dicts(self) -> list[DictRow]:
        return list(self.each_dict())

    def each_dict(self) -> Iterator[DictRow]:
        return _each_dict(self)


class RowStream(NamedTuple):
    """As a :class:`Listing`, but the rows are read from the database when they are asked for.

    They can be read once, in the same transaction.
    """

    columns: Sequence[str]
    rows: Iterator[TupleRow]
    is_empty: bool
    types: Mapping[str, ColumnType] = {}

    def each_dict(self) -> Iterator[DictRow]:
        return _each_dict(self)


def fetch_listing(
    connection: Connection, query: sql.SQL | sql.Composed, values: Mapping[str, object]
) -> Listing:
    """Raises :exc:`NothingCrawledError` if there are no such tables or columns yet."""
    # As text, because decoded numbers would lose digits.
    set_json_loads(Raw, connection)
    with _missing_tables():
        description, rows = fetch_all(connection, query, values)
    return Listing([c.name for c in description], rows, types=_types(connection, description))


def unless_missing(connection: Connection, find: Callable[[], T]) -> T | None:
    """What is found; ``None`` if no crawl has made its tables. The transaction goes on."""
    try:
        with connection.transaction():
            return find()
    except NothingCrawledError:
        return None


def stream_listing(
    connection: Connection, query: sql.SQL | sql.Composed, values: Mapping[str, object]
) -> RowStream:
    """As :func:`fetch_listing`, for results that would not fit into memory."""
    set_json_loads(Raw, connection)
    # When a value can't be loaded, earlier rows have been written already.
    connection.adapters.register_loader("timestamptz", AnyTimeLoader)
    connection.execute(_ALL_ROWS)
    cursor = connection.cursor("coinspider_listing")
    with _missing_tables():
        cursor.execute(_with_names(query), values)
    description, first = cursor.description or (), cursor.fetchmany(_BATCH)
    if not first:
        cursor.close()
    return RowStream(
        [column.name for column in description],
        _read(cursor, first),
        not first,
        _types(connection, description),
    )


def _read(cursor: ServerCursor, batch: list[TupleRow]) -> Iterator[TupleRow]:
    while batch:
        yield from batch
        batch = cursor.fetchmany(_BATCH)
    cursor.close()


def nothing_crawled() -> NothingCrawledError:
    return NothingCrawledError(
        f"nothing was crawled into this database yet: {program()} crawl coins"
    )


@contextmanager
def _missing_tables() -> Iterator[None]:
    try:
        yield
    except errors.UndefinedTable:
        raise nothing_crawled() from None
    except errors.UndefinedColumn:
        raise NothingCrawledError(
            "the tables are of an earlier version, and the next crawl adds what they lack:"
            f" {program()} crawl coins"
        ) from None


def _types(connection: Connection, description: Sequence[Column]) -> dict[str, ColumnType]:
    known = connection.adapters.types
    infos = {column.name: known.get(column.type_code) for column in description}
    return {name: _TYPES[info.name] for name, info in infos.items() if info and info.name in _TYPES}


def _each_dict(listing: Listing | RowStream) -> Iterator[DictRow]:
    return (dict(zip(listing.columns, row, strict=True)) for row in listing.rows)
