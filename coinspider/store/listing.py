"""A narrow copy of an item's table, in which the pages find their rows.

It has the keys and the columns that rows are searched, filtered and sorted by; what a page shows is
read from the table itself. An index can't do this: on a column that every crawl changes, it would
cost each crawl more than it saves a page. The copy may be dropped at any time, and is made again.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg import Connection, errors, sql

from coinspider.records.table_item import Column, TableItem, columns, primary_key
from coinspider.store.earlier_prices import earlier_price
from coinspider.store.fetch import nothing_crawled
from coinspider.store.listing_order import ROW_ID, make_orders, order_table
from coinspider.store.row_filter import SEARCHED
from coinspider.store.schema import identifiers

TABLE = "coinspider_listing"
ORDER_TABLE = order_table(TABLE)
_NEW = f"{TABLE}_new"
NOTED = ("delisted_at", "first_crawled_at")
# Otherwise two processes that make it at the same time would wait for each other.
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('coinspider listing'))"
_PLANS = "SET LOCAL work_mem = '64MB'"
_PATIENCE = "SET LOCAL lock_timeout = '2s'"
_MARK = "made by coinspider for its pages, from time to time anew"
_OWNER = """
SELECT obj_description(to_regclass(%(table)s), 'pg_class') WHERE to_regclass(%(table)s) IS NOT NULL
"""
_COMMENT = "COMMENT ON TABLE {new} IS {mark}; COMMENT ON TABLE {new_orders} IS {mark}"
# Unlogged: a crash of the server may empty it. With OFFSET 0 each change is computed only once. In
# the order in which most pages are asked for, which the index has too, the last page costs little.
_MAKE = """
CREATE UNLOGGED TABLE {new} AS
SELECT row_number() OVER (ORDER BY {order})::integer AS {row_id}, {columns}
FROM (SELECT asked.* {changes} FROM {table} AS asked OFFSET 0) AS asked
ORDER BY {order}
"""
_INDEX = """
CREATE INDEX ON {new} ({order}) WHERE delisted_at IS NULL;
CREATE INDEX ON {new} ({row_id});
ANALYZE {new}
"""
# The orders first, as a page reads them first; otherwise each would wait for the other.
_REPLACE = """
DROP TABLE IF EXISTS {old_orders}, {old};
ALTER TABLE {new_orders} RENAME TO {old_orders};
ALTER TABLE {new} RENAME TO {old}
"""
# Floats sort in a quarter of the time of numerics; values they can't hold keep their order.
_FLOAT = """
CASE WHEN abs({0}) >= 1e300 THEN sign({0}) * 1e300 WHEN abs({0}) < 1e-300 THEN 0 ELSE {0} END
::float8
"""
_CHANGE = ", (asked.{price} / nullif({then}, 0) - 1) * 100 AS {name}"
_UNKNOWN = ", NULL::numeric AS {name}"
_TEXT = "lower(coalesce(asked.{}, ''))"
_VERSION = """
SELECT (SELECT max(ended_at) FROM (SELECT ended_at FROM crawl ORDER BY id DESC LIMIT 50) AS latest),
       pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid)
           + pg_stat_get_tuples_deleted(oid)
