"""Hourly and daily candles, made from a history's changes inside the database.

The changes of a day are rolled up once, two days after its end, so that late ones are included;
until then the views ``..._1h`` and ``..._1d`` compute its candles when they are read.
``candle_state`` says how far this has got, and is written together with the candles.
"""

import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import LiteralString

from psycopg import AsyncConnection, errors, sql

from coinspider.records.table_item import TableItem, candle_values, primary_key
from coinspider.store.migration import SCHEMA_LOCK, make_all
from coinspider.store.partitions import (
    DAY,
    HistorySettings,
    Partition,
    drop_old_partitions,
    list_partitions,
    make_partitions,
    midnight,
    server_time,
)
from coinspider.store.schema import each, identifiers

logger = logging.getLogger(__name__)

RESOLUTIONS = {"1h": "hour", "1d": "day"}
OHLC = ("open", "high", "low", "close")
EVERYTHING = sql.SQL("true")
_NOT_ROLLED_UP = """
recorded_at >= coalesce(
    (SELECT rolled_up_to FROM candle_state WHERE history_table = {name}), '-infinity')
"""
# Of each array the first or the last value that is one; all are sorted only once, by the group.
_OF_CHANGES = """
SELECT {keys}, started_at, prices[1] AS open, high, low, prices[cardinality(prices)] AS close
       {last_values}
FROM (
    SELECT {keys}, date_trunc({unit}, recorded_at, 'UTC') AS started_at,
           array_agg({price} ORDER BY recorded_at) FILTER (WHERE {price} IS NOT NULL) AS prices,
           max({price}) AS high, min({price}) AS low {arrays}
    FROM {history} WHERE {condition}
    GROUP BY {keys}, date_trunc({unit}, recorded_at, 'UTC')
) AS grouped
"""
_LAST_VALUE = ", {0}[cardinality({0})] AS {0}"
_ARRAY = ", array_agg({0} ORDER BY recorded_at) FILTER (WHERE {0} IS NOT NULL) AS {0}"
_KEPT: dict[str, LiteralString] = {
    "1h": """
SELECT {keys}, day + make_interval(hours => at.hour) AS started_at, {hour_values}
FROM {hours} WHERE {condition}
""",
    "1d": """
SELECT {keys}, day AS started_at, {values}
FROM {table} WHERE {condition}
""",
}
# A day's candles are one array of arrays. It is unpacked once for all its values, by what OFFSET 0
# keeps together; conditions on the table are as near to it as ever. A version before the release of
# 0.2.0 kept an array of each value instead: its hours are left out.
_DAYS = """
{table} AS kept, LATERAL (
    SELECT kept.hour || '{{}}'::smallint[] AS hour, kept.candles || '{{}}'::numeric[] AS candles
    WHERE kept.candles IS NOT NULL OFFSET 0
) AS unpacked
"""
_HOURS = "{days}, unnest(unpacked.hour) WITH ORDINALITY AS at (hour, place)"
_HOUR_VALUE = "unpacked.candles[at.place::integer][{}] AS {}"
_TABLES = {"1h": "hours", "1d": "days"}
OF_DAY = "recorded_at >= %(first)s AND recorded_at < %(end)s"
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('coinspider candles'))"
# One statement sorts two million rows.
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
# The rest is rolled up after the next crawl.
_SECONDS_MAX = 60.0
_INDEX = "CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON {} USING brin (recorded_at)"
# Not from the partition itself, which another crawl may drop at any moment.
_OLDEST = "SELECT min(recorded_at) FROM {} WHERE {}"
_COLUMNS = """
SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0
"""


def candles(
    item_class: type[TableItem],
    resolution: str,
    kept: sql.Composable = EVERYTHING,
    changed: sql.Composable = EVERYTHING,
) -> sql.Composed:
    """All candles: those that are kept, and after them those of the changes not yet rolled up.

    ``kept`` and ``changed`` are conditions on the columns of the two tables.
    """
    not_rolled_up = sql.SQL(_NOT_ROLLED_UP).format(name=sql.Literal(item_class.history_table))
    # Without a price there is no candle.
    return sql.SQL("{} UNION ALL SELECT * FROM ({}) AS changed WHERE high IS NOT NULL").format(
        _kept_candles(item_class, resolution, kept),
        candles_of_changes(
            item_class, resolution, sql.SQL("{} AND {}").format(not_rolled_up, changed)
        ),
    )


def candles_of_changes(
    item_class: type[TableItem], resolution: str, condition: sql.Composable
) -> sql.Composed:
    """Candles of the changes that meet the condition; some may have no price."""
    assert item_class.history_table
    assert item_class.candle_price
    values = candle_values(item_class)
    return sql.SQL(_OF_CHANGES).format(
        keys=identifiers(primary_key(item_class)),
        unit=sql.Literal(RESOLUTIONS[resolution]),
        price=sql.Identifier(item_class.candle_price),
        arrays=each(_ARRAY, values, ""),
        last_values=each(_LAST_VALUE, values, ""),
        history=sql.Identifier(item_class.history_table),
        condition=condition,
    )


