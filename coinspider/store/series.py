"""The history of an item's values: changes, candles, and points for charts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString, NamedTuple

from psycopg import Connection, errors, sql

from coinspider.errors import ConfigurationError, NoHistoryError
from coinspider.records.table_item import TableItem, history_columns, primary_key
from coinspider.store.candle_sql import (
    EVERYTHING,
    RESOLUTIONS,
    candle_columns,
    candles,
    hour_values,
    hours,
    names,
)
from coinspider.store.queries import Listing

STEPS = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}
# Up to how many days a chart shows all changes, or hours; longer ones show days.
_DAYS_OF_CHANGES, _DAYS_OF_HOURS = 2, 92
# With fewer points a finer resolution is used: a history that has just begun has one day.
_FEW_POINTS = 24
SPARKLINE_TIME, SPARKLINE_STEP = timedelta(days=7), timedelta(hours=4)
_CHANGES = """
SELECT {columns} FROM {history} WHERE {key} AND {condition} ORDER BY recorded_at
"""
_CANDLES = "SELECT {columns} FROM ({candles}) AS candle WHERE {condition} ORDER BY started_at"
_STATE = "SELECT rolled_up_to FROM candle_state WHERE history_table = %(table)s"
# One index lookup for each point, so most changes are not read.
_LAST_CHANGE = """
SELECT recorded_at AS moment, {price} AS price FROM {history}
WHERE {same_key} AND recorded_at <= asked.moment AND recorded_at > {oldest}
    AND recorded_at >= %(rolled_up_to)s AND {price} IS NOT NULL
ORDER BY recorded_at DESC LIMIT 1
"""
# If there is still a change, it is newer than any candle, and these are not read.
_PRICE_THEN = """
coalesce(
    (SELECT {price} FROM {history} AS kept
     WHERE {same_key} AND recorded_at <= {moment} AND recorded_at >= {rolled_up_to}
         AND {price} IS NOT NULL
     ORDER BY recorded_at DESC LIMIT 1),
    (SELECT {close} FROM {hours}
     WHERE {same_key} AND day > {moment} - interval '2 days' AND day <= {moment}
         AND day + make_interval(hours => at.hour + 1) <= {moment}
     ORDER BY day DESC, at.hour DESC LIMIT 1)
)
"""
_EARLIER = """
SELECT asked.key, asked.moment, {price_then} AS price
FROM (SELECT * FROM unnest(%(keys)s::text[]) AS key, unnest(%(moments)s::timestamptz[]) AS moment)
     AS asked
"""
_SPARKLINES = """
SELECT asked.key, asked.moment, found.price
FROM (SELECT * FROM unnest(%(keys)s::text[]) AS key, generate_series(
          %(since)s::timestamptz, %(now)s::timestamptz, %(step)s) AS moment
      WHERE moment > %(rolled_up_to)s) AS asked,
     LATERAL ({last_change}) AS found
UNION ALL
SELECT * FROM (
    SELECT DISTINCT ON (key, moment) {key} AS key, binned.moment, {close}
    FROM {hours},
         LATERAL (SELECT date_bin(%(step)s, day + make_interval(hours => at.hour), %(since)s)
                  + %(step)s AS moment) AS binned
    WHERE {key} = ANY (%(keys)s) AND {constants} AND day >= %(since)s - interval '1 day'
        AND binned.moment > %(since)s AND binned.moment <= %(rolled_up_to)s
    ORDER BY key, moment, at.hour DESC
) AS kept
ORDER BY 1, 2
"""


class Point(NamedTuple):
    """A price and its time."""

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


class ChosenRows(NamedTuple):
    """Rows of an item's table, by the first column of their key; ``constants`` has the others."""

    item_class: type[TableItem]
    keys: Sequence[str]
    constants: Mapping[str, str]

    @property
    def conditions(self) -> sql.Composable:
        conditions = [
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(f"constant_{name}"))
            for name in self.constants
        ]
        return sql.SQL(" AND ").join(conditions) if conditions else EVERYTHING

    @property
    def same_as_asked(self) -> sql.Composed:
        key = sql.Identifier(primary_key(self.item_class)[0])
        return sql.SQL("{} = asked.key AND {}").format(key, self.conditions)

    @property
    def values(self) -> dict[str, Any]:
        constants = {f"constant_{name}": value for name, value in self.constants.items()}
        return {"keys": list(self.keys), **constants}


