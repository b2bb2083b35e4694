"""What prices were at given times: for changes in per cent, and for sparklines."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from psycopg import Connection, sql

from coinspider.records.table_item import TableItem, primary_key
from coinspider.store.candles import days_of_hours, hour_values, hours
from coinspider.store.row_filter import constant_values, key_parts
from coinspider.store.series import Point, history_rows

SPARKLINE_TIME, SPARKLINE_STEP = timedelta(days=7), timedelta(hours=4)
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


class ChosenRows(NamedTuple):
    """Rows of an item's table, by the first column of their key; ``constants`` has the others."""

    item_class: type[TableItem]
    keys: Sequence[str]
    constants: Mapping[str, str]

    @property
    def conditions(self) -> sql.Composable:
        return key_parts(self.item_class, self.constants)["constants"]

    @property
    def same_as_asked(self) -> sql.Composed:
        key = sql.Identifier(primary_key(self.item_class)[0])
        return sql.SQL("{} = asked.key AND {}").format(key, self.conditions)

    @property
    def values(self) -> dict[str, Any]:
        return {"keys": list(self.keys), **constant_values(self.constants)}


def earlier_prices(
    connection: Connection,
    chosen: ChosenRows,
    ages: Iterable[timedelta],
    now: datetime | None = None,
) -> dict[str, dict[timedelta, Decimal]]:
    """The price of each row at that time, by key, if the history has it."""
    now = now or datetime.now(UTC)
    moments = {now - age: age for age in ages}
    price_then = _price_then(
        chosen.item_class,
        chosen.same_as_asked,
        sql.SQL("asked.moment"),
        sql.SQL("%(rolled_up_to)s"),
    )
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
    connection: Connection,
    chosen: ChosenRows,
    step: timedelta = SPARKLINE_STEP,
    now: datetime | None = None,
) -> dict[str, list[Point]]:
    """The price of each row in the last week, by key, for each step in which it changed."""
    now = now or datetime.now(UTC)
    query = sql.SQL(_SPARKLINES).format(
        last_change=_last_change(chosen, sql.SQL("asked.moment - %(step)s")),
        days=days_of_hours(chosen.item_class),
        close=hour_values(chosen.item_class, "close"),
        key=sql.Identifier(primary_key(chosen.item_class)[0]),
        constants=chosen.conditions,
    )
    values = {"since": now - SPARKLINE_TIME, "now": now, "step": step}
    found: dict[str, list[Point]] = {}
    for key, time, price in _probe(connection, chosen, query, values):
        found.setdefault(key, []).append(Point(time, price))
    return found


def _last_change(chosen: ChosenRows, oldest: sql.Composable) -> sql.Composed:
    return sql.SQL(_LAST_CHANGE).format(
        price=sql.Identifier(chosen.item_class.candle_price or ""),
        history=sql.Identifier(chosen.item_class.history_table or ""),
        same_key=chosen.same_as_asked,
        oldest=oldest,
    )


def _price_then(
    item_class: type[TableItem],
    same_key: sql.Composable,
    moment: sql.Composable,
    rolled_up_to: sql.Composable,
) -> sql.Composed:
    return sql.SQL(_PRICE_THEN).format(
        price=sql.Identifier(item_class.candle_price or ""),
        history=sql.Identifier(item_class.history_table or ""),
        hours=hours(item_class),
        close=hour_values(item_class, "close"),
        same_key=same_key,
        moment=moment,
        rolled_up_to=rolled_up_to,
    )


def _probe(
    connection: Connection, chosen: ChosenRows, query: sql.Composed, values: dict[str, Any]
) -> list[Any]:
    """The rows of a query that reads changes only after the time up to which they are rolled up."""
    since = _rolled_up_to(connection, chosen.item_class)
    return history_rows(connection, query, {**chosen.values, **values, "rolled_up_to": since})


def _rolled_up_to(connection: Connection, item_class: type[TableItem]) -> datetime:
    state = history_rows(connection, sql.SQL(_STATE), {"table": item_class.history_table})
    found: datetime = state[0][0] if state else datetime.min.replace(tzinfo=UTC)
    return found
