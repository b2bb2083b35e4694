"""``/coins`` and ``/coin``: what the crawls stored, for people; downloads are in downloads.py."""

from typing import Any

from psycopg import Connection

from coinspider.daemon.web.coin_chart import RANGES, coin_chart
from coinspider.daemon.web.coin_columns import COLUMNS, GROUPS, WITHOUT
from coinspider.daemon.web.coin_filters import FieldsError
from coinspider.daemon.web.coin_lookup import (
    UnknownCoinError,
    coin_currencies,
    find_coin,
    find_named_coin,
)
from coinspider.daemon.web.coin_query import coin_query
from coinspider.daemon.web.coins_page import LIMITS, coins_page, web_address
from coinspider.daemon.web.other_fields import other_fields
from coinspider.daemon.web.view import Arguments, DatabaseView, number, render
from coinspider.errors import ViewError

DAYS_MAX = 36_500


class Coins(DatabaseView):
    """The coins, page by page, sorted by any column."""

    section = "coins"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> str:
        try:
            query = coin_query(arguments, LIMITS[-1])
            return coins_page(connected, query, arguments, known)
        except FieldsError as error:
            read = {name: text for name, text in arguments.items() if name not in error.problems}
            known["problems"] = error.problems
            page = coins_page(connected, coin_query(read, LIMITS[-1]), arguments, known)
            raise ViewError(error.status, str(error), page) from None


class Coin(DatabaseView):
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


def _compared(
    connected: Connection, arguments: Arguments, currency: str
) -> dict[str, Any] | None:  # fmt: skip
    text = arguments.get("compare")
    return find_named_coin(connected, text, currency) if text else None


def _coin_page(
    connected: Connection, coin: dict[str, Any], arguments: Arguments, known: dict[str, Any],
    compared: dict[str, Any] | None = None,
) -> str:  # fmt: skip
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
        **{"unknown": None} | known, coin=coin, image=web_address(coin["image"]), span=span,
        ranges=RANGES, chart=chart, problem=problem, options=kept, columns=COLUMNS, groups=GROUPS,
        absent=WITHOUT, other=other_fields(coin["extra"]),
        currencies=coin_currencies(connected, coin["coin_id"]),
        typed=arguments.get("compare") or "",
        arguments={"id": coin["coin_id"], "currency": coin["vs_currency"]} | kept,
    )  # fmt: skip
