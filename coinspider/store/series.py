"""The history of an item's values: changes, candles, and points for charts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import LiteralString, NamedTuple

from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from coinspider.errors import ConfigurationError, NoHistoryError
from coinspider.records.table_item import TableItem, history_columns, primary_key
from coinspider.store.candles import (
    EVERYTHING,
    RESOLUTIONS,
    candle_columns,
    candles,
    days_of_hours,
    hour_values,
)
from coinspider.store.fetch import Listing
from coinspider.store.schema import each, identifiers
from coinspider.store.tables import constant_values, key_parts, table_of

SPARKLINE_TIME, _SPARKLINE_STEP = timedelta(days=7), timedelta(hours=4)
_MANY_SPARKLINES = 100  # above which each has fewer points
STEPS = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}
# Up to how many days a chart shows all changes, or hours; longer ones show days.
_DAYS_OF_CHANGES, _DAYS_OF_HOURS = 2, 92
# With fewer points a finer resolution is used: a history that has just begun has one day.
_FEW_POINTS = 24
_CHANGES = """
SELECT {columns} FROM {history} WHERE {key} AND {condition} ORDER BY recorded_at
"""
_CANDLES = "SELECT {columns} FROM ({candles}) AS candle WHERE {condition} ORDER BY started_at"
_STATE = "SELECT rolled_up_to FROM candle_state WHERE history_table = %(table)s"
# One index lookup for each point, so most changes are not read.
_SPARKLINES = """
SELECT asked.key, asked.moment, found.price
FROM (SELECT * FROM unnest(%(keys)s::text[]) AS key, generate_series(
          %(since)s::timestamptz, %(now)s::timestamptz, %(step)s) AS moment
      WHERE moment > %(rolled_up_to)s) AS asked,
     LATERAL (
         SELECT recorded_at AS moment, {price} AS price FROM {history}
         WHERE {key} = asked.key AND {constants} AND recorded_at <= asked.moment
             AND recorded_at > asked.moment - %(step)s AND recorded_at >= %(rolled_up_to)s
             AND {price} IS NOT NULL
         ORDER BY recorded_at DESC LIMIT 1
     ) AS found