def candle_columns(item_class: type[TableItem]) -> list[str]:
    """The columns of a view of candles."""
    return [*primary_key(item_class), "started_at", *OHLC, *candle_values(item_class)]


def candle_table(item_class: type[TableItem], resolution: str) -> sql.Identifier:
    """The table of the candles that are kept."""
    return sql.Identifier(f"{item_class.candle_table}_{_TABLES[resolution]}")


def hours(item_class: type[TableItem]) -> sql.Composed:
    """What follows FROM for the hours that are kept: the table as ``kept``, its hours as ``at``."""
    return sql.SQL(_HOURS).format(days=days_of_hours(item_class))


def days_of_hours(item_class: type[TableItem]) -> sql.Composed:
    """As :func:`hours`, without ``at``: a row for each day, of which one says the ``at.place``."""
    return sql.SQL(_DAYS).format(table=candle_table(item_class, "1h"))


def hour_values(item_class: type[TableItem], *wanted: str) -> sql.Composed:
    """These values of each hour, or all, of :func:`hours`."""
    known = kept_values(item_class)
    return sql.SQL(", ").join(
        sql.SQL(_HOUR_VALUE).format(sql.Literal(known.index(name) + 1), sql.Identifier(name))
        for name in wanted or known
    )


def kept_values(item_class: type[TableItem]) -> list[str]:
    """The values of a candle, in the order in which they are kept."""
    return [*OHLC, *candle_values(item_class)]


def _kept_candles(
    item_class: type[TableItem], resolution: str, condition: sql.Composable
) -> sql.Composed:
    return sql.SQL(_KEPT[resolution]).format(
        keys=identifiers(primary_key(item_class)),
        table=candle_table(item_class, resolution),
        hours=hours(item_class),
        values=identifiers(kept_values(item_class)),
        hour_values=hour_values(item_class),
        condition=condition,
    )


async def read_rolled_up_to(
    connection: AsyncConnection, item_class: type[TableItem]
) -> datetime | None:
    row = await (await connection.execute(_READ_STATE, [item_class.history_table])).fetchone()
    return row[0] if row else None


async def roll_up(connection: AsyncConnection, item_class: type[TableItem], day: datetime) -> bool:
    """Make all candles of a day or none; false if another crawl does it."""
    await make_month(connection, item_class, day)
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


async def make_month(
    connection: AsyncConnection, item_class: type[TableItem], day: datetime
) -> None:
    """The partition for the hours of a day."""
    table = f"{item_class.candle_table}_hours"
    first = day.replace(day=1)
    month = Partition(f"{table}_{day:%Y_%m}", first, (first + 31 * DAY).replace(day=1))
    if any(there.name == month.name for there in await list_partitions(connection, table)):
        return
    # Compressed in its row, not moved out of it.
    storage = [
        sql.SQL(_STORAGE).format(table=sql.Identifier(table), column=sql.Identifier(column))
        for column in ("hour", "candles", "filler")
    ]
    await make_all(connection, storage)
    await make_partitions(connection, table, [month], "WITH (toast_tuple_target = 128)")


def _statement(item_class: type[TableItem]) -> sql.Composed:
    others = candle_values(item_class)
    return sql.SQL(_ROLL_UP).format(
        candles=candles_of_changes(item_class, "1h", sql.SQL(OF_DAY)),
        hours=candle_table(item_class, "1h"),
        days=candle_table(item_class, "1d"),
        keys=identifiers(primary_key(item_class)),
        values=identifiers(kept_values(item_class)),
        first_value=sql.SQL(_FIRST),
        last_values=each(_LAST, ("close", *others)),
    )


async def go_back(connection: AsyncConnection, item_class: type[TableItem], due: datetime) -> bool:
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


async def make_views(connection: AsyncConnection, item_class: type[TableItem]) -> None:
    """The views of an item's candles, unless they are there with all their columns."""
    creating = []
    for resolution in RESOLUTIONS:
        view = f"{item_class.candle_table}_{resolution}"
        row = await (await connection.execute(_COLUMNS, [view])).fetchone()
        if not row or row[0] != candle_columns(item_class):
            create = sql.SQL("CREATE OR REPLACE VIEW {} AS {}")
            creating.append(create.format(sql.Identifier(view), candles(item_class, resolution)))
    if creating:
        async with connection.transaction():
            await connection.execute(SCHEMA_LOCK)
            await make_all(connection, creating)


async def keep_history(
    connection: AsyncConnection,
    item_class: type[TableItem],
    settings: HistorySettings,
    now: datetime | None = None,
) -> None:
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
    connection: AsyncConnection,
    item_class: type[TableItem],
    settings: HistorySettings,
    now: datetime,
) -> datetime:
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
        if days := settings.daily_retention_days:
            forget = sql.SQL(_FORGET).format(candle_table(item_class, "1d"))
            values = {"first": datetime.min.replace(tzinfo=UTC), "end": midnight(now) - days * DAY}
            await connection.execute(forget, values)
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
