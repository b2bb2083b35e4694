"""The tables that crawls have filled, and lists of their rows: which rows, in what order."""

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, Self

from psycopg import Connection, sql
from psycopg.rows import DictRow

from coinspider.errors import ConfigurationError, NothingCrawledError, ViewError
from coinspider.installation import program
from coinspider.records.table_item import TableItem, primary_key, stored_columns
from coinspider.secrets import is_secret_name
from coinspider.store.crawl import FIRST_COMPLETE
from coinspider.store.fetch import Listing, RowStream, fetch_listing, stream_listing, unless_missing
from coinspider.store.schema import CRAWL, REJECTED_RECORD, all_of, each, identifiers, item_table
from coinspider.text import visible

# Tables of records, and what coinspider says of its crawls; the rest is its own state.
_STORED = """
SELECT table_name, array_agg(attname::text ORDER BY attnum),
       array_agg(format_type(atttypid, atttypmod) ORDER BY attnum), (
           SELECT array_agg(attname::text ORDER BY array_position(indkey::int2[], attnum))
           FROM pg_attribute WHERE attrelid = class.oid AND attnum = ANY (indkey)
       )
FROM coinspider_schema
    JOIN pg_class AS class ON class.oid = to_regclass(quote_ident(table_name))
    JOIN LATERAL (
        SELECT indkey FROM pg_index
        WHERE indrelid = class.oid AND indisunique AND indpred IS NULL AND indexprs IS NULL
        ORDER BY indisprimary DESC LIMIT 1
    ) AS key ON true
    JOIN pg_attribute ON attrelid = class.oid AND attnum > 0 AND NOT attisdropped
        AND has_column_privilege(class.oid, attnum, 'SELECT')
WHERE relnamespace <> 'pg_catalog'::regnamespace
    AND (columns @> '{extra,first_crawled_at}' OR table_name = ANY (%(told)s))
GROUP BY table_name, class.oid, indkey ORDER BY table_name
"""
_NUMBERS = {"numeric", "bigint", "integer", "smallint", "double precision", "real"}
_TEXTS = {"text", "character varying"}


class StoredTable(NamedTuple):
    """What a list of a table's rows needs to know of it.

    ``types`` are its columns, with the names that PostgreSQL gives their types; those whose names
    look like those of secrets are ``hidden``.
    """

    name: str
    types: Mapping[str, str]
    primary_key: Sequence[str]
    searched: Sequence[str] = ()
    noun: str = "row"
    hidden: Sequence[str] = ()

    def is_number(self, column: str) -> bool:
        return self.types[column] in _NUMBERS


@cache
def table_of(item_class: type[TableItem]) -> StoredTable:
    """The table of an item, as it is declared."""
    table = item_table(item_class)
    types = {name: column.type for name, column in table.columns.items()}
    return StoredTable(table.name, types, table.primary_key, item_class.searched, item_class.noun)


def list_tables(connection: Connection) -> dict[str, StoredTable]:
    """The tables that crawls have filled, by name, with the columns that may be read."""
    told = [CRAWL.name, REJECTED_RECORD.name]
    rows = fetch_listing(connection, sql.SQL(_STORED), {"told": told}).rows
    return {row[0]: _stored_table(*row) for row in rows}


def _stored_table(
    name: str, columns: Sequence[str], types: Sequence[str], key: Sequence[str]
) -> StoredTable:
    by_column = dict(zip(columns, types, strict=True))
    hidden = [n for n, kind in by_column.items() if kind in _TEXTS and is_secret_name(n)]
    shown = {n: kind for n, kind in by_column.items() if n not in hidden}
    searched = [n for n, kind in shown.items() if kind in _TEXTS]
    return StoredTable(name, shown, key, searched, hidden=hidden)


