"""``/coin``: everything about a coin, and the history of its price."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import cast

from msgspec import Raw
from psycopg import Connection
from psycopg.rows import DictRow

from coinspider.daemon.views.cells import COLUMNS, GROUPS, WITHOUT, other_fields
from coinspider.daemon.views.charts import PriceChart, candle_chart, line_chart
from coinspider.daemon.views.coins import logo_address
from coinspider.daemon.views.view import (
    CSV,
    JSON,
    Arguments,
    Format,
    Frame,
    as_csv,
    as_json,
    link,
    number,
    page_of,
    render,
)
from coinspider.errors import NoHistoryError, ViewError
from coinspider.items import FullCoin
from coinspider.store.fetch import Listing
from coinspider.store.series import Charted, Point, Span, chart_points, list_candles, list_changes
from coinspider.store.tables import find_row
from coinspider.text import exact_json_row

RANGES = {"1d": 1, "7d": 7, "30d": 30, "90d": 90, "1y": 365, "all": None}
VALUES = {"": "Price", "market_cap": "Market cap", "total_volume": "24h volume"}
_HOURLY_CANDLES = 7  # days; over a longer time, candles are daily
_CANDLES_MAX = 400
_MERGED = timedelta(hours=4)  # per week, as on exchanges
_SHORT = "it has not changed twice in this time, as far as the history goes."
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


def find_coin(connected: Connection, coin_id: str, currency: str) -> dict[str, object]:
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


def find_named_coin(connected: Connection, text: str, currency: str) -> dict[str, object]:
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
    coin: Mapping[str, object],
    days: int | None,
    options: Mapping[str, str],
    compared: Mapping[str, object] | None,
) -> tuple[PriceChart | None, str]:
    """The chart of the last ``days``, or of all; or the reason why there is none.

    ``options`` are ``candles``, ``log`` and ``value``, if chosen.
    """
    is_log, charted = "log" in options, Charted(days, options.get("value", ""))
    try:
        with connected.transaction():
            if "candles" in options:
                return candle_chart(_candles(connected, _key(coin), days), is_log), _SHORT
            return line_chart(_series(connected, coin, charted, compared), is_log), _SHORT
    except NoHistoryError as error:
        return None, f"{error}."


def _key(coin: Mapping[str, object]) -> dict[str, str]:
    return {name: str(coin[name]) for name in ("coin_id", "vs_currency")}


def _candles(connected: Connection, key: Mapping[str, str], days: int | None) -> Sequence[DictRow]:
    resolution = "1h" if days and days <= _HOURLY_CANDLES else "1d"
    since = datetime.now(UTC) - timedelta(days=days) if days else None
    rows = list_candles(connected, FullCoin, key, resolution, Span(since)).dicts()
    return merged_candles(rows, _MERGED)[-_CANDLES_MAX:] if days == 7 else rows[-_CANDLES_MAX:]


def merged_candles(rows: Sequence[DictRow], step: timedelta) -> list[DictRow]:
    """Candles of a longer period, combined from those that begin in it."""
    found: list[DictRow] = []
    for begin, group in groupby(rows, lambda row: _begin(row["started_at"], step)):
        within = list(group)
        found.append(
            within[-1]
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
    coin: Mapping[str, object],
    charted: Charted,
    compared: Mapping[str, object] | None,
) -> dict[str, Sequence[Point]]:
    """By name; two of the same name are told apart by their ids."""
    points = chart_points(connected, FullCoin, _key(coin), charted)
    if not compared or compared["coin_id"] == coin["coin_id"]:
        return {str(coin["name"]): points}
    others = chart_points(connected, FullCoin, _key(compared), charted)
    # Over the same time, so that the two can be compared.
    kept = [point for point in others if not points or point.time >= points[0].time]
    label = "name" if coin["name"] != compared["name"] else "coin_id"
    found: dict[str, Sequence[Point]] = {str(coin[label]): points}
    return found | ({str(compared[label]): kept} if len(kept) > 1 else {})


def _coin(connected: Connection, arguments: Arguments, frame: Frame) -> str:
    coin_id, currency = arguments.get("id", ""), arguments.get("currency") or "usd"
    try:
        coin = find_coin(connected, coin_id, currency)
    except UnknownCoinError as error:
        page = render("error.html", **frame, status=404, message=str(error), links=error.links)
        raise ViewError(404, str(error), page) from None
    text = arguments.get("compare")
    try:
        compared = find_named_coin(connected, text, currency) if text else None
    except UnknownCoinError as error:
        page = _page(connected, coin, arguments, frame | {"unknown": error})
        raise ViewError(404, str(error), page) from None
    return _page(connected, coin, arguments, frame, compared)


def _page(
    connected: Connection,
    coin: dict[str, object],
    arguments: Arguments,
    frame: Frame,
    compared: Mapping[str, object] | None = None,
) -> str:
    span = arguments.get("range") or "7d"
    if span not in RANGES:
        raise ViewError(400, f"range={span[:40]} is none of {', '.join(RANGES)}")
    # As in the links of version 0.1.
    days = number(arguments, "days", 7, DAYS_MAX) if "days" in arguments else RANGES[span]
    kept = {name: arguments[name] for name in ("log", "candles", "value") if arguments.get(name)}
    if kept.get("value", "") not in VALUES:
        raise ViewError(
            400, f"value={kept['value'][:40]} is none of {', '.join(filter(None, VALUES))}"
        )
    if compared:
        kept["compare"] = str(compared["coin_id"])
    chart, problem = coin_chart(connected, coin, days, kept, compared)
    return render(
        "coin.html",
        **{"unknown": None} | frame,
        coin=coin,
        image=logo_address(cast(str | None, coin["image"])) if frame["logos"] else None,
        span=span,
        ranges=RANGES,
        chart=chart,
        problem=problem,
        options=kept,
        values=VALUES,
        columns=COLUMNS,
        groups=GROUPS,
        absent=WITHOUT,
        other=other_fields(coin["extra"]),
        currencies=coin_currencies(connected, str(coin["coin_id"])),
        typed=arguments.get("compare") or "",
        arguments={"id": coin["coin_id"], "currency": coin["vs_currency"]} | kept,
    )


def _history(connected: Connection, arguments: Arguments) -> Listing:
    """A coin's candles with ``resolution`` 1h or 1d, or its ``changes``."""
    key = {"coin_id": arguments.get("id", ""), "vs_currency": arguments.get("currency") or "usd"}
    resolution = arguments.get("resolution") or "1h"
    if resolution == "changes":
        return list_changes(connected, FullCoin, key)
    return list_candles(connected, FullCoin, key, resolution)


def _csv(connected: Connection, arguments: Arguments, _: Frame) -> bytes:
    return as_csv(_history(connected, arguments))


def _json(connected: Connection, arguments: Arguments, _: Frame) -> bytes:
    history = _history(connected, arguments).dicts()
    return as_json(status="ok", history=[Raw(exact_json_row(row)) for row in history])


# Named in scrapyd.conf.
CoinPage = page_of(_coin, "coins")
CoinHistoryCsv = page_of(_csv, form=Format(CSV, "coin-history.csv"))
CoinHistoryJson = page_of(_json, form=JSON)
