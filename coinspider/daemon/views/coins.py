"""``/coins``: the coins that the crawls stored, page by page."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from psycopg import Connection

from coinspider.daemon.database import database_url
from coinspider.daemon.views.charts import Sparkline, sparkline
from coinspider.daemon.views.choice import BOUNDS, FILTERS, CoinChoice, FieldsError, read_choice
from coinspider.daemon.views.columns import CHANGE_7D, COLUMNS, LAST_7_DAYS, SHOWN, STORED
from coinspider.daemon.views.view import Arguments, DatabaseView, Memory, render
from coinspider.errors import NoHistoryError, ViewError
from coinspider.items import FullCoin
from coinspider.store.crawl import first_complete_crawl
from coinspider.store.series import SPARKLINE_TIME, Point, sparklines
from coinspider.store.tables import LISTED, count_by, count_rows_without, list_rows

LIMITS = (25, 50, 100, 250)
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


class CoinsPage(DatabaseView):
    """The coins, page by page, sorted by any column."""

    section = "coins"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> str:
        try:
            choice = read_choice(arguments, LIMITS[-1])
            return _page(connected, choice, arguments, known)
        except FieldsError as error:
            read = {name: text for name, text in arguments.items() if name not in error.problems}
            known["problems"] = error.problems
            page = _page(connected, read_choice(read, LIMITS[-1]), arguments, known)
            raise ViewError(error.status, str(error), page) from None


def _page(
    connected: Connection, choice: CoinChoice, typed: Arguments, known: dict[str, Any]
) -> str:
    """``typed`` are the arguments as they came, with what could not be read."""
    counts = count_coins(connected, choice)
    total = counts.get(choice.currency, 0)
    limit = choice.chosen.limit or total
    pages = max(1, -(-total // limit))
    page = min(choice.page, pages)
    choice = choice._replace(page=page, chosen=choice.chosen._replace(offset=(page - 1) * limit))
    return render(
        "coins.html",
        **{"problems": {}} | known,
        choice=choice,
        typed=typed,
        arguments=choice.arguments,
        columns=[COLUMNS[name] for name in choice.columns],
        all_columns=COLUMNS,
        shown=SHOWN,
        change_7d=CHANGE_7D,
        filters=FILTERS,
        bounds=BOUNDS,
        sortable=STORED,
        listed=LISTED,
        rows=_rows(connected, choice),
        currencies=list(counts),
        limits=sorted({*LIMITS, limit}),
        new_since=first_complete_crawl(connected, choice.currency)
        if "new" in choice.filters
        else None,
        total=total,
        page=page,
        pages=pages,
        first=(page - 1) * limit + 1,
        without=_without(connected, choice) if choice.filters and not total else {},
    )


def count_coins(connected: Connection, choice: CoinChoice) -> dict[str, int]:
    """By currency; paging and sorting don't change it, and counting takes as long as a page."""
    counted = choice.chosen._replace(columns=(), sort="", limit=None, offset=0)
    return _counts.get(
        (database_url(), repr(counted)), lambda: count_by(connected, counted, "vs_currency")
    )


def _without(connected: Connection, choice: CoinChoice) -> dict[str, tuple[int, CoinChoice]]:
    """The choice without each of its filters, and how many coins there would be."""
    found = count_rows_without(connected, choice.chosen)
    counts = {name: found[n] for n, name in enumerate(choice.conditions)}
    counts |= {name: found[name] for name in ("search", "listed")}
    usual = ["listed"] if choice.chosen.listed == "listed" else []
    return {name: (counts[name], choice.without(name)) for name in [*choice.filters, *usual]}


def _rows(connected: Connection, choice: CoinChoice) -> list[dict[str, Any]]:
    names = list(dict.fromkeys([*_NEEDED, *choice.chosen.columns]))
    rows = list_rows(connected, choice.chosen._replace(columns=names)).dicts()
    if LAST_7_DAYS in choice.columns and rows:
        add_sparklines(connected, choice, rows)
    for row in rows:
        row["logo"] = web_address(row["image"])
    return rows


def add_sparklines(
    connected: Connection, choice: CoinChoice, rows: Sequence[dict[str, Any]]
) -> None:
    now, ids = datetime.now(UTC), [row["coin_id"] for row in rows]
    try:
        with connected.transaction():
            found = sparklines(connected, FullCoin, ids, choice.chosen.constants, now)
    except NoHistoryError:
        found = {}
    for row in rows:
        row[LAST_7_DAYS] = row_sparkline(found.get(row["coin_id"], []), row, now)


def row_sparkline(
    points: Sequence[Point], row: Mapping[str, Any], now: datetime
) -> Sparkline | None:
    """From the price to which the row's change is, to its price now: the line says the same."""
    price, percent = row["current_price"], row.get(CHANGE_7D)
    if price is None or not price.is_finite():
        return sparkline(points)
    ends = [*points, Point(now, price)]
    if percent is None or percent <= -100:
        return sparkline(ends)
    then = price / (1 + percent / 100)
    drawn = sparkline([Point(now - SPARKLINE_TIME, then), *ends])
    return drawn and drawn._replace(change=percent)


def web_address(text: str | None) -> str | None:
    """The text if it is a web address, and nothing that a browser would run."""
    try:
        return text if text and urlsplit(text).scheme in ("http", "https") else None
    except ValueError:
        return None