def _what_there_is(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{hint}: there are {', '.join(known)}"


class UnknownTableError(ViewError):
    """No crawl has filled a table of this name; ``tables`` are those that there are."""

    def __init__(self, name: str, tables: Sequence[str]):
        there = _what_there_is(name, tables)
        super().__init__(404, f"there is no table {visible(name[:100])}{there}")
        self.tables = tables


def find_table(connection: Connection, name: str) -> StoredTable:
    """Raises :exc:`UnknownTableError`."""
    tables = list_tables(connection)
    if name not in tables:
        raise UnknownTableError(name, list(tables))
    return tables[name]


LISTED = {
    "all": sql.SQL("true"),
    "listed": sql.SQL("delisted_at IS NULL"),
    "delisted": sql.SQL("delisted_at IS NOT NULL"),
}
_COMPARISONS = {
    ">=": sql.SQL("{} >= {}"),
    "<=": sql.SQL("{} <= {}"),
    "=": sql.SQL("{} = {}"),
    "IN": sql.SQL("{} = ANY ({})"),
    # Until the first whole crawl ended, nothing counts as new.
    "NEW": sql.SQL("{} >= greatest({}, (SELECT coalesce(({first}), 'infinity')))"),
}
_FOUND = "strpos(lower({}), lower(%(search)s)) > 0"


class Condition(NamedTuple):
    """What a column must be: ``>=``, ``<=`` or ``=`` a value, one ``IN`` some, or the time at which
    a row was first crawled, since this time and as a ``NEW`` one.
    """

    column: str
    operator: str
    value: Any

    def sql(self, parameter: str) -> sql.Composed:
        column, value = sql.Identifier(self.column), sql.Placeholder(parameter)
        return _COMPARISONS[self.operator].format(column, value, first=FIRST_COMPLETE)


class RowFilter(NamedTuple):
    """Which rows of a table to list, and in what order.

    ``constants`` are values of key columns; ``sort`` is a column, ``-`` before it for the greatest
    first; ``listed`` is one of :data:`LISTED`. A ``limit`` of ``None`` is for all rows.
    """

    table: StoredTable
    constants: Mapping[str, str]
    columns: Sequence[str]
    sort: str
    search: str | None = None
    limit: int | None = 20
    offset: int = 0
    listed: str = "all"
    conditions: Sequence[Condition] = ()

    @property
    def values(self) -> dict[str, object]:
        """The parameters of the statements that the filter is for."""
        own = {"search": self.search, "limit": self.limit, "offset": self.offset}
        wanted = {f"condition_{n}": each.value for n, each in enumerate(self.conditions)}
        return own | wanted | constant_values(self.constants)

    @property
    def uncut(self) -> Self:
        """All of its rows, in any order: what a count of them depends on."""
        return self._replace(columns=(), sort="", limit=None, offset=0)

    def parts(self) -> dict[str, sql.Composable]:
        """The parts of the statements that the filter is for."""
        searched = self.table.searched
        found = each(_FOUND, searched, " OR ")
        return key_parts(self.table, self.constants) | {
            "listed": LISTED[self.listed],
            "conditions": all_of(
                one.sql(f"condition_{n}") for n, one in enumerate(self.conditions)
            ),
            "found": found if searched else sql.SQL("false"),
        }


def key_parts(table: StoredTable, constants: Mapping[str, str]) -> dict[str, sql.Composable]:
    """The table, the first column of its key, and the condition of the constants."""
    conditions = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(f"constant_{name}"))
        for name in constants
    ]
    return {
        "table": sql.Identifier(table.name),
        "key": sql.Identifier(table.primary_key[0]),
        "constants": all_of(conditions),
    }


def constant_values(constants: Mapping[str, str]) -> dict[str, str]:
    # Distinct from the other parameters, whatever a column is called.
    return {f"constant_{name}": value for name, value in constants.items()}


_SEARCHED = "(%(search)s::text IS NULL OR {key}::text = lower(%(search)s) OR {found})"
_MATCHING = f"""
FROM {{table}} WHERE {{constants}} AND {{listed}} AND {{conditions}}
    AND {_SEARCHED}
"""
_ROWS = f"""
SELECT {{columns}} {_MATCHING} ORDER BY {{order}} LIMIT %(limit)s OFFSET %(offset)s
"""
# Only the keys are sorted, and only the rows of the page are read completely: 200,000 wide rows
# would not fit in memory.
_PAGE = f"""
SELECT {{columns}} FROM {{table}} JOIN (
    SELECT {{primary_key}} {_MATCHING} ORDER BY {{order}} LIMIT %(limit)s OFFSET %(offset)s
) AS page USING ({{primary_key}})
ORDER BY {{order}}
"""  # noqa: S608
# Floats sort in a third of the time of numerics, which decide only between equal floats. Values
# that a float can't hold are in their place, too.
_FLOAT = """
CASE WHEN abs({0}) >= 1e300 THEN sign({0}) * 1e300 WHEN abs({0}) < 1e-300 THEN 0 ELSE {0} END
::float8
"""
_COUNT = f"SELECT count(*) {_MATCHING}"
_COUNT_BY = """
SELECT {column}, count(*) FILTER (WHERE {listed} AND {conditions} AND {searched})
FROM {table} GROUP BY 1 ORDER BY 1
"""
_COUNT_WITHOUT = "SELECT {counts} FROM {table} WHERE {constants}"
_ROW = "SELECT {columns} FROM {table} WHERE {key} = %(key)s AND {constants}"
_KEYS = "SELECT {key} FROM {table} WHERE {constants}"
_VALUES = "SELECT DISTINCT {column} FROM {table} ORDER BY 1"
WATCH_MAX = 200  # coins
_WATCHED = """
SELECT DISTINCT coin_id FROM watched_coin WHERE username = %(username)s OR %(username)s IS NULL
"""
_WATCH = f"""
INSERT INTO watched_coin (username, coin_id)
SELECT DISTINCT %(username)s::text, coin_id FROM full_coin WHERE coin_id = ANY (%(coins)s)
LIMIT greatest(0, {WATCH_MAX} - (SELECT count(*) FROM watched_coin WHERE username = %(username)s))
ON CONFLICT DO NOTHING
"""  # noqa: S608
_UNWATCH = "DELETE FROM watched_coin WHERE username = %(username)s AND coin_id = %(coin)s"


