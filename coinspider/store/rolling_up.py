"""Rolls up the changes of a day into candles: all of them or none, and each once."""

import logging
from datetime import datetime

from psycopg import AsyncConnection, sql

from coinspider.records.table_item import TableItem, candle_values, primary_key
from coinspider.store.candle_sql import candle_table, candles_of_changes, kept_values
from coinspider.store.history import DAY
from coinspider.store.partitions import Partition, list_partitions, make_partition
from coinspider.store.sql_names import identifiers

logger = logging.getLogger(__name__)

OF_DAY = "recorded_at >= %(first)s AND recorded_at < %(end)s"
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('coinspider candles'))"
# Two million rows are sorted with each.
_PLANS = "SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = 0"
_READ_STATE = "SELECT rolled_up_to FROM candle_state WHERE history_table = %s"
_WRITE_STATE = """
INSERT INTO candle_state (history_table, rolled_up_to) VALUES (%s, %s)
ON CONFLICT (history_table) DO UPDATE SET rolled_up_to = excluded.rolled_up_to
"""
_ROLL_UP = """
WITH candle AS ({candles}),
hours AS (
    INSERT INTO {hours} ({keys}, day, hour, candles)
    SELECT {keys}, %(first)s, array_agg(
               extract(hour FROM started_at AT TIME ZONE 'UTC')::smallint ORDER BY started_at),
           array_agg(ARRAY[{values}] ORDER BY started_at)
    FROM candle WHERE high IS NOT NULL GROUP BY {keys} ON CONFLICT DO NOTHING
)
INSERT INTO {days} ({keys}, day, {values})
SELECT {keys}, %(first)s, {first_value}, max(high), min(low), {last_values}
FROM candle GROUP BY {keys} HAVING count(high) > 0 ON CONFLICT DO NOTHING
"""
_FORGET = "DELETE FROM {} WHERE day >= %(first)s AND day < %(end)s"
_FIRST = "(array_agg(open ORDER BY started_at) FILTER (WHERE open IS NOT NULL))[1]"
_LAST = "(array_agg({0} ORDER BY started_at DESC) FILTER (WHERE {0} IS NOT NULL))[1]"
_STORAGE = "ALTER TABLE {table} ALTER {column} SET STORAGE MAIN"


async def read_rolled_up_to(
    connection: AsyncConnection, item_class: type[TableItem]
) -> datetime | None:
    row = await (await connection.execute(_READ_STATE, [item_class.history_table])).fetchone()
    return row[0] if row else None


async def roll_up(connection: AsyncConnection, item_class: type[TableItem], day: datetime) -> bool:
    """Make all candles of a day or none; false if another crawl does it."""
    await _make_month(connection, item_class, day)
    values = {"first": day, "end": day + DAY}
    async with connection.transaction():
        await connection.execute(_PLANS)
        row = await (await connection.execute(_LOCK)).fetchone()
        if not (row and row[0]) or (await read_rolled_up_to(connection, item_class) or day) != day:
            return False
        cursor = await connection.execute(_statement(item_class), values)
        await connection.execute(_WRITE_STATE, [item_class.history_table, day + DAY])
    logger.info("Rolled up the changes of %s: %d candles of the day", day.date(), cursor.rowcount)
    return True


async def _make_month(
    connection: AsyncConnection, item_class: type[TableItem], day: datetime
) -> None:
    table = f"{item_class.candle_table}_hours"
    first = day.replace(day=1)
    month = Partition(f"{table}_{day:%Y_%m}", first, (first + 31 * DAY).replace(day=1))
    if any(there.name == month.name for there in await list_partitions(connection, table)):
        return
    for column in ("hour", "candles", "filler"):
        # Compressed in its row, not moved out of it.
        await connection.execute(
            sql.SQL(_STORAGE).format(table=sql.Identifier(table), column=sql.Identifier(column))
        )
    await make_partition(connection, table, month, "WITH (toast_tuple_target = 128)")


def _statement(item_class: type[TableItem]) -> sql.Composed:
    others = candle_values(item_class)
    return sql.SQL(_ROLL_UP).format(
        candles=candles_of_changes(item_class, "1h", sql.SQL(OF_DAY)),
        hours=candle_table(item_class, "1h"),
        days=candle_table(item_class, "1d"),
        keys=identifiers(primary_key(item_class)),
        values=identifiers(kept_values(item_class)),
        first_value=sql.SQL(_FIRST),
        last_values=sql.SQL(", ").join(
            sql.SQL(_LAST).format(sql.Identifier(name)) for name in ("close", *others)
        ),
    )


async def go_back(
    connection: AsyncConnection, item_class: type[TableItem], due: datetime
) -> bool:  # fmt: skip
    """Roll up from ``due`` on, because the server's clock was ahead when it came to a later day.

    Otherwise the changes until that day would never become candles. Candles of days whose changes
    are still there are made again. Returns whether this crawl does it.
    """
    partitions = await list_partitions(connection, item_class.history_table or "")
    async with connection.transaction():
        row = await (await connection.execute(_LOCK)).fetchone()
        if not (row and row[0]):
            return False
        for partition in partitions:
            values = {"first": max(partition.first, due), "end": partition.end}
            for table in (candle_table(item_class, "1h"), candle_table(item_class, "1d")):
                await connection.execute(sql.SQL(_FORGET).format(table), values)
        await connection.execute(_WRITE_STATE, [item_class.history_table, due])
    logger.warning("The server's clock was ahead: changes since %s become candles", due.date())
    return True