FROM (SELECT to_regclass(quote_ident(%s))::oid AS oid) AS item
"""


class Version(NamedTuple):
    """When a crawl last ended, and how many rows have been written so far."""

    ended_at: datetime | None
    written: int | None


def listed_columns(item_class: type[TableItem]) -> list[str]:
    """The columns of the table that are in the copy, beside the key."""
    return [*(c.name for c in _listed(item_class)), *NOTED]


def listing_version(connection: Connection, item_class: type[TableItem]) -> Version:
    """The state that a copy made now would reflect; cheap. Raises :exc:`NothingCrawledError`."""
    try:
        row = connection.execute(_VERSION, [item_class.table]).fetchone()
    except errors.UndefinedTable:
        raise nothing_crawled() from None
    assert row
    return Version(*row)


def make_listing(
    connection: Connection,
    item_class: type[TableItem],
    ages: Mapping[str, timedelta],
    sorts: Collection[str] = (),
) -> bool:
    """Make the copy, which replaces an earlier one.

    Returns false if another process is making it, or if somebody else has a table of its name.
    ``ages`` are columns with the change of the price in per cent, each with the time over which it
    is measured. ``sorts`` are further columns of the table, by which the copy can be sorted.
    """
    [locked] = connection.execute(_LOCK).fetchone() or [False]
    if not locked or not _is_ours(connection):
        return False
    key, *constants = primary_key(item_class)
    order = identifiers([*constants, *item_class.shown[:1], key])
    sorted_by = [*listed_columns(item_class), key, *ages]
    tables = {
        "new": sql.Identifier(_NEW),
        "old": sql.Identifier(TABLE),
        "new_orders": sql.Identifier(order_table(_NEW)),
        "old_orders": sql.Identifier(ORDER_TABLE),
        "order": order,
        "row_id": sql.Identifier(ROW_ID),
    }
    connection.execute(_PLANS)
    make = sql.SQL(_MAKE).format(
        columns=_shown(item_class, ages),
        table=sql.Identifier(item_class.table),
        changes=_changes(connection, item_class, ages),
        **tables,
    )
    connection.execute(make)
    connection.execute(sql.SQL(_INDEX).format(**tables))
    make_orders(connection, item_class, _NEW, sorted_by, sorts)
    connection.execute(sql.SQL(_COMMENT).format(mark=sql.Literal(_MARK), **tables))
    connection.execute(_PATIENCE)
    connection.execute(sql.SQL(_REPLACE).format(**tables))
    return True


def _shown(item_class: type[TableItem], ages: Mapping[str, timedelta]) -> sql.Composed:
    """The values of the copy, and their names."""
    found: dict[str, sql.Composable] = {
        name: sql.Identifier("asked", name) for name in (*primary_key(item_class), *NOTED)
    }
    found[SEARCHED] = _searched(item_class)
    found |= {column.name: _value(column) for column in _listed(item_class)}
    found |= {name: _float(name) for name in ages}
    shown = [sql.SQL("{} AS {}").format(value, sql.Identifier(n)) for n, value in found.items()]
    return sql.SQL(", ").join(shown)


def _is_ours(connection: Connection) -> bool:
    """Nobody else's table is dropped for it."""
    for table in (TABLE, ORDER_TABLE):
        found = connection.execute(_OWNER, {"table": table}).fetchone()
        if found and found[0] != _MARK:
            return False
    return True


def _listed(item_class: type[TableItem]) -> list[Column]:
    wanted = set(item_class.shown) - set(primary_key(item_class))
    return [c for c in columns(item_class) if c.name in wanted or c.version]


def _value(column: Column) -> sql.Composable:
    return _float(column.name) if column.type.is_number else sql.Identifier("asked", column.name)


def _float(name: str) -> sql.Composable:
    return sql.SQL(_FLOAT).format(sql.Identifier("asked", name))


def _searched(item_class: type[TableItem]) -> sql.Composable:
    texts = [sql.SQL(_TEXT).format(sql.Identifier(name)) for name in item_class.searched]
    # One line each, so that no search matches across two.
    return sql.SQL(" || chr(10) || ").join(texts) if texts else sql.SQL("''")


def _changes(
    connection: Connection, item_class: type[TableItem], ages: Mapping[str, timedelta]
) -> sql.Composed:
    found: list[sql.Composable] = []
    for name, age in ages.items():
        moment = sql.SQL("(now() - {})").format(sql.Literal(age))
        then = earlier_price(connection, item_class, moment)
        parts = {
            "name": sql.Identifier(name),
            "price": sql.Identifier(item_class.candle_price or ""),
        }
        found.append(sql.SQL(_CHANGE if then else _UNKNOWN).format(then=then, **parts))
    return sql.Composed(found)