def list_rows(connection: Connection, chosen: RowFilter) -> Listing:
    """Raises :exc:`ConfigurationError` for an unknown column."""
    return fetch_listing(connection, *_list_query(chosen))


def stream_rows(connection: Connection, chosen: RowFilter) -> RowStream:
    """As :func:`list_rows`, however many rows there are."""
    return stream_listing(connection, *_list_query(chosen))


def _list_query(chosen: RowFilter) -> tuple[sql.Composed, dict[str, object]]:
    """The statement and its values."""
    sort = chosen.sort.removeprefix("-")
    wanted = [condition.column for condition in chosen.conditions]
    _check_columns(chosen, sort, *chosen.columns, *wanted)
    parts = chosen.parts() | {
        "primary_key": identifiers(chosen.table.primary_key),
        "columns": identifiers(chosen.columns),
        "order": _order(chosen, sort),
    }
    query = _PAGE if chosen.limit is not None else _ROWS
    return sql.SQL(query).format(**parts), chosen.values


def _order(chosen: RowFilter, sort: str) -> sql.Composed:
    """By the column, and among equals by the key; rows without a value are last."""
    direction = sql.SQL("DESC" if chosen.sort.startswith("-") else "ASC")
    column = sql.Identifier(sort)
    is_amount = chosen.table.types[sort] == "numeric"
    values = [sql.SQL(_FLOAT).format(column), column] if is_amount else [column]
    key = [name for name in chosen.table.primary_key if name not in chosen.constants]
    values = [*values, *map(sql.Identifier, key)]
    return sql.SQL(", ").join(sql.SQL("{} {} NULLS LAST").format(v, direction) for v in values)


def count_rows(connection: Connection, chosen: RowFilter) -> int:
    """How many rows there are, regardless of the filter's limit and offset."""
    query = sql.SQL(_COUNT).format(**chosen.parts())
    [[count]] = fetch_listing(connection, query, chosen.values).rows
    return int(count)


def count_all(connection: Connection, table: str) -> int:
    """The number of a table's rows."""
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    return int(fetch_listing(connection, query, {}).rows[0][0])


def count_by(connection: Connection, chosen: RowFilter, column: str) -> dict[str, int]:
    """As :func:`count_rows`, for each value of a column, whatever the filter's constants."""
    parts = chosen.parts()
    query = sql.SQL(_COUNT_BY).format(
        column=sql.Identifier(column), searched=sql.SQL(_SEARCHED).format(**parts), **parts
    )
    found = fetch_listing(connection, query, chosen.values)
    return {row[0]: row[1] for row in found.rows}


def count_rows_without(connection: Connection, chosen: RowFilter) -> dict[str | int, int]:
    """How many rows there would be without ``listed``, without ``search``, and without each
    condition, by its number; all counted at once.
    """
    parts = chosen.parts()
    filters: dict[str | int, sql.Composable] = {
        "listed": parts["listed"], "search": sql.SQL(_SEARCHED).format(**parts),
        **{n: one.sql(f"condition_{n}") for n, one in enumerate(chosen.conditions)},
    }  # fmt: skip
    counts = [
        sql.SQL("count(*) FILTER (WHERE {})").format(
            all_of(one for other, one in filters.items() if other != name)
        )
        for name in filters
    ]
    query = sql.SQL(_COUNT_WITHOUT).format(**parts | {"counts": sql.SQL(", ").join(counts)})
    [row] = fetch_listing(connection, query, chosen.values).rows
    return dict(zip(filters, map(int, row), strict=True))


