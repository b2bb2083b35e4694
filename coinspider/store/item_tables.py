"""The tables of an item: of its rows, its changes, its candles."""

from psycopg import sql

from coinspider.records.table_item import (
    Column,
    TableItem,
    candle_values,
    columns,
    history_columns,
    primary_key,
)
from coinspider.store.definition import (
    FIRST_CRAWLED,
    NEEDED_TEXT,
    NEEDED_TIME,
    NOW,
    TIME,
    SqlColumn,
    Table,
)
from coinspider.store.schema import CANDLE_STATE

# An array of arrays, one for each hour, so that similar values (the four prices of an hour) are
# side by side: compressed, it takes three quarters of an array for each value.
_HOURS = {"hour": SqlColumn("smallint[]"), "candles": SqlColumn("numeric[]")}
# PostgreSQL doesn't compress rows below 2 kB, and a day's candles often take a little less. With
# the filler, which shrinks to 40 bytes, they shrink to half:
# https://www.postgresql.org/docs/current/storage-toast.html
FILLER = SqlColumn("text", default="repeat(' ', 2100)")


def item_table(item_class: type[TableItem]) -> Table:
    """The table of an item: a column for each field, and those that crawls set themselves."""
    # Free space in each block lets updates stay in it without touching the index (HOT):
    # https://www.postgresql.org/docs/current/storage-hot.html
    return Table(
        item_class.table,
        {column.name: _sql_column(column) for column in columns(item_class)}
        | {"delisted_at": TIME, "first_crawled_at": FIRST_CRAWLED},
        primary_key(item_class),
        "WITH (fillfactor = 85)",
        made_with=frozenset([*primary_key(item_class), "extra"]),
    )


def history_table(item_class: type[TableItem]) -> Table | None:
    """The table of an item's changes, partitioned by day."""
    if not item_class.history_table:
        return None
    kept = {
        column.name: _sql_column(column)._replace(nullable=True)
        for column in history_columns(item_class)
    }
    return Table(
        item_class.history_table,
        kept | {"recorded_at": NOW},
        [*primary_key(item_class), "recorded_at"],
        "PARTITION BY RANGE (recorded_at)",
    )


def history_tables(item_class: type[TableItem]) -> list[Table]:
    """All tables of an item's history: none, changes, or changes and candles."""
    changes = history_table(item_class)
    if not changes:
        return []
    return [changes, *candle_tables(item_class)] if item_class.candle_table else [changes]


def candle_tables(item_class: type[TableItem]) -> list[Table]:
    """The tables of an item's candles: a row for the hours of a day, and one for the day itself."""
    keys = dict.fromkeys(primary_key(item_class), NEEDED_TEXT)
    key, day = [*keys, "day"], {"day": NEEDED_TIME}
    values = ["open", "high", "low", "close", *candle_values(item_class)]
    return [
        CANDLE_STATE,
        Table(
            f"{item_class.candle_table}_hours",
            keys | day | _HOURS | {"filler": FILLER},
            key,
            "PARTITION BY RANGE (day)",
        ),
        Table(
            f"{item_class.candle_table}_days",
            keys | day | {name: SqlColumn("numeric") for name in values},
            key,
        ),
    ]


def _sql_column(column: Column) -> SqlColumn:
    return SqlColumn(column.type.sql, nullable=not column.required)


def sql_type(column: Column) -> sql.SQL:
    return sql.SQL(column.type.sql)
