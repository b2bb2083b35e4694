"""The tables, made from the items."""

from msgspec.inspect import DateTimeType, DecimalType, IntType, RawType, StrType
from psycopg import AsyncConnection, sql

from coinspider.table_item import Column, TableItem, columns, primary_key

SQL_TYPES = {
    StrType: "text",
    IntType: "bigint",
    # Without precision: numeric(p, s) would round small prices to 0 and refuse large supplies.
    DecimalType: "numeric",
    DateTimeType: "timestamptz",
    RawType: "jsonb",
}
REJECTED_RECORD = sql.SQL("""
CREATE TABLE rejected_record (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rejected_at timestamptz NOT NULL DEFAULT now(),
    source_url text,
    text text NOT NULL,
    reason text NOT NULL
)""")


CRAWL = sql.SQL("""
CREATE TABLE crawl (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    spider text NOT NULL,
    url text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT now(),
    page_count integer NOT NULL,
    record_count bigint NOT NULL
)""")


async def create_tables(connection: AsyncConnection, item_class: type[TableItem]) -> None:
    """Create what is missing; two processes may do so at once."""
    tables: dict[str, sql.Composed | sql.SQL] = {
        "crawl": CRAWL,
        item_class.table: _create_table(item_class),
        "rejected_record": REJECTED_RECORD,
    }
    async with connection.transaction():
        # IF NOT EXISTS alone fails when two processes create the same table at the same moment.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('coinspider schema'))")
        for name, create in tables.items():
            found = await connection.execute("SELECT to_regclass(quote_ident(%s))", [name])
            if await found.fetchone() == (None,):
                await connection.execute(create)


def _create_table(item_class: type[TableItem]) -> sql.Composed:
    # The free room in each block lets an update stay in it and leave the index alone (HOT):
    # https://www.postgresql.org/docs/current/storage-hot.html
    return sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({})) WITH (fillfactor = 85)").format(
        sql.Identifier(item_class.table),
        sql.SQL(", ").join(map(_define, columns(item_class))),
        sql.SQL(", ").join(map(sql.Identifier, primary_key(item_class))),
    )


def _define(column: Column) -> sql.Composed:
    not_null = sql.SQL(" NOT NULL" if column.required else "")
    return sql.SQL("{} {}{}").format(sql.Identifier(column.name), sql_type(column), not_null)


def sql_type(column: Column) -> sql.SQL:
    return sql.SQL(SQL_TYPES[column.type])
