"""The HTML of ``/coins``: its rows, their number, and the form."""

from typing import Any
from urllib.parse import urlsplit

from psycopg import Connection

from coinspider.daemon.database import database_url
from coinspider.daemon.web.coin_columns import COLUMNS, LAST_7_DAYS, SHOWN, SORTABLE
from coinspider.daemon.web.coin_filters import BOUNDS, FILTERS
from coinspider.daemon.web.coin_query import CoinQuery
from coinspider.daemon.web.coin_rows import count, counts_without, look_up, read_rows
from coinspider.daemon.web.coin_sparklines import add_sparklines
from coinspider.daemon.web.memory import Memory
from coinspider.daemon.web.view import Arguments, render
from coinspider.items import FullCoin
from coinspider.store.crawl_queries import first_complete_crawl
from coinspider.store.queries import list_values
from coinspider.store.row_filter import LISTED

LIMITS = (25, 50, 100, 250)
_known_currencies: Memory[list[str]] = Memory(5.0)  # seconds
# Columns that are read in addition to those shown.
_NEEDED = ("coin_id", "name", "symbol", "image", "market_cap_rank", "delisted_at")


def coins_page(
    connected: Connection, query: CoinQuery, typed: Arguments, known: dict[str, Any]
) -> str:  # fmt: skip
    """``typed`` are the arguments as they came, with what could not be read."""
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
        limits=sorted({*LIMITS, limit}),
        new_since=first_complete_crawl(connected, query.currency)
        if "new" in query.filters else None,
        total=total, page=page, pages=pages, first=(page - 1) * limit + 1,
        without=_without(connected, query) if query.filters and not total else {},
    )  # fmt: skip


def _without(connected: Connection, query: CoinQuery) -> dict[str, tuple[int, CoinQuery]]:
    """The query without each of its filters, and how many coins there would be."""
    counts = counts_without(connected, query)
    usual = ["listed"] if query.chosen.listed == "listed" else []
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
