"""``/coins`` and ``/coin``: what the crawls stored, for people; downloads are in downloads.py."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from psycopg import Connection

from coinspider.daemon.database import database_url
from coinspider.daemon.web.charts import Chart, candle_chart, line_chart, merged_candles
from coinspider.daemon.web.coin_columns import (
    COLUMNS,
    GROUPS,
    LAST_7_DAYS,
    SHOWN,
    SORTABLE,
    WITHOUT,
)
from coinspider.daemon.web.coin_query import FILTERS, CoinQuery, coin_query
from coinspider.daemon.web.coin_rows import add_sparklines, count, look_up, read_rows
from coinspider.daemon.web.memory import Memory
from coinspider.daemon.web.other_fields import other_fields
from coinspider.daemon.web.view import Arguments, DatabaseView, number, render
from coinspider.errors import NoHistoryError, ViewError
from coinspider.items import FullCoin
from coinspider.store.crawl_queries import first_complete_crawl
from coinspider.store.queries import find_row, list_values
from coinspider.store.row_filter import LISTED
from coinspider.store.series import Point, Span, list_candles, price_points

RANGES = {"1d": 1, "7d": 7, "30d": 30, "90d": 90, "1y": 365, "all": None}
DAYS_MAX = 36_500
_HOURLY_CANDLES = 7  # days; over a longer time, candles are daily
_CANDLES_MAX = 400
_MERGED = timedelta(hours=4)  # per week, as on exchanges
_known_currencies: Memory[list[str]] = Memory(5.0)  # seconds
_LIMITS = (25, 50, 100, 250)
# Columns that are read in addition to those shown.
_NEEDED = ("coin_id", "name", "symbol", "image", "current_price", "last_updated", "delisted_at")


class Coins(DatabaseView):
    """The coins, page by page, sorted by any column."""

    section = "coins"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> str:
        query = look_up(connected, coin_query(arguments, _LIMITS[-1]))
        total = count(connected, query)
        limit = query.chosen.limit or total
        pages = max(1, -(-total // limit))
        page = min(query.page, pages)
        query = query._replace(
            page=page, chosen=query.chosen._replace(offset=(page - 1) * limit)
        )  # fmt: skip
        rows = _rows(connected, query)
        return render(
            "coins.html",
            **known, query=query, columns=[COLUMNS[name] for name in query.columns],
            all_columns=COLUMNS, shown=SHOWN, filters=FILTERS, sortable=SORTABLE,
            rows=rows, listed=LISTED,
            currencies=_all_currencies(connected), limits=_LIMITS,
            new_since=first_complete_crawl(connected, query.currency)
            if "new" in query.filters else None,
            total=total, page=page, pages=pages, first=(page - 1) * limit + 1,
            arguments=query.arguments,
        )  # fmt: skip


class Coin(DatabaseView):
    """Everything about a coin, and the history of its price."""

    section = "coins"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> str:
        coin_id, currency = arguments.get("id", ""), arguments.get("currency") or "usd"
        coin = _find(connected, coin_id, currency)
        span = arguments.get("range") or "7d"
        if span not in RANGES:
            raise ViewError(400, f"range={span[:40]} is none of {', '.join(RANGES)}")
        # As in the links of version 0.1.
        days = number(arguments, "days", 7, DAYS_MAX) if "days" in arguments else RANGES[span]
        kept = {name: arguments[name] for name in ("log", "candles", "compare") if
                arguments.get(name)}  # fmt: skip
        chart, problem = _chart(connected, coin, days, kept)
        return render(
            "coin.html",
            **known, coin=coin, image=web_address(coin["image"]), span=span, ranges=RANGES,
            chart=chart, problem=problem, options=kept, columns=COLUMNS, groups=GROUPS,
            absent=WITHOUT, other=other_fields(coin["extra"]),
            currencies=_currencies(connected, coin_id),
            arguments={"id": coin_id, "currency": currency} | kept,
        )  # fmt: skip


def _all_currencies(connected: Connection) -> list[str]:
    return _known_currencies.get(
        database_url(), lambda: list_values(connected, FullCoin, "vs_currency")
    )


def _rows(connected: Connection, query: CoinQuery) -> list[dict[str, Any]]:
    rows = read_rows(connected, query, [*_NEEDED, *query.chosen.columns])
    if LAST_7_DAYS in query.columns and rows:
        add_sparklines(connected, query, rows)
    for row in rows:
        row["logo"] = web_address(row["image"])
    return rows


def _find(connected: Connection, coin_id: str, currency: str) -> dict[str, Any]:
    coin = find_row(connected, FullCoin, coin_id, {"vs_currency": currency})
    if not coin:
        raise ViewError(404, f"There is no coin {coin_id[:100]} in {currency[:20]}.")
    return coin


def _chart(
    connected: Connection, coin: Mapping[str, Any], days: int | None, options: Mapping[str, str]
) -> tuple[Chart | None, str]:
    """The chart, or how to get one."""
    key = {name: coin[name] for name in ("coin_id", "vs_currency")}
    is_log = bool(options.get("log"))
    try:
        with connected.transaction():
            if options.get("candles"):
                chart = candle_chart(_candles(connected, key, days), is_log)
            else:
                chart = line_chart(_series(connected, key, days, options.get("compare")), is_log)
    except NoHistoryError as error:
        return None, f"{error}."
    return chart, "Its price has not changed twice in this time, as far as the history goes."


def _candles(
    connected: Connection, key: Mapping[str, str], days: int | None
) -> Sequence[Mapping[str, Any]]:
    resolution = "1h" if days and days <= _HOURLY_CANDLES else "1d"
    since = datetime.now(UTC) - timedelta(days=days) if days else None
    rows = list_candles(connected, FullCoin, key, resolution, Span(since)).dicts()
    return merged_candles(rows, _MERGED)[-_CANDLES_MAX:] if days == 7 else rows[-_CANDLES_MAX:]


def _series(
    connected: Connection, key: Mapping[str, str], days: int | None, compared: str | None
) -> dict[str, Sequence[Point]]:
    series: dict[str, Sequence[Point]] = {
        key["coin_id"]: price_points(connected, FullCoin, key, days)
    }
    if compared and compared != key["coin_id"]:
        other = _find(connected, compared, key["vs_currency"])
        points = price_points(connected, FullCoin, {**key, "coin_id": compared}, days)
        first = series[key["coin_id"]][:1]
        # Over the same time, so that the two can be compared.
        kept = [point for point in points if not first or point.time >= first[0].time]
        if len(kept) > 1:
            series[str(other["coin_id"])] = kept
    return series


def _currencies(connected: Connection, coin_id: str) -> list[str]:
    rows = connected.execute(
        "SELECT vs_currency FROM full_coin WHERE coin_id = %s ORDER BY 1", [coin_id]
    )
    return [currency for (currency,) in rows]


def web_address(text: str | None) -> str | None:
    """The text if it is a web address, and nothing that a browser would run."""
    try:
        return text if text and urlsplit(text).scheme in ("http", "https") else None
    except ValueError:
        return None
