"""The tables that crawls have filled, with their columns, as lists of their rows need them."""

import difflib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from psycopg import Connection, sql

from coinspider.errors import ViewError
from coinspider.records.table_item import TableItem
from coinspider.secrets import is_secret_name
from coinspider.store.fetch import fetch_listing
from coinspider.store.schema import CRAWL, REJECTED_RECORD, item_table
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
WHERE columns @> '{extra,first_crawled_at}' OR table_name = ANY (%(told)s)
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


class UnknownTableError(ViewError):
    """No crawl has filled a table of this name; ``tables`` are those that there are."""

    def __init__(self, name: str, tables: Sequence[str]):
        near = difflib.get_close_matches(name, tables, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        there = f"there are {', '.join(tables)}"
        super().__init__(404, f"there is no table {visible(name[:100])}{hint}: {there}")
        self.tables = tables


def find_table(connection: Connection, name: str) -> StoredTable:
    """Raises :exc:`UnknownTableError`."""
    tables = list_tables(connection)
    if name not in tables:
        raise UnknownTableError(name, list(tables))
    return tables[name]
