"""Lists of rows from the tables: items, crawls, rejected records."""

import difflib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Raw
from psycopg import Connection, errors, sql
from psycopg.types.json import set_json_loads

from coinspider.crawl.program import program
from coinspider.errors import ConfigurationError, NothingCrawledError
from coinspider.records.table_item import TableItem, primary_key, stored_columns
from coinspider.store.unloadable import fetch_all

SEARCHED = "searched"
"""The listing's column for searches: the item's texts in lower case."""

LISTED = {
    "all": sql.SQL("true"),
    "listed": sql.SQL("delisted_at IS NULL"),
    "delisted": sql.SQL("delisted_at IS NOT NULL"),
}
_COMPARISONS = {
    ">=": sql.SQL("{} >= {}"),
    "<=": sql.SQL("{} <= {}"),
    "IN": sql.SQL("{} = ANY ({})"),
    # Until the first whole crawl ended, nothing counts as new.
    "NEW": sql.SQL("{} >= greatest({}, (SELECT coalesce(({first}), 'infinity')))"),
}
_FIRST = sql.SQL("""
SELECT ended_at FROM crawl
WHERE vs_currency = %(constant_vs_currency)s AND outcome = 'complete' AND whole IS NOT FALSE
ORDER BY id LIMIT 1
""")
_MATCHING = """
FROM {looked_in} WHERE {constants} AND {listed} AND {conditions}
    AND (%(search)s::text IS NULL OR {key} = lower(%(search)s) OR {found})
"""
_ROWS = f"""
SELECT {{columns}} {_MATCHING}
ORDER BY {{sort}} {{direction}} NULLS LAST, {{key}} LIMIT %(limit)s OFFSET %(offset)s
"""
# Only the keys are sorted, and only the rows of the page are read completely: 200,000 wide rows
# would not fit in memory. The rows of a page are in the order of the values it shows.
_PAGE = f"""
SELECT {{columns}} FROM {{table}} AS stored JOIN (
    SELECT {{found_columns}} {_MATCHING}
    ORDER BY {{found_sort}} {{direction}} NULLS LAST, {{key}} LIMIT %(limit)s OFFSET %(offset)s
) AS page USING ({{primary_key}})
ORDER BY {{shown_sort}} {{direction}} NULLS LAST, {{key}}
"""  # noqa: S608
_COUNT = f"SELECT count(*) {_MATCHING}"
_FOUND = "strpos(lower({}), lower(%(search)s)) > 0"
# As :data:`SEARCHED` has it.
_FOUND_LISTED = "strpos({}, lower(%(search)s)) > 0"
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
    """Rows and the names of their columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Condition(NamedTuple):
    """What a column must be: ``>=`` or ``<=`` a value, one ``IN`` some, or the time at which a row
    was first crawled, since this time and as a ``NEW`` one.
    """

    column: str
    operator: str
    value: Any

    def sql(self, parameter: str) -> sql.Composed:
        column, value = sql.Identifier(self.column), sql.Placeholder(parameter)
        return _COMPARISONS[self.operator].format(column, value, first=_FIRST)


class RowFilter(NamedTuple):
    """Which rows of an item's table to list, and in what order.

    ``constants`` are values of key columns; ``sort`` is a column, ``-`` before it for the greatest
    first; ``listed`` is one of :data:`LISTED`. A ``limit`` of ``None`` is for all rows. With a
    ``listing`` they are looked for in that narrow copy of the table (see ``store/listing.py``), of
    which ``listed_columns`` are shown, too: changes in per cent.
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
    listing: str | None = None
    listed_columns: Sequence[str] = ()

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of the statements that the filter is for."""
        own = {"search": self.search, "limit": self.limit, "offset": self.offset}
        wanted = {f"condition_{n}": each.value for n, each in enumerate(self.conditions)}
        return own | wanted | _constant_values(self.constants)

    def parts(self) -> dict[str, sql.Composable]:
        """The parts of the statements that the filter is for."""
        template = _FOUND_LISTED if self.listing else _FOUND
        searched = [SEARCHED] if self.listing else self.item_class.searched
        found = sql.SQL(" OR ").join(
            sql.SQL(template).format(sql.Identifier(name)) for name in searched
        )
        return _parts(self.item_class, self.constants) | {
            "looked_in": sql.Identifier(self.listing or self.item_class.table),
            "listed": LISTED[self.listed],
            "conditions": sql.SQL(" AND ").join(
                each.sql(f"condition_{n}") for n, each in enumerate(self.conditions)
            )
            if self.conditions
            else sql.SQL("true"),
            "found": found if self.item_class.searched else sql.SQL("false"),
        }


def list_rows(connection: Connection, chosen: RowFilter) -> Listing:
    """Raises :exc:`ConfigurationError` for an unknown column."""
    sort = chosen.sort.removeprefix("-")
    wanted = [condition.column for condition in chosen.conditions]
    _check_columns(chosen, sort, *chosen.columns, *wanted)
    paged = chosen.limit is not None or chosen.listing
    keys = primary_key(chosen.item_class)
    stored = [_of_table(n) if paged else sql.Identifier(n) for n in chosen.columns]
    query = sql.SQL(_PAGE if paged else _ROWS).format(
        primary_key=_names(keys),
        found_columns=_names([*keys, *chosen.listed_columns]),
        columns=sql.SQL(", ").join([*stored, *map(_rounded, chosen.listed_columns)]),
        # If all rows are wanted, they are sorted only once.
        found_sort=sql.Identifier(sort if chosen.limit is not None else keys[0]),
        sort=sql.Identifier(sort),
        shown_sort=_of_page(sort) if sort in chosen.listed_columns else _of_table(sort),
        direction=sql.SQL("DESC" if chosen.sort.startswith("-") else "ASC"),
        **chosen.parts(),
    )
    return _list(connection, query, chosen.values)


def count_rows(connection: Connection, chosen: RowFilter) -> int:
    """How many rows there are, regardless of the filter's limit and offset."""
    query = sql.SQL(_COUNT).format(**chosen.parts())
    [[count]] = _list(connection, query, chosen.values).rows
    return int(count)


