"""The tables, made from the items."""

from typing import NamedTuple

from msgspec.inspect import BoolType, DateTimeType, DecimalType, IntType, RawType, StrType
from psycopg import AsyncConnection, sql

from coinspider.inferred_item import make_item_class
from coinspider.table_item import Column, TableItem, columns, primary_key

SQL_TYPES = {
    StrType: "text",
    IntType: "bigint",
    # Without precision: numeric(p, s) would round small prices to 0 and refuse large supplies.
    DecimalType: "numeric",
    DateTimeType: "timestamptz",
    BoolType: "boolean",
    RawType: "jsonb",
}


class Table(NamedTuple):
    """A table: each column's definition in SQL, by its name, and what follows the columns."""

    name: str
    columns: dict[str, str]
    primary_key: list[str]
    options: str = ""


SOURCE_STATE = Table(
    "source_state",
    {
        "source": "text",
        "since": "text NOT NULL",
        "updated_at": "timestamptz NOT NULL DEFAULT now()",
    },
    ["source"],
)
_STORED_TYPES = """
SELECT column_name, data_type FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = %s ORDER BY ordinal_position
"""
_STORED_KEYS = """
SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
WHERE indisprimary AND indrelid = to_regclass(quote_ident(%s))
"""
CRAWL = Table(
    "crawl",
    {
        "id": "bigint GENERATED ALWAYS AS IDENTITY",
        "spider": "text NOT NULL",
        "job": "text",
        "arguments": "jsonb NOT NULL DEFAULT '{}'",
        "url": "text NOT NULL",
        "vs_currency": "text",
        "lock_name": "text",
        "host": "text",
        "process_id": "integer",
        "started_at": "timestamptz NOT NULL",
        "updated_at": "timestamptz NOT NULL DEFAULT now()",
        "ended_at": "timestamptz",
        "outcome": "text",
        "message": "text",
        "batch_count": "bigint NOT NULL DEFAULT 0",
        "page_count": "bigint NOT NULL DEFAULT 0",
        "record_count": "bigint NOT NULL DEFAULT 0",
        "inserted_count": "bigint NOT NULL DEFAULT 0",
        "updated_count": "bigint NOT NULL DEFAULT 0",
        "unchanged_count": "bigint NOT NULL DEFAULT 0",
        "rejected_count": "bigint NOT NULL DEFAULT 0",
        "delisted_count": "bigint NOT NULL DEFAULT 0",
        "refused_count": "bigint NOT NULL DEFAULT 0",
        "wait_seconds": "double precision NOT NULL DEFAULT 0",
        "response_bytes": "bigint NOT NULL DEFAULT 0",
    },
    ["id"],
)
REJECTED_RECORD = Table(
    "rejected_record",
    {
        "id": "bigint GENERATED ALWAYS AS IDENTITY",
        "crawl_id": "bigint REFERENCES crawl ON DELETE SET NULL",
        "rejected_at": "timestamptz NOT NULL DEFAULT now()",
        "source_url": "text",
        "text": "text NOT NULL",
        "reason": "text NOT NULL",
    },
    ["id"],
)


async def stored_item_class(connection: AsyncConnection, table: str) -> type[TableItem] | None:
    """An item class for a table as an earlier crawl has made it; ``None`` where there is none."""
    keys = await (await connection.execute(_STORED_KEYS, [table])).fetchall()
    types = await (await connection.execute(_STORED_TYPES, [table])).fetchall()
    return make_item_class(table, [key for (key,) in keys], dict(types)) if keys else None


async def create_tables(connection: AsyncConnection, item_class: type[TableItem] | None) -> None:
    """Create what is missing; two processes may do so at once."""
    async with connection.transaction():
        # IF NOT EXISTS alone fails when two processes create the same table at the same moment.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('coinspider schema'))")
        for table in (
            CRAWL,
            REJECTED_RECORD,
            SOURCE_STATE,
            *([_table(item_class)] if item_class else []),
        ):
            found = await connection.execute("SELECT to_regclass(quote_ident(%s))", [table.name])
            if await found.fetchone() == (None,):
                await connection.execute(_create(table))


def _table(item_class: type[TableItem]) -> Table:
    # The free room in each block lets an update stay in it and leave the index alone (HOT):
    # https://www.postgresql.org/docs/current/storage-hot.html
    definitions = {column.name: _definition(column) for column in columns(item_class)}
    return Table(
        item_class.table,
        definitions | {"delisted_at": "timestamptz"},
        primary_key(item_class),
        "WITH (fillfactor = 85)",
    )


def _create(table: Table) -> sql.Composed:
    return sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({})) {}").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(definition))
            for name, definition in table.columns.items()
        ),
        sql.SQL(", ").join(map(sql.Identifier, table.primary_key)),
        sql.SQL(table.options),
    )


def _definition(column: Column) -> str:
    return SQL_TYPES[column.type] + (" NOT NULL" if column.required else "")


def sql_type(column: Column) -> sql.SQL:
    return sql.SQL(SQL_TYPES[column.type])
