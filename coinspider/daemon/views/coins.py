"""``/coins``: the coins that the crawls stored, page by page and as files."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast
from urllib.parse import urlsplit

from psycopg import Connection

from coinspider.daemon.database import Memory, database_url
from coinspider.daemon.protocols import Root
from coinspider.daemon.views.any_table import LIMITS, file_of, render_rows
from coinspider.daemon.views.cells import CHANGE_7D, LAST_7_DAYS, stored
from coinspider.daemon.views.charts import Sparkline, sparkline
from coinspider.daemon.views.choice import FILTERS, USUAL, RowChoice, read_choice
from coinspider.daemon.views.view import (
    LOGO_HOSTS,
    VIEWS,
    WATCHED,
    Arguments,
    DatabaseView,
    Frame,
    page_of,
)
from coinspider.errors import NoHistoryError, ViewError
from coinspider.items import FullCoin
from coinspider.store.bounds import BOUNDS, FieldsError
from coinspider.store.crawl import first_complete_crawl, first_crawl
from coinspider.store.series import SPARKLINE_TIME, Point, sparklines
from coinspider.store.tables import LISTED, count_by, count_rows_without, list_rows

_CHANGE = "price_change_percentage_24h"
# By name, what leads there: the queries that people ask for most.
LISTS: Mapping[str, Mapping[str, str]] = {
    "All coins": {},
    "Gainers": {"sort": f"-{_CHANGE}"},
    "Losers": {"sort": _CHANGE},
    "New": {"new": "7", "sort": "-first_crawled_at"},
    "Watch list": {"watched": "1"},
}
# Columns that are read in addition to those shown.
_NEEDED = (
    "coin_id",
    "name",
    "symbol",
    "image",
    "market_cap_rank",
    "delisted_at",
    "current_price",
    CHANGE_7D,
)
_counts: Memory[dict[str, int]] = Memory(5.0)  # seconds


def _coins(connected: Connection, arguments: Arguments, frame: Frame) -> str:
    watched = cast(Sequence[str], frame["watched"])
    try:
        choice = read_choice(arguments, LIMITS[-1], watched)
        return _page(connected, choice, arguments, frame)
    except FieldsError as error:
        read = {name: text for name, text in arguments.items() if name not in error.problems}
        told = frame | {"problems": error.problems}
        page = _page(connected, read_choice(read, LIMITS[-1], watched), arguments, told)
        raise ViewError(error.status, str(error), page) from None


def _page(connected: Connection, choice: RowChoice, typed: Arguments, frame: Frame) -> str:
    """``typed`` are the arguments as they came, with what could not be read."""
    counts = count_coins(connected, choice)
    total = counts.get(choice.currency, 0)
    choice = choice.within(total)
    section = WATCHED if choice.is_watched else "coins"
    return render_rows(
        "coins.html",
        frame | {"section": section},
        choice,
        coin_rows(connected, choice, frame["logos"]),
        total,
        title=VIEWS[section],
        address="coins",
        usual=USUAL | {"columns": ",".join(choice.usual)},
        typed=typed,
        filters=FILTERS,
        bounds=BOUNDS,
        listed=LISTED,
        currencies=list(counts),
        lists=LISTS,
        new_since=first_complete_crawl(connected, choice.currency)
        if "new" in choice.filters
        else None,
        first_crawl=first_crawl(connected, choice.currency),
        without=_without(connected, choice) if choice.filters and not total else {},
    )


def count_coins(connected: Connection, choice: RowChoice) -> dict[str, int]:
    """By currency; paging and sorting don't change it, and counting takes as long as a page."""
    key = database_url(), repr(choice.chosen.uncut)
    return _counts.get(key, lambda: count_by(connected, choice.chosen, "vs_currency"))


def _without(connected: Connection, choice: RowChoice) -> dict[str, tuple[int, RowChoice]]:
    """The choice without each of its filters, and how many coins there would be."""
    found = count_rows_without(connected, choice.chosen)
    counts = {name: found[n] for n, name in enumerate(choice.conditions)}
    counts |= {name: found[name] for name in ("search", "listed")}
    usual = ["listed"] if choice.chosen.listed == "listed" else []
    return {name: (counts[name], choice.without(name)) for name in [*choice.filters, *usual]}


def coin_rows(connected: Connection, choice: RowChoice, logos: object) -> list[dict[str, object]]:
    names = list(dict.fromkeys([*_NEEDED, *choice.chosen.columns]))
    rows = list_rows(connected, choice.chosen._replace(columns=names)).dicts()
    if LAST_7_DAYS in choice.columns and rows:
        add_sparklines(connected, choice, rows)
    for row in rows:
        row["logo"] = logo_address(cast(str | None, row["image"])) if logos else None
    return rows


def add_sparklines(
    connected: Connection, choice: RowChoice, rows: Sequence[dict[str, object]]
) -> None:
    now, ids = datetime.now(UTC), [str(row["coin_id"]) for row in rows]
    try:
        with connected.transaction():
            found = sparklines(connected, FullCoin, ids, choice.chosen.constants, now)
    except NoHistoryError:
        found = {}
    for row in rows:
        row[LAST_7_DAYS] = row_sparkline(found.get(str(row["coin_id"]), []), row, now)


def row_sparkline(
    points: Sequence[Point], row: Mapping[str, object], now: datetime
) -> Sparkline | None:
    """From the price to which the row's change is, to its price now: the line says the same."""
    price, percent = (cast(Decimal | None, row.get(name)) for name in ("current_price", CHANGE_7D))
    if price is None or not price.is_finite():
        return sparkline(points)
    ends = [*points, Point(now, price)]
    if percent is None or percent <= -100:
        return sparkline(ends)
    then = price / (1 + percent / 100)
    drawn = sparkline([Point(now - SPARKLINE_TIME, then), *ends])
    return drawn and drawn._replace(change=percent)


def logo_address(text: str | None) -> str | None:
    """The text if it is that of a picture on one of the :data:`LOGO_HOSTS`."""
    try:
        parts = urlsplit(text or "")
    except ValueError:
        return None
    return text if parts.scheme == "https" and parts.netloc in LOGO_HOSTS else None


def _read(_: Connection, arguments: Arguments) -> RowChoice:
    choice = read_choice(arguments)
    # A chart's line can't be in a file.
    names = list(dict.fromkeys(["coin_id", *stored(choice.columns)]))
    return choice._replace(chosen=choice.chosen._replace(columns=names))


def _file(kind: str) -> Callable[[Root], DatabaseView]:
    view, form = file_of(kind, "coins", _read)
    return page_of(view, form=form)


# Named in scrapyd.conf.
CoinsPage = page_of(_coins, "coins")
CoinsJson, CoinsCsv, CoinsXlsx, CoinsParquet = map(_file, ("json", "csv", "xlsx", "parquet"))