def first_complete_crawl(connection: Connection, currency: str) -> datetime | None:
    """When the first whole crawl of a currency ended; coins that came later are new."""
    rows = _list(connection, _FIRST, {"constant_vs_currency": currency}).rows
    return rows[0][0] if rows else None


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
    """The distinct values of a column, in order."""
    query = sql.SQL(_VALUES).format(
        column=sql.Identifier(column), table=sql.Identifier(item_class.table)
    )
    return [value for (value,) in _list(connection, query, {}).rows]


def similar_keys(connection: Connection, chosen: RowFilter, limit: int = 3) -> list[str]:
    """The keys most similar to a search that finds nothing."""
    query = sql.SQL(_KEYS).format(**_parts(chosen.item_class, chosen.constants))
    keys = [key for (key,) in _list(connection, query, chosen.values).rows]
    return difflib.get_close_matches((chosen.search or "").lower(), keys, n=limit)


def list_crawls(
    connection: Connection, limit: int | None, offset: int = 0, *,
    outcome: str | None = None, schedule: str | None = None,
) -> Listing:  # fmt: skip
    """The newest crawls first: all, or those with an outcome (or ``running``) or of a schedule."""
    values = {"limit": limit, "offset": offset, "outcome": outcome, "schedule": schedule}
    return _list(connection, sql.SQL(_CRAWLS), values)


def read_crawl_arguments(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """The arguments crawls were started with, by their ids."""
    rows = _list(connection, sql.SQL(_CRAWL_ARGUMENTS), {"ids": list(ids)}).rows
    return {crawl_id: json.loads(text) for crawl_id, text in rows}


def list_rejected_records(
    connection: Connection, limit: int | None, offset: int = 0, crawl: int | None = None,
    reason: str | None = None,
) -> Listing:  # fmt: skip
    """The newest rejected records first: of all crawls or one, for any reason or one."""
    values = {"limit": limit, "offset": offset, "crawl": crawl, "reason": reason}
    return _list(connection, sql.SQL(_REJECTED), values)


def count_rejected_reasons(connection: Connection, crawl: int | None = None) -> dict[str, int]:
    """The number of records for each reason, the most frequent first; at most twenty reasons."""
    rows: Any = _list(connection, sql.SQL(_REASONS), {"crawl": crawl}).rows
    return dict(rows)


def nothing_crawled() -> NothingCrawledError:
    return NothingCrawledError(
        f"nothing was crawled into this database yet: {program()} crawl coins"
    )


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
    # Distinct from the other parameters, whatever a column is called.
    return {f"constant_{name}": value for name, value in constants.items()}


def _of_page(name: str) -> sql.Identifier:
    return sql.Identifier("page", name)


def _rounded(name: str) -> sql.Composed:
    return sql.SQL("round({}::numeric, 5) AS {}").format(_of_page(name), sql.Identifier(name))


def _of_table(name: str) -> sql.Identifier:
    return sql.Identifier("stored", name)


def _check_columns(chosen: RowFilter, *names: str) -> None:
    known = [*stored_columns(chosen.item_class), *chosen.listed_columns]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigurationError(f"no column {name}{hint}: there are {', '.join(known)}")


def _names(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _list(connection: Connection, query: sql.SQL | sql.Composed, values: dict[str, Any]) -> Listing:
    # As text, because decoded numbers would lose digits.
    set_json_loads(Raw, connection)
    try:
        return Listing(*fetch_all(connection, query, values))
    except errors.UndefinedTable:
        raise nothing_crawled() from None
    except errors.UndefinedColumn:
        raise NothingCrawledError(
            "the tables are of an earlier version, and the next crawl adds what they lack:"
            f" {program()} crawl coins"
        ) from None
