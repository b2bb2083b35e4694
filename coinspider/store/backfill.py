"""Prices of the time before the first crawl, as candles that never replace those of our changes.

Those of days that are rolled up go into the tables of candles, with their source; later ones are
written as changes without a version, and are rolled up like any other.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import LiteralString, NamedTuple

from psycopg import AsyncConnection, sql

from coinspider.records.record import PastAsked, PastPrices
from coinspider.records.table_item import TableItem, candle_values, primary_key
from coinspider.store.candles import (
    candle_table,
    kept_values,
    make_month,
    read_rolled_up_to,
)
from coinspider.store.partitions import DAY, HistorySettings, keep_partitions, midnight, server_time
from coinspider.store.schema import each, identifiers
from coinspider.store.tables import constant_values, key_parts, table_of
from coinspider.text import exact_json

# Only a finer source replaces what is kept; candles of our own changes have no source.
SOURCES = ("market_chart_daily", "sparkline", "market_chart")
_POINTS = """
given AS (
    SELECT * FROM json_to_recordset(%(points)s::json)
        AS given ({key_types}, at timestamptz, {types})
    WHERE {price} IS NOT NULL
)
"""
# A price of midnight, if there are no others of a day, is also the last one of the day before.
_ENDS = """
ends AS (
    SELECT * FROM given
    UNION ALL SELECT {keys}, at - interval '1 ms', {tracked} FROM given
    WHERE NOT %(hourly)s AND at = date_trunc('day', at, 'UTC')
)
"""
_CHANGES = """
WITH {points}
INSERT INTO {history} ({keys}, {values}, recorded_at)
SELECT {keys}, {values}, at FROM given
WHERE at >= %(rolled_up_to)s AND at < now() AND NOT EXISTS (
    SELECT FROM {history} AS own WHERE {same_key}
        AND own.recorded_at >= date_trunc('hour', given.at)
        AND own.recorded_at < date_trunc('hour', given.at) + interval '1 hour'
) ON CONFLICT DO NOTHING
"""
_CANDLES = """
WITH {points}, {ends},
candle AS (
    SELECT {keys}, date_trunc({unit}, at, 'UTC') AS started_at,
           (array_agg({price} ORDER BY at))[1] AS open, max({price}) AS high, min({price}) AS low,
           (array_agg({price} ORDER BY at DESC))[1] AS close {last_values}
    FROM ends WHERE at < %(rolled_up_to)s AND at >= {since}
    GROUP BY {keys}, date_trunc({unit}, at, 'UTC')
)
"""
_FIRST_HOUR = timedelta(hours=1)
_LAST = ", (array_agg({0} ORDER BY at DESC) FILTER (WHERE {0} IS NOT NULL))[1] AS {0}"
_DAYS = """
INSERT INTO {days} AS kept ({keys}, day, {values}, source)
SELECT {keys}, started_at, {values}, %(source)s FROM candle
ON CONFLICT ({keys}, day) DO UPDATE SET ({values}, source) = ({excluded}, excluded.source)
WHERE kept.source = ANY (%(worse)s)
"""
_HOURS = """
INSERT INTO {hours} AS kept ({keys}, day, hour, candles, source)
SELECT {keys}, date_trunc('day', started_at, 'UTC'),
       array_agg(extract(hour FROM started_at AT TIME ZONE 'UTC')::smallint ORDER BY started_at),
       array_agg(ARRAY[{values}] ORDER BY started_at), %(source)s
FROM candle GROUP BY {keys}, date_trunc('day', started_at, 'UTC')
ON CONFLICT ({keys}, day) DO UPDATE
    SET (hour, candles, source) = (excluded.hour, excluded.candles, excluded.source)
WHERE kept.source = ANY (%(worse)s)
    OR (kept.source = excluded.source AND cardinality(kept.hour) < cardinality(excluded.hour))
"""
_BEGIN = """
INSERT INTO candle_state (history_table, rolled_up_to)
VALUES (%(table)s, least(
    %(due)s, (SELECT date_trunc('day', min(recorded_at), 'UTC') FROM {history})))
ON CONFLICT DO NOTHING
"""
# Of two loads that overlap, the times of both are known.
_REMEMBER = """
INSERT INTO {past} AS known ({keys}, hourly, since, until)
VALUES ({key_values}, %(hourly)s, %(since)s, now())
ON CONFLICT ({keys}, hourly) DO UPDATE SET until = excluded.until,
    since = CASE WHEN known.until >= excluded.since
                 THEN least(known.since, excluded.since) ELSE excluded.since END
