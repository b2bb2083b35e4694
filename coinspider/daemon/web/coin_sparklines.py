"""The line of the last week in each row of ``/coins``."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from coinspider.daemon.web.charts import Sparkline, sparkline
from coinspider.daemon.web.coin_columns import CHANGES, LAST_7_DAYS
from coinspider.daemon.web.coin_query import CoinQuery
from coinspider.errors import NoHistoryError
from coinspider.items import FullCoin
from coinspider.store.earlier_prices import (
    SPARKLINE_STEP,
    SPARKLINE_TIME,
    ChosenRows,
    sparklines,
)
from coinspider.store.series import Point

_MANY = 100  # lines, above which each has fewer points
_CHANGE_OF_LINE = next(name for name, age in CHANGES.items() if age == SPARKLINE_TIME)


def add_sparklines(
    connected: Connection, query: CoinQuery, rows: Sequence[dict[str, Any]]
) -> None:  # fmt: skip
    now, ids = datetime.now(UTC), [row["coin_id"] for row in rows]
    step = SPARKLINE_STEP if len(rows) <= _MANY else 3 * SPARKLINE_STEP
    chosen = ChosenRows(FullCoin, ids, query.chosen.constants)
    try:
        with connected.transaction():
            found = sparklines(connected, chosen, step, now)
    except NoHistoryError:
        found = {}
    for row in rows:
        row[LAST_7_DAYS] = row_sparkline(found.get(row["coin_id"], []), row, now)


def row_sparkline(
    points: Sequence[Point], row: Mapping[str, Any], now: datetime
) -> Sparkline | None:  # fmt: skip
    """From the price to which the row's change is, to its price now: the line says the same."""
    price, percent = row["current_price"], row.get(_CHANGE_OF_LINE)
    if price is None or not price.is_finite():
        return sparkline(points)
    ends = [*points, Point(now, price)]
    if percent is None or percent <= -100:
        return sparkline(ends)
    then = price / (1 + percent / 100)
    drawn = sparkline([Point(now - SPARKLINE_TIME, then), *ends])
    return drawn and drawn._replace(change=percent)