def find_row(
    connection: Connection, item_class: type[TableItem], key: str, constants: Mapping[str, str]
) -> dict[str, Any] | None:
    """A row with all its columns, by the first column of its key and the constants."""
    query = sql.SQL(_ROW).format(
        columns=identifiers(stored_columns(item_class)),
        **key_parts(table_of(item_class), constants),
    )
    found = fetch_listing(connection, query, {"key": key} | constant_values(constants)).dicts()
    return found[0] if found else None


def list_values(connection: Connection, table: str, column: str) -> list[str]:
    """The distinct values of a column, in order."""
    query = sql.SQL(_VALUES).format(column=sql.Identifier(column), table=sql.Identifier(table))
    return [value for (value,) in fetch_listing(connection, query, {}).rows]


def list_watched(connection: Connection, username: str | None = None) -> list[str]:
    """The coins that an account of the pages watches, or any; none before there is such a list."""
    query, values = sql.SQL(_WATCHED), {"username": username}
    found = unless_missing(connection, lambda: fetch_listing(connection, query, values))
    return [coin_id for (coin_id,) in found.rows] if found else []


def watch(
    connection: Connection, username: str, coins: Sequence[str], unwatched: str | None
) -> None:
    """Add coins to the list of an account, unless it is full, and take one away."""
    connection.execute(_WATCH, {"username": username, "coins": list(coins)})
    connection.execute(_UNWATCH, {"username": username, "coin": unwatched})


def similar_keys(connection: Connection, chosen: RowFilter) -> list[str]:
    """The three keys most similar to a search that finds nothing."""
    query = sql.SQL(_KEYS).format(**key_parts(chosen.table, chosen.constants))
    keys = [key for (key,) in fetch_listing(connection, query, chosen.values).rows]
    return difflib.get_close_matches((chosen.search or "").lower(), keys)


def _check_columns(chosen: RowFilter, *names: str) -> None:
    known = chosen.table.types
    for name in names:
        if name not in known:
            there = _what_there_is(name, known)
            raise ConfigurationError(f"no column {name or repr(name)}{there}")


_NEAR_MAX = 5


class NamedRow(NamedTuple):
    """A row, and how it was found.

    ``others`` are the keys of rows with the same text in the column ``by``, which is ``None`` if it
    was found by its key.
    """

    row: DictRow
    by: str | None = None
    others: list[str] = []  # noqa: RUF012


def find_named_row(
    connection: Connection, item_class: type[TableItem], text: str, constants: Mapping[str, str]
) -> NamedRow:
    """The row with this key; else the first with this text in a searched column, listed ones first.

    Raises :exc:`ConfigurationError`, which says what there is instead.
    """
    key = primary_key(item_class)[0]
    columns = [key, *item_class.searched, "delisted_at"]
    sort, table = item_class.shown[0], table_of(item_class)
    chosen = RowFilter(table, constants, columns, sort, text, limit=None)
    rows = sorted(list_rows(connection, chosen).dicts(), key=lambda row: bool(row["delisted_at"]))
    for column in (key, *item_class.searched):
        if found := [row for row in rows if row[column].lower() == text.lower()]:
            others = [row[key] for row in found[1:]]
            return NamedRow(found[0], None if column == key else column, others)
    check_constants(connection, chosen)
    near = [row[key] for row in rows] or similar_keys(connection, chosen)
    some = f"{program()} {item_class.noun}s lists some"
    hint = f"did you mean {', '.join(near[:_NEAR_MAX])}?" if near else some
    where = ", ".join(constants.values())
    names = ", ".join(["id", *item_class.searched[:-1]]) + f" or {item_class.searched[-1]}"
    raise ConfigurationError(f"no {item_class.noun} in {where} has the {names} {text}: {hint}")


def check_constants(connection: Connection, chosen: RowFilter) -> None:
    """Raises :exc:`NothingCrawledError`, which says what there is, if no row has these values."""
    for column, value in chosen.constants.items():
        known = list_values(connection, chosen.table.name, column)
        if value not in known:
            there = f"there are {', '.join(known)}" if known else "there are none at all"
            nouns = f"{chosen.table.noun}s"
            how = f"{program()} crawl {nouns} -a {column}={shlex.quote(visible(value))}"
            hint = f"; to have them: {how}" if value else ""
            raise NothingCrawledError(
                f"no {nouns} in {visible(value) or repr(value)}: {there}{hint}"
            )
