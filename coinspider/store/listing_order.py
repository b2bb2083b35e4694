"""The order of the listing's rows by each of its columns: the ids of the rows, as an array.

A page is a slice of such an array. Without it, 200,000 rows would have to be sorted for each page,
which takes longer than everything else on it.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from psycopg import Connection, sql

from coinspider.records.table_item import TableItem, primary_key
from coinspider.store.fetch import fetch_listing
from coinspider.store.row_filter import RowFilter, key_parts
from coinspider.store.schema import identifiers

ROW_ID = "row_id"
"""The listing's column with the number of a row."""

# EXTERNAL: an array is read ten times as fast if it is not compressed.
_CREATE = """
CREATE UNLOGGED TABLE {order} AS
SELECT {constants} ''::text AS column_name, 0::bigint AS value_count, 0::bigint AS null_count,
       '{{}}'::integer[] AS ids, '{{}}'::integer[] AS null_ids
FROM {listing} LIMIT 0;
ALTER TABLE {order} ALTER ids SET STORAGE EXTERNAL, ALTER null_ids SET STORAGE EXTERNAL
"""
_ADD = """
INSERT INTO {order}
SELECT {constants} {name}, count({column}), count(*) - count({column}),
       coalesce(array_agg({row_id} ORDER BY {column}, {key}) FILTER (WHERE {column} IS NOT NULL),
                '{{}}'),
       coalesce(array_agg({row_id} ORDER BY {key}) FILTER (WHERE {column} IS NULL), '{{}}')
FROM {rows} WHERE delisted_at IS NULL {group}
"""
# A column that only the table has.
_STORED = """
(SELECT {keys}, {row_id}, listed.delisted_at, stored.{column}
 FROM {listing} AS listed JOIN {table} AS stored USING ({keys})) AS joined
"""
_COUNTS = """
SELECT value_count, null_count FROM {order} WHERE {constants} AND column_name = %(sort)s
"""
IDS = """
ARRAY(SELECT unnest(ids[%(first)s:%(last)s] || null_ids[%(first_null)s:%(last_null)s])
      FROM {order} WHERE {constants} AND column_name = %(sort)s)
"""
"""The ids of a page, for the values of :meth:`Slices.values`."""


class Slices(NamedTuple):
    """Which elements of both arrays are on a page; from 1, both ends included."""

    first: int
    last: int
    first_null: int
    last_null: int


class OrderSize(NamedTuple):
    """How many rows have a value in the sorted column, and how many have none."""

    value_count: int
    null_count: int

    def slices(self, offset: int, limit: int, descending: bool) -> Slices:
        """The elements of a page. Rows without a value come last in both directions."""
        values = _slice(offset, limit, self.value_count, descending)
        nulls = _slice(offset - self.value_count, limit, self.null_count, descending)
        return Slices(*values, *nulls)


def _slice(offset: int, limit: int, length: int, descending: bool) -> tuple[int, int]:
    first, last = max(offset, 0) + 1, min(offset + limit, length)
    return (length - last + 1, length - first + 1) if descending else (first, last)


def order_table(listing: str) -> str:
    """The name of the table with its orders."""
    return f"{listing}_order"


def make_orders(
    connection: Connection,
    item_class: type[TableItem],
    listing: str,
    names: Sequence[str],
    stored: Collection[str] = (),
) -> None:
    """Make the table of the orders by these columns, of the rows that are still listed.

    ``stored`` are columns that only the item's table has.
    """
    keys = primary_key(item_class)
    key, *constants = keys
    parts: dict[str, sql.Composable] = {
        "keys": identifiers(keys),
        "table": sql.Identifier(item_class.table),
        "order": sql.Identifier(order_table(listing)),
        "listing": sql.Identifier(listing),
        "row_id": sql.Identifier(ROW_ID),
        "key": sql.Identifier(key),
        "constants": sql.SQL("{},").format(identifiers(constants)) if constants else sql.SQL(""),
        "group": sql.SQL("GROUP BY {}").format(identifiers(constants))
        if constants
        else sql.SQL(""),
    }
    connection.execute(sql.SQL(_CREATE).format(**parts))
    for name in [*names, *stored]:
        parts |= {"name": sql.Literal(name), "column": sql.Identifier(name)}
        rows = sql.SQL(_STORED).format(**parts) if name in stored else parts["listing"]
        connection.execute(sql.SQL(_ADD).format(rows=rows, **parts))


def is_whole(chosen: RowFilter) -> bool:
    """Whether all rows that are still listed are wanted, so that an order says where each is."""
    return bool(
        chosen.listing and chosen.listed == "listed" and not chosen.search and not chosen.conditions
    )


def order_size(connection: Connection, chosen: RowFilter) -> OrderSize | None:
    """``None`` if there is no order by the column."""
    statement = sql.SQL(_COUNTS).format(**order_parts(chosen))
    rows = fetch_listing(connection, statement, order_values(chosen)).rows
    return OrderSize(*rows[0]) if rows else None


def order_parts(chosen: RowFilter) -> dict[str, sql.Composable]:
    constants = key_parts(chosen.item_class, chosen.constants)["constants"]
    assert chosen.listing
    return {"order": sql.Identifier(order_table(chosen.listing)), "constants": constants}


def order_values(chosen: RowFilter) -> dict[str, object]:
    return chosen.values | {"sort": chosen.sort.removeprefix("-")}
