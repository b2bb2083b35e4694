"""What the tables hold, as lists of rows: those of an item, crawls, rejected records."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Raw
from psycopg import Connection, errors, sql
from psycopg.types.json import set_json_loads

from coinspider.crawl.program import program
from coinspider.errors import ConfigurationError, NothingCrawledError
from coinspider.records.table_item import TableItem, primary_key, stored_columns
from coinspider.store.unloadable import fetch_all

LISTED = {
    "all": sql.SQL("true"),
    "listed": sql.SQL("delisted_at IS NULL"),
    "delisted": sql.SQL("delisted_at IS NOT NULL"),
}
_COMPARISONS = {
    ">=": sql.SQL("{} >= {}"),
    "<=": sql.SQL("{} <= {}"),
    "IN": sql.SQL("{} = ANY ({})"),
}
_MATCHING = """
FROM {table} WHERE {constants} AND {listed} AND {conditions}
    AND (%(search)s::text IS NULL OR {key} = lower(%(search)s) OR {found})
"""
_ROWS = f"""
SELECT {{columns}} {_MATCHING}
ORDER BY {{sort}} {{direction}} NULLS LAST, {{key}} LIMIT %(limit)s OFFSET %(offset)s
"""
# Sorted are the keys alone, and only the rows of the page are read whole: 200,000 wide rows would
# not fit in memory.
_PAGE = f"""
SELECT {{columns}} FROM {{table}} JOIN (
    SELECT {{primary_key}} {_MATCHING}
    ORDER BY {{sort}} {{direction}} NULLS LAST, {{key}} LIMIT %(limit)s OFFSET %(offset)s
) AS page USING ({{primary_key}})
ORDER BY {{sort}} {{direction}} NULLS LAST, {{key}}
"""  # noqa: S608
_COUNT = f"SELECT count(*) {_MATCHING}"
_FOUND = "strpos(lower({}), lower(%(search)s)) > 0"
_ROW = "SELECT {columns} FROM {table} WHERE {key} = %(key)s AND {constants}"
_KEYS = "SELECT {key} FROM {table} WHERE {constants}"
_VALUES = "SELECT DISTINCT {column} FROM {table} ORDER BY 1"
_CRAWLS = """
SELECT id, spider, vs_currency AS currency, started_at,
       extract(epoch FROM coalesce(ended_at, now()) - started_at)::float AS seconds,
       coalesce(outcome, 'running') AS outcome, page_count AS pages, record_count AS records,
       inserted_count AS new, updated_count AS changed, unchanged_count AS unchanged,
       rejected_count AS rejected, refused_count AS refused, job, message
FROM crawl
WHERE (%(outcome)s::text IS NULL OR coalesce(outcome, 'running') = %(outcome)s)
    AND (%(schedule)s::text IS NULL OR starts_with(job, %(schedule)s || '.'))
ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
"""
_CRAWL_ARGUMENTS = "SELECT id, arguments::text FROM crawl WHERE id = ANY (%(ids)s)"
_REJECTED = """
SELECT id, crawl_id AS crawl, rejected_at, reason, source_url, text
FROM rejected_record
WHERE (%(crawl)s::bigint IS NULL OR crawl_id = %(crawl)s)
    AND (%(reason)s::text IS NULL OR reason = %(reason)s)
ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
"""
_REASONS = """
SELECT reason, count(*) FROM rejected_record
WHERE %(crawl)s::bigint IS NULL OR crawl_id = %(crawl)s
GROUP BY reason ORDER BY 2 DESC, 1 LIMIT 20
"""


class Listing(NamedTuple):
    """Rows, and the names of their columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Condition(NamedTuple):
    """What a column must be: ``>=`` or ``<=`` a value, or one ``IN`` some."""

    column: str
    operator: str
    value: Any

    def sql(self, parameter: str) -> sql.Composed:
        column, value = sql.Identifier(self.column), sql.Placeholder(parameter)
        return _COMPARISONS[self.operator].format(column, value)


