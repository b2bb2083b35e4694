"""Hourly and daily candles, made from a history's changes inside the database.

The changes of a day are rolled up once, two days after its end, so that late ones are included;
until then the views ``..._1h`` and ``..._1d`` compute its candles when they are read.
``candle_state`` says how far this has got, and is written together with the candles.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic

from psycopg import AsyncConnection, errors, sql

from coinspider.records.table_item import TableItem
from coinspider.store.candle_sql import RESOLUTIONS, candle_columns, candles
from coinspider.store.history import (
    DAY,
    HistorySettings,
    drop_old_partitions,
    midnight,
    server_time,
)
from coinspider.store.migration import SCHEMA_LOCK
from coinspider.store.partitions import list_partitions
from coinspider.store.rolling_up import OF_DAY, go_back, read_rolled_up_to, roll_up

# The rest is rolled up after the next crawl.
_SECONDS_MAX = 60.0
_INDEX = "CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON {} USING brin (recorded_at)"
# Not from the partition itself, which another crawl may drop at any moment.
_OLDEST = "SELECT min(recorded_at) FROM {} WHERE {}"
_COLUMNS = """
SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0
"""


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
    day = await read_rolled_up_to(connection, item_class)
    if day is None:
        day = min(await _first_day(connection, item_class), due)
    elif day > midnight(now) and await go_back(connection, item_class, due):
        day = due
    while day < due and monotonic() < deadline:
        if not await roll_up(connection, item_class, day):
            break  # another crawl does it
        day += DAY
    return day


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
    oldest = sql.SQL(_OLDEST).format(sql.Identifier(table), sql.SQL(OF_DAY))
    for partition in partitions:
        values = {"first": partition.first, "end": partition.end}
        row = await (await connection.execute(oldest, values)).fetchone()
        if row and row[0]:
            return midnight(row[0])
    return await server_time(connection)
