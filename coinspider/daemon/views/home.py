"""The start page: how the market stands, the coins that are watched, whether all is well."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple, cast

from psycopg import Connection, sql

from coinspider.daemon.database import Memory, database_url
from coinspider.daemon.protocols import Root
from coinspider.daemon.views.choice import RowChoice, read_choice
from coinspider.daemon.views.coins import LISTS, coin_rows, count_coins
from coinspider.daemon.views.crawls import WITH_JOBS
from coinspider.daemon.views.overview import Described, describe_schedules, read_overview
from coinspider.daemon.views.view import Arguments, DatabaseView, Frame, View, render
from coinspider.store.fetch import fetch_listing, unless_missing
from coinspider.store.tables import list_tables
from coinspider.text import short

_WATCHED = 10  # coins


class MarketLink(NamedTuple):
    """A figure of the market, and the list of the coins behind it."""

    figure: object
    text: str
    query: Mapping[str, str]


def _prepare(root: Root) -> View:
    return partial(_home, describe_schedules(root))


# What is counted in the currency with most coins, and the filters of the page of the coins for it.
_MARKET: Mapping[str, Mapping[str, str]] = {
    "coins": {},
    "gainers in 24h": {"change_min": "0.01", **LISTS["Gainers"]},
    "losers in 24h": {"change_max": "-0.01", **LISTS["Losers"]},
    "new in 7 days": LISTS["New"],
    "delisted": {"listed": "delisted"},
}
# A wrapped coin has no rank of its own, and its cap is that of another coin.
_CAP = """
SELECT sum(market_cap) AS cap FROM full_coin
WHERE vs_currency = %(currency)s AND delisted_at IS NULL AND market_cap_rank IS NOT NULL
"""


_markets: Memory[tuple[str, list[MarketLink]]] = Memory(5.0)  # seconds


def read_market(connected: Connection) -> tuple[str, list[MarketLink]]:
    """The currency and its figures; none if no coins were crawled."""
    find = partial(_markets.get, database_url(), lambda: _figures(connected))
    return unless_missing(connected, find) or ("", [])


def _figures(connected: Connection) -> tuple[str, list[MarketLink]]:
    """Each is counted over all coins, which takes as long as a page."""
    counts = count_coins(connected, read_choice({}))
    currency = max(counts, key=counts.__getitem__, default="")
    [(cap,)] = fetch_listing(connected, sql.SQL(_CAP), {"currency": currency}).rows
    found = [MarketLink(short(cap), "market cap", {"sort": "-market_cap"})] if cap else []
    for text, query in _MARKET.items() if currency else ():
        choice = read_choice({**query, "currency": currency})
        count = count_coins(connected, choice).get(currency, 0)
        found.append(MarketLink(f"{count:,}", text, query))
    return currency, found


def _watched(
    connected: Connection, currency: str, frame: Frame
) -> tuple[RowChoice, list[dict[str, object]]]:
    """The first coins of the watch list."""
    arguments = {**LISTS["Watch list"], "currency": currency, "limit": str(_WATCHED)}
    choice = read_choice(arguments, watched=cast(Sequence[str], frame["watched"]))
    is_shown = choice.watch and currency
    return choice, coin_rows(connected, choice, frame["logos"]) if is_shown else []


def _home(known: Described, connected: Connection, _: Arguments, frame: Frame) -> str:
    currency, market = read_market(connected)
    choice, rows = _watched(connected, currency, frame)
    return render(
        "home.html",
        **frame,
        market=market,
        currency=currency,
        choice=choice,
        rows=rows,
        tables=unless_missing(connected, lambda: list_tables(connected)) or [],
        **read_overview(connected, known)._asdict(),
    )


# At ``/``, instead of scrapyd's own first page.
HomePage = partial(DatabaseView, prepare=_prepare, section="", form=WITH_JOBS)