class RowFilter(NamedTuple):
    """Which rows of an item's table, in what order.

    ``constants`` are values of key columns; ``sort`` is a column, ``-`` before it for the greatest
    first; ``listed`` is one of :data:`LISTED`. A ``limit`` of ``None`` is for all rows.
    """

    item_class: type[TableItem]
    constants: Mapping[str, str]
    columns: Sequence[str]
    sort: str
    search: str | None = None
    limit: int | None = 20
    offset: int = 0
    listed: str = "all"
    conditions: Sequence[Condition] = ()

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of the statements that the filter is for."""
        own = {"search": self.search, "limit": self.limit, "offset": self.offset}
        wanted = {f"condition_{n}": each.value for n, each in enumerate(self.conditions)}
        return own | wanted | _constant_values(self.constants)

    def parts(self) -> dict[str, sql.Composable]:
        """The parts of the statements that the filter is for."""
        found = sql.SQL(" OR ").join(
            sql.SQL(_FOUND).format(sql.Identifier(name)) for name in self.item_class.searched
        )
        return _parts(self.item_class, self.constants) | {
            "listed": LISTED[self.listed],
            "conditions": sql.SQL(" AND ").join(
                each.sql(f"condition_{n}") for n, each in enumerate(self.conditions)
            )
            if self.conditions
            else sql.SQL("true"),
            "found": found if self.item_class.searched else sql.SQL("false"),
        }


def list_rows(connection: Connection, chosen: RowFilter) -> Listing:
    """Raises :exc:`ConfigurationError` for a column that there is not."""
    sort = chosen.sort.removeprefix("-")
    wanted = [condition.column for condition in chosen.conditions]
    _check_columns(chosen.item_class, sort, *chosen.columns, *wanted)
    statement = _ROWS if chosen.limit is None else _PAGE
    query = sql.SQL(statement).format(
        primary_key=_names(primary_key(chosen.item_class)),
        columns=_names(chosen.columns),
        sort=sql.Identifier(sort),
        direction=sql.SQL("DESC" if chosen.sort.startswith("-") else "ASC"),
        **chosen.parts(),
    )
    return _list(connection, query, chosen.values)


def count_rows(connection: Connection, chosen: RowFilter) -> int:
    """How many there are beyond the filter's limit and offset."""
    query = sql.SQL(_COUNT).format(**chosen.parts())
    [[count]] = _list(connection, query, chosen.values).rows
    return int(count)


def find_row(
    connection: Connection, item_class: type[TableItem], key: str, constants: Mapping[str, str]
) -> dict[str, Any] | None:
    """A row with all its columns, by the first column of its key and the constants."""
    query = sql.SQL(_ROW).format(
        columns=_names(stored_columns(item_class)), **_parts(item_class, constants)
    )
    found = _list(connection, query, {"key": key} | _constant_values(constants)).dicts()
    return found[0] if found else None


def list_values(connection: Connection, item_class: type[TableItem], column: str) -> list[str]:
    """The different values of a column, in their order."""
    query = sql.SQL(_VALUES).format(
        column=sql.Identifier(column), table=sql.Identifier(item_class.table)
    )
    return [value for (value,) in _list(connection, query, {}).rows]


def similar_keys(connection: Connection, chosen: RowFilter, limit: int = 3) -> list[str]:
    """The keys most like what the filter searches for, where it finds nothing."""
    query = sql.SQL(_KEYS).format(**_parts(chosen.item_class, chosen.constants))
    keys = [key for (key,) in _list(connection, query, chosen.values).rows]
    return difflib.get_close_matches((chosen.search or "").lower(), keys, n=limit)


def list_crawls(
    connection: Connection, limit: int | None, offset: int = 0, *,
    outcome: str | None = None, schedule: str | None = None,
) -> Listing:  # fmt: skip
    """The newest first: all, or those of an outcome (``running`` is one) or of a schedule."""
    values = {"limit": limit, "offset": offset, "outcome": outcome, "schedule": schedule}
    return _list(connection, sql.SQL(_CRAWLS), values)


def read_crawl_arguments(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """What crawls were started with, by their ids."""
    rows = _list(connection, sql.SQL(_CRAWL_ARGUMENTS), {"ids": list(ids)}).rows
    return {crawl_id: json.loads(text) for crawl_id, text in rows}


def list_rejected_records(
    connection: Connection, limit: int | None, offset: int = 0, crawl: int | None = None,
    reason: str | None = None,
) -> Listing:  # fmt: skip
    """The newest first: of all crawls, or of one; for any reason, or for one."""
    values = {"limit": limit, "offset": offset, "crawl": crawl, "reason": reason}
    return _list(connection, sql.SQL(_REJECTED), values)


def count_rejected_reasons(connection: Connection, crawl: int | None = None) -> dict[str, int]:
    """How many records each reason has, the most frequent first; twenty reasons at most."""
    rows: Any = _list(connection, sql.SQL(_REASONS), {"crawl": crawl}).rows
    return dict(rows)


def _parts(item_class: type[TableItem], constants: Mapping[str, str]) -> dict[str, sql.Composable]:
    conditions = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(f"constant_{name}"))
        for name in constants
    ]
    return {
        "table": sql.Identifier(item_class.table),
        "key": sql.Identifier(primary_key(item_class)[0]),
        "constants": sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true"),
    }


def _constant_values(constants: Mapping[str, str]) -> dict[str, str]:
    # Apart from the other parameters, whatever a column is called.
    return {f"constant_{name}": value for name, value in constants.items()}


def _check_columns(item_class: type[TableItem], *names: str) -> None:
    known = stored_columns(item_class)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigurationError(f"no column {name}{hint}: there are {', '.join(known)}")


def _names(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _list(connection: Connection, query: sql.SQL | sql.Composed, values: dict[str, Any]) -> Listing:
    # As text: read, its numbers would lose digits.
    set_json_loads(Raw, connection)
    try:
        return Listing(*fetch_all(connection, query, values))
    except errors.UndefinedTable:
        raise NothingCrawledError(
            f"nothing was crawled into this database yet: {program()} crawl coins"
        ) from None
