"""Hourly and daily candles, made from a history's changes inside the database.

The changes of a day are rolled up once, two days after its end, so that late ones are included;
until then the views ``..._1h`` and ``..._1d`` compute its candles when they are read.
``candle_state`` says how far this has got, and is written together with the candles.
"""

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic

from psycopg import AsyncConnection, errors, sql

from coinspider.records.table_item import TableItem, candle_values, primary_key
from coinspider.store.candle_sql import (
    RESOLUTIONS,
    candle_columns,
    candle_table,
    candles,
    candles_of_changes,
    kept_values,
)
from coinspider.store.history import (
    DAY,
    HistorySettings,
    drop_old_partitions,
    midnight,
    server_time,
)
from coinspider.store.migration import SCHEMA_LOCK
from coinspider.store.partitions import Partition, list_partitions, make_partition
from coinspider.store.sql_names import identifiers

logger = logging.getLogger(__name__)

# The rest is rolled up after the next crawl.
_SECONDS_MAX = 60.0
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
_OF_DAY = "recorded_at >= %(first)s AND recorded_at < %(end)s"
_FIRST = "(array_agg(open ORDER BY started_at) FILTER (WHERE open IS NOT NULL))[1]"
_LAST = "(array_agg({0} ORDER BY started_at DESC) FILTER (WHERE {0} IS NOT NULL))[1]"
_INDEX = "CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON {} USING brin (recorded_at)"
# Not from the partition itself, which another crawl may drop at any moment.
_OLDEST = "SELECT min(recorded_at) FROM {} WHERE {}"
_COLUMNS = """
SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0
"""
_STORAGE = "ALTER TABLE {table} ALTER {column} SET STORAGE MAIN"


async def make_views(connection: AsyncConnection, item_class: type[TableItem]) -> None:
    """The views of an item's candles, unless they are there with all their columns."""
    for resolution in RESOLUTIONS:
        view = f"{item_class.candle_table}_{resolution}"
        row = await (await connection.execute(_COLUMNS, [view])).fetchone()
        if row and row[0] == candle_columns(item_class):
            continue
        create = sql.SQL("CREATE OR REPLACE VIEW {} AS {}").format(
            sql.Identifier(view), candles(item_class, resolution)
        )
        async with connection.transaction():
            await connection.execute(SCHEMA_LOCK)
            await connection.execute(create)


async def keep_history(
    connection: AsyncConnection, item_class: type[TableItem], settings: HistorySettings,
    now: datetime | None = None,
) -> None:  # fmt: skip
    """Roll up the days that are due, and drop what has been kept long enough."""
    table = item_class.history_table
    assert table
    now = now or await server_time(connection)
    kept_from = now - timedelta(days=settings.retention_days)
    if item_class.candle_table:
        rolled_up_to = await _roll_up_due(connection, item_class, settings, now)
        kept_from = min(kept_from, rolled_up_to)
        if days := settings.hourly_retention_days:
            hours = f"{item_class.candle_table}_hours"
            await drop_old_partitions(connection, hours, now - timedelta(days=days))
    if settings.retention_days:
        await drop_old_partitions(connection, table, kept_from)


async def _roll_up_due(
    connection: AsyncConnection, item_class: type[TableItem], settings: HistorySettings,
    now: datetime,
) -> datetime:  # fmt: skip
    """Returns the time up to which changes are now rolled up."""
    due, deadline = midnight(now) - settings.lateness, monotonic() + _SECONDS_MAX
    day = await _rolled_up_to(connection, item_class)
    if day is None:
        day = min(await _first_day(connection, item_class), due)
    elif day > midnight(now) and await _go_back(connection, item_class, due):
        day = due
    while day < due and monotonic() < deadline:
        if not await _roll_up(connection, item_class, day):
            break  # another crawl does it
        day += DAY
    return day


async def _rolled_up_to(
    connection: AsyncConnection, item_class: type[TableItem]
) -> datetime | None:
    row = await (await connection.execute(_READ_STATE, [item_class.history_table])).fetchone()
    return row[0] if row else None


async def _go_back(
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


async def _first_day(connection: AsyncConnection, item_class: type[TableItem]) -> datetime:
    """Of the oldest partition with changes; those of an earlier version are months."""
    table = item_class.history_table
    assert table
    partitions = await list_partitions(connection, table)
    for partition in partitions:
        name = sql.Identifier(partition.name)
        if partition.end - partition.first > DAY:
            # The changes are in the order of their times: a BRIN index finds those of a day.
            index = sql.Identifier(f"{partition.name}_recorded_at_idx")
            with suppress(errors.UndefinedTable):  # another crawl has dropped it
                await connection.execute(sql.SQL(_INDEX).format(index, name))
    oldest = sql.SQL(_OLDEST).format(sql.Identifier(table), sql.SQL(_OF_DAY))
    for partition in partitions:
        values = {"first": partition.first, "end": partition.end}
        row = await (await connection.execute(oldest, values)).fetchone()
        if row and row[0]:
            return midnight(row[0])
    return await server_time(connection)


async def _roll_up(connection: AsyncConnection, item_class: type[TableItem], day: datetime) -> bool:
    """Make all candles of a day or none; false if another crawl does it."""
    await _make_month(connection, item_class, day)
    values = {"first": day, "end": day + DAY}
    async with connection.transaction():
        await connection.execute(_PLANS)
        row = await (await connection.execute(_LOCK)).fetchone()
        if not (row and row[0]) or (await _rolled_up_to(connection, item_class) or day) != day:
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
        candles=candles_of_changes(item_class, "1h", sql.SQL(_OF_DAY)),
        hours=candle_table(item_class, "1h"),
        days=candle_table(item_class, "1d"),
        keys=identifiers(primary_key(item_class)),
        values=identifiers(kept_values(item_class)),
        first_value=sql.SQL(_FIRST),
        last_values=sql.SQL(", ").join(
            sql.SQL(_LAST).format(sql.Identifier(name)) for name in ("close", *others)
        ),
    )
