"""What the tables are: those of the items, and coinspider's own."""

from typing import LiteralString, NamedTuple

from msgspec.inspect import BoolType, DateTimeType, DecimalType, IntType, RawType, StrType
from psycopg import sql

from coinspider.records.table_item import Column, TableItem, columns, history_columns, primary_key

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
    """A table: the SQL type of each column, with its constraints, by name; what follows these.

    ``fill`` has the statements that fill columns added to a table that has rows already.
    """

    name: str
    columns: dict[str, str]
    primary_key: list[str]
    options: str = ""
    fill: dict[str, LiteralString] = {}  # noqa: RUF012


SOURCE_STATE = Table(
    "source_state",
    {
        "source": "text",
        "since": "text NOT NULL",
        "updated_at": "timestamptz NOT NULL DEFAULT now()",
    },
    ["source"],
)
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
        "page_count": "integer NOT NULL DEFAULT 0",
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
    # Once only complete crawls had a row.
    fill={"outcome": "UPDATE crawl SET outcome = 'complete' WHERE ended_at IS NOT NULL"},
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


def item_table(item_class: type[TableItem]) -> Table:
    """The table of an item: a column for each of its fields, and what a crawl itself notes."""
    # The free room in each block lets an update stay in it and leave the index alone (HOT):
    # https://www.postgresql.org/docs/current/storage-hot.html
    definitions = {column.name: _definition(column) for column in columns(item_class)}
    return Table(
        item_class.table,
        definitions | {"delisted_at": "timestamptz"},
        primary_key(item_class),
        "WITH (fillfactor = 85)",
    )


def history_table(item_class: type[TableItem]) -> Table | None:
    """The table of an item's changes, with a partition for each month in which they were made."""
    if not item_class.history_table:
        return None
    definitions = {
        column.name: _definition(column).removesuffix(" NOT NULL")
        for column in history_columns(item_class)
    }
    return Table(
        item_class.history_table,
        definitions | {"recorded_at": "timestamptz NOT NULL DEFAULT now()"},
        [*primary_key(item_class), "recorded_at"],
        "PARTITION BY RANGE (recorded_at)",
    )


def _definition(column: Column) -> str:
    return SQL_TYPES[column.type] + (" NOT NULL" if column.required else "")


def sql_type(column: Column) -> sql.SQL:
    return sql.SQL(SQL_TYPES[column.type])
