"""``/coins`` and ``/coin``: what the crawls stored, for people; downloads are in downloads.py."""

from typing import Any
from urllib.parse import urlsplit

from psycopg import Connection

from coinspider.daemon.database import database_url
from coinspider.daemon.web.coin_chart import RANGES, coin_chart
from coinspider.daemon.web.coin_columns import (
    COLUMNS,
    GROUPS,
    LAST_7_DAYS,
    SHOWN,
    SORTABLE,
    WITHOUT,
)
from coinspider.daemon.web.coin_filters import BOUNDS, FILTERS, FieldsError
from coinspider.daemon.web.coin_lookup import (
    UnknownCoinError,
    coin_currencies,
    find_coin,
    find_named_coin,
)
from coinspider.daemon.web.coin_query import CoinQuery, coin_query
from coinspider.daemon.web.coin_rows import (
    add_sparklines,
    count,
    counts_without,
    look_up,
    read_rows,
)
from coinspider.daemon.web.memory import Memory
from coinspider.daemon.web.other_fields import other_fields
from coinspider.daemon.web.view import Arguments, DatabaseView, number, render
from coinspider.errors import ViewError
from coinspider.items import FullCoin
from coinspider.store.crawl_queries import first_complete_crawl
from coinspider.store.queries import list_values
from coinspider.store.row_filter import LISTED

DAYS_MAX = 36_500
_known_currencies: Memory[list[str]] = Memory(5.0)  # seconds
_LIMITS = (25, 50, 100, 250)
# Columns that are read in addition to those shown.
_NEEDED = ("coin_id", "name", "symbol", "image", "market_cap_rank", "delisted_at")


class Coins(DatabaseView):
    """The coins, page by page, sorted by any column."""

    section = "coins"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> str:
        try:
            query = coin_query(arguments, _LIMITS[-1])
            return _coins_page(connected, query, arguments, known)
        except FieldsError as error:
            read = {name: text for name, text in arguments.items() if name not in error.problems}
            known["problems"] = error.problems
            page = _coins_page(connected, coin_query(read, _LIMITS[-1]), arguments, known)
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


def _coins_page(
    connected: Connection, query: CoinQuery, typed: Arguments, known: dict[str, Any]
) -> str:  # fmt: skip
    query = look_up(connected, query)
    total = count(connected, query)
    limit = query.chosen.limit or total
    pages = max(1, -(-total // limit))
    page = min(query.page, pages)
    query = query._replace(page=page, chosen=query.chosen._replace(offset=(page - 1) * limit))
    return render(
        "coins.html",
        **{"problems": {}} | known, query=query, typed=typed, arguments=query.arguments,
        columns=[COLUMNS[name] for name in query.columns], all_columns=COLUMNS, shown=SHOWN,
        filters=FILTERS, bounds=BOUNDS, sortable=SORTABLE, listed=LISTED,
        rows=_rows(connected, query), currencies=_all_currencies(connected),
        limits=sorted({*_LIMITS, limit}),
        new_since=first_complete_crawl(connected, query.currency)
        if "new" in query.filters else None,
        total=total, page=page, pages=pages, first=(page - 1) * limit + 1,
        without={} if total else _without(connected, query),
    )  # fmt: skip


def _without(connected: Connection, query: CoinQuery) -> dict[str, tuple[int, CoinQuery]]:
    """The query without each of its filters, and how many coins there would be."""
    counts = counts_without(connected, query)
    usual = ["listed"] if query.chosen.listed == "listed" and query.filters else []
    return {name: (counts[name], query.without(name)) for name in [*query.filters, *usual]}


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


def web_address(text: str | None) -> str | None:
    """The text if it is a web address, and nothing that a browser would run."""
    try:
        return text if text and urlsplit(text).scheme in ("http", "https") else None
    except ValueError:
        return None