UNION ALL
SELECT * FROM (
    SELECT DISTINCT ON (key, moment) {key} AS key, moment, {close}
    FROM {days}, LATERAL (
        SELECT moment, width_bucket(
            (least(ceil(extract(epoch FROM moment - day) / 3600), 24) - 1)::smallint, unpacked.hour
        ) AS place
        FROM generate_series(
            %(since)s::timestamptz + %(step)s, %(rolled_up_to)s::timestamptz, %(step)s) AS moment
        WHERE moment > day AND moment < day + interval '1 day' + %(step)s
    ) AS at
    WHERE {key} = ANY (%(keys)s) AND {constants} AND day >= %(since)s - interval '1 day'
        AND at.place > 0
        AND day + make_interval(hours => unpacked.hour[at.place]) >= at.moment - %(step)s
    ORDER BY key, moment, day DESC
) AS kept
ORDER BY 1, 2
"""


class Point(NamedTuple):
    """A price, or another amount, and its time."""

    time: datetime
    value: Decimal


class Span(NamedTuple):
    """From ``since`` to before ``until``; ``None`` for ever."""

    since: datetime | None = None
    until: datetime | None = None

    def condition(self, column: LiteralString) -> sql.SQL:
        after = f"{column} >= %(since)s" if self.since else "true"
        before = f"{column} < %(until)s" if self.until else "true"
        return sql.SQL(f"{after} AND {before}")


ALWAYS = Span()


def list_changes(
    connection: Connection, item_class: type[TableItem], key: Mapping[str, str], span: Span = ALWAYS
) -> Listing:
    """Every change that is still kept, the oldest first.

    ``key`` has the values of the primary key. Raises :exc:`NoHistoryError`.
    """
    columns = [*(c.name for c in history_columns(item_class)), "recorded_at"]
    query = sql.SQL(_CHANGES).format(
        columns=identifiers(columns),
        history=sql.Identifier(item_class.history_table or ""),
        key=each("{0} = {1}", primary_key(item_class), " AND "),
        condition=span.condition("recorded_at"),
    )
    return Listing(columns, history_rows(connection, query, {**key, **span._asdict()}))


def list_candles(
    connection: Connection,
    item_class: type[TableItem],
    key: Mapping[str, str],
    resolution: str,
    span: Span = ALWAYS,
) -> Listing:
    """The candles of ``1h`` or ``1d`` that begin in the span, as :func:`list_changes`.

    Hours or days without a change have none.
    """
    if resolution not in RESOLUTIONS:
        raise ConfigurationError(f"there are no candles of {resolution}: {', '.join(RESOLUTIONS)}")
    # The first candles are whole, even if ``since`` is in the middle of a day.
    oldest = span.since and span.since - STEPS["1d"]
    same = each("{0} = {1}", primary_key(item_class), " AND ")
    older = sql.SQL("day >= %(oldest)s") if oldest else EVERYTHING
    recorded = sql.SQL("recorded_at >= %(oldest)s") if oldest else EVERYTHING
    columns = candle_columns(item_class)
    query = sql.SQL(_CANDLES).format(
        columns=identifiers(columns),
        candles=candles(
            item_class,
            resolution,
            kept=sql.SQL("{} AND {}").format(same, older),
            changed=sql.SQL("{} AND {}").format(same, recorded),
        ),
        condition=span.condition("started_at"),
    )
    values = {**key, **span._asdict(), "oldest": oldest}
    return Listing(columns, history_rows(connection, query, values))


class Charted(NamedTuple):
    """What a chart shows: the last ``days`` or all, of the price or another tracked ``column``."""

    days: float | None
    column: str = ""


def chart_points(
    connection: Connection,
    item_class: type[TableItem],
    key: Mapping[str, str],
    charted: Charted,
    now: datetime | None = None,
) -> list[Point]:
    """In as many points as a chart can show. Raises :exc:`NoHistoryError`."""
    days, column = charted
    span = Span((now or datetime.now(UTC)) - timedelta(days=days) if days else None)
    coarsest = (
        2 if days and days <= _DAYS_OF_CHANGES else 1 if days and days <= _DAYS_OF_HOURS else 0
    )
    found: list[Point] = []
    for resolution in ("1d", "1h", None)[coarsest:]:
        if resolution:
            hours = list_candles(connection, item_class, key, resolution, span)
            finer = _points(hours, "started_at", column or "close")
        else:
            changes = list_changes(connection, item_class, key, span)
            finer = _points(changes, "recorded_at", column or item_class.candle_price or "")
        if not found or (len(finer) > len(found) and finer[0].time <= found[0].time + STEPS["1d"]):
            found = finer
        if len(found) >= _FEW_POINTS:
            break
    return found


def sparklines(
    connection: Connection,
    item_class: type[TableItem],
    keys: Sequence[str],
    constants: Mapping[str, str],
    now: datetime | None = None,
) -> dict[str, list[Point]]:
    """The price of each row in the last week, by key, every few hours if it changed.

    ``keys`` are values of the first column of the primary key; ``constants`` has the others. Raises
    :exc:`NoHistoryError`.
    """
    now = now or datetime.now(UTC)
    parts = key_parts(table_of(item_class), constants)
    query = sql.SQL(_SPARKLINES).format(
        key=parts["key"],
        constants=parts["constants"],
        price=sql.Identifier(item_class.candle_price or ""),
        history=sql.Identifier(item_class.history_table or ""),
        days=days_of_hours(item_class),
        close=hour_values(item_class, "close"),
    )
    state = history_rows(connection, sql.SQL(_STATE), {"table": item_class.history_table})
    times = {
        "since": now - SPARKLINE_TIME,
        "now": now,
        "step": _SPARKLINE_STEP if len(keys) <= _MANY_SPARKLINES else 3 * _SPARKLINE_STEP,
        "rolled_up_to": state[0][0] if state else datetime.min.replace(tzinfo=UTC),
    }
    values = {"keys": list(keys), **constant_values(constants), **times}
    found: dict[str, list[Point]] = {}
    for key, time, price in history_rows(connection, query, values):
        found.setdefault(key, []).append(Point(time, price))
    return found


def _points(listing: Listing, time: str, value: str) -> list[Point]:
    return [
        Point(row[time], row[value])
        for row in listing.dicts()
        if row[value] is not None and row[value].is_finite()
    ]


def history_rows(
    connection: Connection, query: sql.SQL | sql.Composed, values: Mapping[str, object]
) -> list[TupleRow]:
    """The rows of a query. Raises :exc:`NoHistoryError` if there is no history."""
    try:
        return connection.execute(query, values).fetchall()
    except errors.UndefinedTable:
        raise NoHistoryError(
            "no history is kept: set HISTORY_ENABLED=1, and it begins with the next crawl"
        ) from None
