"""``/coin``: everything about a coin, and the history of its price."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from psycopg import Connection

from coinspider.daemon.views.cells import other_fields
from coinspider.daemon.views.charts import Chart, candle_chart, line_chart
from coinspider.daemon.views.coins import web_address
from coinspider.daemon.views.columns import COLUMNS, GROUPS, WITHOUT
from coinspider.daemon.views.view import Arguments, DatabaseView, link, number, render
from coinspider.errors import NoHistoryError, ViewError
from coinspider.items import FullCoin
from coinspider.store.series import Point, Span, list_candles, price_points
from coinspider.store.tables import find_row

RANGES = {"1d": 1, "7d": 7, "30d": 30, "90d": 90, "1y": 365, "all": None}
_HOURLY_CANDLES = 7  # days; over a longer time, candles are daily
_CANDLES_MAX = 400
_MERGED = timedelta(hours=4)  # per week, as on exchanges
_SHORT = "its price has not changed twice in this time, as far as the history goes."
DAYS_MAX = 36_500
_NAMED = """
SELECT coin_id FROM full_coin
WHERE vs_currency = %(currency)s AND (lower(symbol) = %(text)s OR lower(name) = %(text)s)
ORDER BY delisted_at IS NOT NULL, market_cap_rank NULLS LAST, coin_id LIMIT 1
"""
_CURRENCIES = "SELECT vs_currency FROM full_coin WHERE coin_id = %s ORDER BY 1"


class UnknownCoinError(ViewError):
    """No coin has this id, symbol or name; ``links`` lead to what may have been meant."""

    def __init__(self, text: str, currency: str, links: dict[str, str]):
        super().__init__(404, f"There is no coin {text[:100]} in {currency[:20]}.")
        self.links = links


def find_coin(connected: Connection, coin_id: str, currency: str) -> dict[str, Any]:
    """The row of an id. Raises :exc:`UnknownCoinError`."""
    coin = find_row(connected, FullCoin, coin_id, {"vs_currency": currency})
    if coin:
        return coin
    others = coin_currencies(connected, coin_id)
    links = {f"it in {code}": f"coin{link({}, id=coin_id, currency=code)}" for code in others}
    if named := _named(connected, coin_id, currency):
        links[named] = f"coin{link({}, id=named, currency=currency)}"
    links["a search for it"] = f"coins{link({}, search=coin_id[:100], currency=currency)}"
    raise UnknownCoinError(coin_id, currency, links)


def find_named_coin(connected: Connection, text: str, currency: str) -> dict[str, Any]:
    """The row of an id or, else, of a symbol or name. Raises :exc:`UnknownCoinError`."""
    try:
        return find_coin(connected, text, currency)
    except UnknownCoinError:
        named = _named(connected, text, currency)
        if not named:
            raise
        return find_coin(connected, named, currency)


def coin_currencies(connected: Connection, coin_id: str) -> list[str]:
    """The currencies in which it was crawled."""
    return [currency for (currency,) in connected.execute(_CURRENCIES, [coin_id])]


def _named(connected: Connection, text: str, currency: str) -> str | None:
    """The id of the largest coin with this symbol or name."""
    values = {"currency": currency, "text": text.strip().lower()}
    row = connected.execute(_NAMED, values).fetchone()
    return row[0] if row else None


def coin_chart(
    connected: Connection,
    coin: Mapping[str, Any],
    days: int | None,
    options: Mapping[str, str],
    compared: Mapping[str, Any] | None,
) -> tuple[Chart | None, str]:
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


def merged_candles(rows: Sequence[Mapping[str, Any]], step: timedelta) -> list[Mapping[str, Any]]:
    """Candles of a longer period, combined from those that begin in it."""
    found: list[Mapping[str, Any]] = []
    for begin, group in groupby(rows, lambda row: _begin(row["started_at"], step)):
        within = list(group)
        found.append(
            dict(within[-1])
            | {
                "started_at": begin,
                "open": within[0]["open"],
                "high": max(row["high"] for row in within),
                "low": min(row["low"] for row in within),
            }
        )
    return found


def _begin(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - datetime(2000, 1, 1, tzinfo=UTC)) % step


def _series(
    connected: Connection,
    coin: Mapping[str, Any],
    days: int | None,
    compared: Mapping[str, Any] | None,
) -> dict[str, Sequence[Point]]:
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


class CoinPage(DatabaseView):
    """Everything about a coin, and the history of its price."""

    section = "coins"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> str:
        coin_id, currency = arguments.get("id", ""), arguments.get("currency") or "usd"
        try:
            coin = find_coin(connected, coin_id, currency)
        except UnknownCoinError as error:
            page = render("error.html", **known, status=404, message=str(error), links=error.links)
            raise ViewError(404, str(error), page) from None
        try:
            compared = _compared(connected, arguments, currency)
        except UnknownCoinError as error:
            page = _coin_page(connected, coin, arguments, known | {"unknown": error})
            raise ViewError(404, str(error), page) from None
        return _coin_page(connected, coin, arguments, known, compared)


def _compared(connected: Connection, arguments: Arguments, currency: str) -> dict[str, Any] | None:
    text = arguments.get("compare")
    return find_named_coin(connected, text, currency) if text else None


def _coin_page(
    connected: Connection,
    coin: dict[str, Any],
    arguments: Arguments,
    known: dict[str, Any],
    compared: dict[str, Any] | None = None,
) -> str:
    span = arguments.get("range") or "7d"
    if span not in RANGES:
        raise ViewError(400, f"range={span[:40]} is none of {', '.join(RANGES)}")
    # As in the links of version 0.1.
    days = number(arguments, "days", 7, DAYS_MAX) if "days" in arguments else RANGES[span]
    kept = {name: arguments[name] for name in ("log", "candles") if arguments.get(name)}
    if compared:
        kept["compare"] = compared["coin_id"]
    chart, problem = coin_chart(connected, coin, days, kept, compared)
    return render(
        "coin.html",
        **{"unknown": None} | known,
        coin=coin,
        image=web_address(coin["image"]),
        span=span,
        ranges=RANGES,
        chart=chart,
        problem=problem,
        options=kept,
        columns=COLUMNS,
        groups=GROUPS,
        absent=WITHOUT,
        other=other_fields(coin["extra"]),
        currencies=coin_currencies(connected, coin["coin_id"]),
        typed=arguments.get("compare") or "",
        arguments={"id": coin["coin_id"], "currency": coin["vs_currency"]} | kept,
    )