def list_changes(
    connection: Connection, item_class: type[TableItem], key: Mapping[str, str], span: Span = ALWAYS
) -> Listing:
    """Every change that is still kept, the oldest first.

    ``key`` has the values of the primary key. Raises :exc:`NoHistoryError`.
    """
    columns = [*(c.name for c in history_columns(item_class)), "recorded_at"]
    query = sql.SQL(_CHANGES).format(
        columns=names(columns),
        history=sql.Identifier(item_class.history_table or ""),
        key=_same_key(item_class),
        condition=span.condition("recorded_at"),
    )
    return Listing(columns, _rows(connection, query, {**key, **span._asdict()}))


def list_candles(
    connection: Connection, item_class: type[TableItem], key: Mapping[str, str], resolution: str,
    span: Span = ALWAYS,
) -> Listing:  # fmt: skip
    """The candles of ``1h`` or ``1d`` that begin in the span, as :func:`list_changes`.

    Hours or days without a change have none.
    """
    if resolution not in RESOLUTIONS:
        raise ConfigurationError(f"there are no candles of {resolution}: {', '.join(RESOLUTIONS)}")
    # The first candles are whole, even if ``since`` is in the middle of a day.
    oldest = span.since and span.since - STEPS["1d"]
    same = _same_key(item_class)
    older = sql.SQL("day >= %(oldest)s") if oldest else EVERYTHING
    recorded = sql.SQL("recorded_at >= %(oldest)s") if oldest else EVERYTHING
    columns = candle_columns(item_class)
    query = sql.SQL(_CANDLES).format(
        columns=names(columns),
        candles=candles(item_class, resolution,
                        kept=sql.SQL("{} AND {}").format(same, older),
                        changed=sql.SQL("{} AND {}").format(same, recorded)),
        condition=span.condition("started_at"),
    )  # fmt: skip
    values = {**key, **span._asdict(), "oldest": oldest}
    return Listing(columns, _rows(connection, query, values))


def price_points(
    connection: Connection, item_class: type[TableItem], key: Mapping[str, str], days: float | None,
    now: datetime | None = None,
) -> list[Point]:  # fmt: skip
    """The price in the last ``days``, or all of it, in as many points as a chart can show.

    Raises :exc:`NoHistoryError`.
    """
    since = (now or datetime.now(UTC)) - timedelta(days=days) if days else None
    coarsest = (
        2 if days and days <= _DAYS_OF_CHANGES else 1 if days and days <= _DAYS_OF_HOURS else 0
    )
    found: list[Point] = []
    for resolution in ("1d", "1h", None)[coarsest:]:
        finer = _points(connection, item_class, key, resolution, Span(since))
        if not found or (len(finer) > len(found) and finer[0].time <= found[0].time + STEPS["1d"]):
            found = finer
        if len(found) >= _FEW_POINTS:
            break
    return found


def earlier_prices(
    connection: Connection, chosen: ChosenRows, ages: Iterable[timedelta],
    now: datetime | None = None,
) -> dict[str, dict[timedelta, Decimal]]:  # fmt: skip
    """The price of each row at that time, by key, if the history has it."""
    now = now or datetime.now(UTC)
    moments = {now - age: age for age in ages}
    price_then = _price_then(
        chosen.item_class, chosen.same_as_asked, sql.SQL("asked.moment"),
        sql.SQL("%(rolled_up_to)s"),
    )  # fmt: skip
    query = sql.SQL(_EARLIER).format(price_then=price_then)
    found: dict[str, dict[timedelta, Decimal]] = {}
    for key, moment, price in _probe(connection, chosen, query, {"moments": list(moments)}):
        if price is not None:
            found.setdefault(key, {})[moments[moment]] = price
    return found


