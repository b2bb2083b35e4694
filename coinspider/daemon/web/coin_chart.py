"""The chart of ``/coin``, or the reason why there is none."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from psycopg import Connection

from coinspider.daemon.web.price_charts import Chart, candle_chart, line_chart
from coinspider.errors import NoHistoryError
from coinspider.items import FullCoin
from coinspider.store.series import Point, Span, list_candles, price_points

RANGES = {"1d": 1, "7d": 7, "30d": 30, "90d": 90, "1y": 365, "all": None}
_HOURLY_CANDLES = 7  # days; over a longer time, candles are daily
_CANDLES_MAX = 400
_MERGED = timedelta(hours=4)  # per week, as on exchanges
_SHORT = "its price has not changed twice in this time, as far as the history goes."


def coin_chart(
    connected: Connection, coin: Mapping[str, Any], days: int | None,
    options: Mapping[str, str], compared: Mapping[str, Any] | None,
) -> tuple[Chart | None, str]:  # fmt: skip
    """The chart of the last ``days``, or of all; or the reason why there is none.

    ``options`` are ``candles`` and ``log``, if chosen.
    """
    is_log = "log" in options
    try:
        with connected.transaction():
            if "candles" in options:
                return candle_chart(_candles(connected, _key(coin), days), is_log), _SHORT
            return line_chart(_series(connected, coin, days, compared), is_log), _SHORT
    except NoHistoryError as error:
        return None, f"{error}."


def _key(coin: Mapping[str, Any]) -> dict[str, str]:
    return {name: coin[name] for name in ("coin_id", "vs_currency")}


def _candles(
    connected: Connection, key: Mapping[str, str], days: int | None
) -> Sequence[Mapping[str, Any]]:
    resolution = "1h" if days and days <= _HOURLY_CANDLES else "1d"
    since = datetime.now(UTC) - timedelta(days=days) if days else None
    rows = list_candles(connected, FullCoin, key, resolution, Span(since)).dicts()
    return merged_candles(rows, _MERGED)[-_CANDLES_MAX:] if days == 7 else rows[-_CANDLES_MAX:]


def merged_candles(
    rows: Sequence[Mapping[str, Any]], step: timedelta
) -> list[Mapping[str, Any]]:  # fmt: skip
    """Candles of a longer period, combined from those that begin in it."""
    found: list[Mapping[str, Any]] = []
    for begin, group in groupby(rows, lambda row: _begin(row["started_at"], step)):
        within = list(group)
        found.append(dict(within[-1]) | {
            "started_at": begin, "open": within[0]["open"],
            "high": max(row["high"] for row in within), "low": min(row["low"] for row in within),
        })  # fmt: skip
    return found


def _begin(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - datetime(2000, 1, 1, tzinfo=UTC)) % step


def _series(
    connected: Connection, coin: Mapping[str, Any], days: int | None,
    compared: Mapping[str, Any] | None,
) -> dict[str, Sequence[Point]]:  # fmt: skip
    """By name; two of the same name are told apart by their ids."""
    points = price_points(connected, FullCoin, _key(coin), days)
    if not compared or compared["coin_id"] == coin["coin_id"]:
        return {str(coin["name"]): points}
    others = price_points(connected, FullCoin, _key(compared), days)
    # Over the same time, so that the two can be compared.
    kept = [point for point in others if not points or point.time >= points[0].time]
    label = "name" if coin["name"] != compared["name"] else "coin_id"
    found: dict[str, Sequence[Point]] = {str(coin[label]): points}
    return found | ({str(compared[label]): kept} if len(kept) > 1 else {})