"""
_WANTED = """
WITH wanted AS (
    SELECT {key} AS key FROM {table}
    WHERE {constants} AND delisted_at IS NULL
        AND (%(keys)s::text[] IS NULL OR {key} = ANY (%(keys)s))
    ORDER BY {rank} NULLS LAST, {key} LIMIT %(top)s
)
SELECT wanted.key, EXISTS (
    SELECT FROM generate_series(%(first)s::timestamptz, %(last)s, '1 day') AS days (day)
    WHERE NOT EXISTS (SELECT FROM {past} WHERE {key} = wanted.key AND {constants}
                      AND hourly = %(hourly)s AND since < day + interval '1 day' AND until > day)
        AND NOT EXISTS (SELECT FROM {kept} AS kept
                        WHERE {key} = wanted.key AND {constants} AND kept.day = days.day)
        AND NOT EXISTS (SELECT FROM {history}
                        WHERE {key} = wanted.key AND {constants}
                            AND recorded_at >= day AND recorded_at < day + interval '1 day')
) FROM wanted
"""


class _Parts(NamedTuple):
    """What the statements are made of."""

    item_class: type[TableItem]

    def format(self, template: LiteralString, unit: str = "hour") -> sql.Composed:
        item_class = self.item_class
        assert item_class.history_table
        assert item_class.candle_price
        keys, price = primary_key(item_class), item_class.candle_price
        tracked = [price, *candle_values(item_class)]
        is_change = template is _CHANGES
        points = sql.SQL(_POINTS).format(
            key_types=each("{0} text", keys),
            types=each("{0} numeric", tracked),
            price=sql.Identifier(price),
        )
        return sql.SQL(template).format(
            points=points,
            ends=sql.SQL(_ENDS).format(keys=identifiers(keys), tracked=identifiers(tracked)),
            since=sql.Placeholder("whole_from" if unit == "day" else "first"),
            keys=identifiers(keys),
            values=identifiers(tracked if is_change else kept_values(item_class)),
            excluded=identifiers(kept_values(item_class), "excluded"),
            price=sql.Identifier(price),
            unit=sql.Literal(unit),
            same_key=each("own.{0} = given.{0}", keys, " AND "),
            last_values=each(_LAST, candle_values(item_class), ""),
            history=sql.Identifier(item_class.history_table),
            hours=candle_table(item_class, "1h"),
            days=candle_table(item_class, "1d"),
        )


async def add_past_prices(
    connection: AsyncConnection, past: PastPrices, settings: HistorySettings
) -> None:
    """Store them, and what was asked for; the same ones again change nothing."""
    async with connection.transaction():
        if past.points:
            await _add_points(connection, past, settings)
        if past.asked:
            await _remember(connection, past.item_class, past.asked)


async def _add_points(
    connection: AsyncConnection, past: PastPrices, settings: HistorySettings
) -> None:
    item_class, parts = past.item_class, _Parts(past.item_class)
    now = await server_time(connection)
    rolled_up_to = await _rolled_up_to(connection, item_class, midnight(now) - settings.lateness)
    moments = [point.at for point in past.points]
    first, last = min(moments), max(moments)
    await _make_partitions(connection, past, (first, last), rolled_up_to, midnight(now))
    values = {
        "points": exact_json([{**p.key, "at": p.at, **p.values} for p in past.points]).decode(),
        "rolled_up_to": rolled_up_to,
        "source": past.source,
        "worse": list(SOURCES[: SOURCES.index(past.source)]),
        "hourly": past.hourly,
        "first": first,
        # Half a day has no open of the day.
        "whole_from": midnight(first - _FIRST_HOUR) + DAY if past.hourly else midnight(first),
    }
    if past.hourly:
        await connection.execute(parts.format(_CANDLES + _HOURS), values)
    await connection.execute(parts.format(_CANDLES + _DAYS, "day"), values)
    await connection.execute(parts.format(_CHANGES), values)


async def _remember(
    connection: AsyncConnection, item_class: type[TableItem], asked: PastAsked
) -> None:
    remember = sql.SQL(_REMEMBER).format(
        past=past_table(item_class),
        keys=identifiers(asked.key),
        key_values=each("{1}", asked.key),
    )
    values = {**asked.key, "hourly": asked.hourly, "since": asked.since}
    await connection.execute(remember, values)


def past_table(item_class: type[TableItem]) -> sql.Identifier:
    """The table of the times for which past prices were asked for."""
    return sql.Identifier(f"{item_class.candle_table}_past")


class PastWanted(NamedTuple):
    """Whose past prices, and of how many days: of these ``keys``, or of the ``top`` ones."""

    item_class: type[TableItem]
    constants: Mapping[str, str]
    days: int
    hourly: bool
    keys: Sequence[str] | None = None
    top: int | None = None


async def keys_without_past(connection: AsyncConnection, wanted: PastWanted) -> dict[str, bool]:
    """The listed ones in order of rank, and whether any of their days has no candle.

    A day that was asked for has all that there is.
    """
    item_class = wanted.item_class
    today = midnight(await server_time(connection))
    query = sql.SQL(_WANTED).format(
        **key_parts(table_of(item_class), wanted.constants),
        rank=sql.Identifier(item_class.shown[0]),
        past=past_table(item_class),
        kept=candle_table(item_class, "1h" if wanted.hourly else "1d"),
        history=sql.Identifier(item_class.history_table or ""),
    )
    values = {
        "keys": None if wanted.keys is None else list(wanted.keys),
        "top": wanted.top,
        "first": today - wanted.days * DAY,
        "last": today - DAY,
        "hourly": wanted.hourly,
        **constant_values(wanted.constants),
    }
    return dict(await (await connection.execute(query, values)).fetchall())


async def _rolled_up_to(
    connection: AsyncConnection, item_class: type[TableItem], due: datetime
) -> datetime:
    """The time before which changes are candles; the first time, it begins with our own changes."""
    table = item_class.history_table
    assert table
    if found := await read_rolled_up_to(connection, item_class):
        return found
    begin = sql.SQL(_BEGIN).format(history=sql.Identifier(table))
    await connection.execute(begin, {"table": table, "due": due})
    return await read_rolled_up_to(connection, item_class) or due


async def _make_partitions(
    connection: AsyncConnection,
    past: PastPrices,
    span: tuple[datetime, datetime],
    rolled_up_to: datetime,
    today: datetime,
) -> None:
    """Of the months of hourly candles, and of the days of changes."""
    item_class = past.item_class
    assert item_class.history_table
    first, last = span
    day, months = midnight(first), set()
    while past.hourly and day < min(last, rolled_up_to):
        if (day.year, day.month) not in months:
            await make_month(connection, item_class, day)
        months.add((day.year, day.month))
        day += DAY
    if last >= rolled_up_to:
        lateness = today - midnight(max(first, rolled_up_to))
        await keep_partitions(connection, item_class.history_table, lateness)