def earlier_price(
    connection: Connection, item_class: type[TableItem], moment: sql.Composable
) -> sql.Composable | None:
    """An SQL expression for the price of the row ``asked`` at a moment.

    ``None`` if there is no history.
    """
    rows = connection.execute(
        "SELECT to_regclass(quote_ident(%s)) IS NOT NULL", [item_class.history_table or ""]
    ).fetchall()
    if not (rows[0][0] and item_class.candle_table):
        return None
    same_key = sql.SQL(" AND ").join(
        sql.SQL("kept.{0} = asked.{0}").format(sql.Identifier(name))
        for name in primary_key(item_class)
    )
    since = sql.Literal(_rolled_up_to(connection, item_class))
    return _price_then(item_class, same_key, moment, since)


def sparklines(
    connection: Connection, chosen: ChosenRows, step: timedelta = SPARKLINE_STEP,
    now: datetime | None = None,
) -> dict[str, list[Point]]:  # fmt: skip
    """The price of each row in the last week, by key, for each step in which it changed."""
    now = now or datetime.now(UTC)
    query = sql.SQL(_SPARKLINES).format(
        last_change=_last_change(chosen, sql.SQL("asked.moment - %(step)s")),
        hours=hours(chosen.item_class),
        close=hour_values(chosen.item_class, "close"),
        key=sql.Identifier(primary_key(chosen.item_class)[0]),
        constants=chosen.conditions,
    )
    values = {"since": now - SPARKLINE_TIME, "now": now, "step": step}
    found: dict[str, list[Point]] = {}
    for key, time, price in _probe(connection, chosen, query, values):
        found.setdefault(key, []).append(Point(time, price))
    return found


def _points(
    connection: Connection, item_class: type[TableItem], key: Mapping[str, str],
    resolution: str | None, span: Span,
) -> list[Point]:  # fmt: skip
    if resolution:
        listing = list_candles(connection, item_class, key, resolution, span)
        time, value = "started_at", "close"
    else:
        listing = list_changes(connection, item_class, key, span)
        time, value = "recorded_at", item_class.candle_price or ""
    return [Point(row[time], row[value]) for row in listing.dicts()
            if row[value] is not None and row[value].is_finite()]  # fmt: skip


def _last_change(chosen: ChosenRows, oldest: sql.Composable) -> sql.Composed:
    return sql.SQL(_LAST_CHANGE).format(
        price=sql.Identifier(chosen.item_class.candle_price or ""),
        history=sql.Identifier(chosen.item_class.history_table or ""),
        same_key=chosen.same_as_asked,
        oldest=oldest,
    )


def _price_then(
    item_class: type[TableItem], same_key: sql.Composable, moment: sql.Composable,
    rolled_up_to: sql.Composable,
) -> sql.Composed:  # fmt: skip
    return sql.SQL(_PRICE_THEN).format(
        price=sql.Identifier(item_class.candle_price or ""),
        history=sql.Identifier(item_class.history_table or ""),
        hours=hours(item_class),
        close=hour_values(item_class, "close"),
        same_key=same_key,
        moment=moment,
        rolled_up_to=rolled_up_to,
    )


def _same_key(item_class: type[TableItem]) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
        for name in primary_key(item_class)
    )


def _probe(
    connection: Connection, chosen: ChosenRows, query: sql.Composed, values: dict[str, Any]
) -> list[Any]:
    """The rows of a query that reads changes only after the time up to which they are rolled up."""
    since = _rolled_up_to(connection, chosen.item_class)
    return _rows(connection, query, {**chosen.values, **values, "rolled_up_to": since})


def _rolled_up_to(connection: Connection, item_class: type[TableItem]) -> datetime:
    state = _rows(connection, sql.SQL(_STATE), {"table": item_class.history_table})
    found: datetime = state[0][0] if state else datetime.min.replace(tzinfo=UTC)
    return found


def _rows(
    connection: Connection, query: sql.SQL | sql.Composed, values: dict[str, Any]
) -> list[Any]:
    try:
        return connection.execute(query, values).fetchall()
    except errors.UndefinedTable:
        raise NoHistoryError(
            "no history is kept: set HISTORY_ENABLED=1, and it begins with the next crawl"
        ) from None
