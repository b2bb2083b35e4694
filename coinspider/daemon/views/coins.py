"""``/coins``: the coins that the crawls stored, page by page."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlsplit

from psycopg import Connection

from coinspider.daemon.database import database_url
from coinspider.daemon.views.charts import Sparkline, sparkline
from coinspider.daemon.views.choice import BOUNDS, FILTERS, CoinQuery, FieldsError, coin_query
from coinspider.daemon.views.columns import CHANGES, COLUMNS, LAST_7_DAYS, SHOWN, SORTABLE, STORED
from coinspider.daemon.views.listing import coin_listing
from coinspider.daemon.views.view import Arguments, DatabaseView, Memory, render
from coinspider.errors import NoHistoryError, NothingCrawledError, ViewError
from coinspider.items import FullCoin
from coinspider.records.table_item import primary_key
from coinspider.store.crawl import first_complete_crawl
from coinspider.store.earlier_prices import (
    SPARKLINE_STEP,
    SPARKLINE_TIME,
    ChosenRows,
    earlier_prices,
    sparklines,
)
from coinspider.store.listing import listed_columns
from coinspider.store.listing_order import is_whole
from coinspider.store.row_filter import LISTED, RowFilter
from coinspider.store.series import Point
from coinspider.store.tables import count_rows, count_rows_without, list_rows, list_values

Answer = TypeVar("Answer")
LIMITS = (25, 50, 100, 250)
_counts: Memory[int] = Memory(5.0)  # seconds
_LISTED = {"coin_id", *listed_columns(FullCoin), *CHANGES}
# Of these the listing can have the order, but it lacks the values.
_ORDERED = {*STORED} - _LISTED - {*primary_key(FullCoin)}
# A change is computed from this.
_NEEDED = ("coin_id", "current_price")
# Columns that are read in addition to those shown.
_ALWAYS_READ = ("coin_id", "name", "symbol", "image", "market_cap_rank", "delisted_at")
_known_currencies: Memory[list[str]] = Memory(5.0)  # seconds
_MANY = 100  # lines, above which each has fewer points
_CHANGE_OF_LINE = next(name for name, age in CHANGES.items() if age == SPARKLINE_TIME)


class CoinsPage(DatabaseView):
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


def look_up(connected: Connection, query: CoinQuery) -> CoinQuery:
    """The query in its fastest form: with the listing of the coins, if possible."""
    chosen = query.chosen
    by_change = query.sort in CHANGES
    all_changes = chosen.limit is None and CHANGES.keys() & set(query.columns)
    if by_change or all_changes:
        listing = coin_listing.needed(connected)
        if by_change and not listing:
            raise ViewError(
                503, "The changes of all coins can't be told yet: try again in some seconds."
            )
    else:
        listing = coin_listing.current(connected)
    return query._replace(chosen=chosen._replace(listing=listing))


def count(connected: Connection, query: CoinQuery) -> int:
    """Paging and sorting don't change it, and counting takes as long as a page."""
    counted = query.chosen._replace(columns=(), sort="", limit=None, offset=0, listing=None)
    return _counts.get(
        (database_url(), repr(counted)), lambda: _ask(connected, query.chosen, count_rows)
    )


def counts_without(connected: Connection, query: CoinQuery) -> dict[str, int]:
    """How many coins there would be without each of the filters, and without the status."""
    found = _ask(connected, query.chosen, count_rows_without)
    counts = {name: found[n] for n, name in enumerate(query.conditions)}
    return counts | {name: found[name] for name in ("search", "listed")}


def _ask(
    connected: Connection, chosen: RowFilter, question: Callable[[Connection, RowFilter], Answer]
) -> Answer:
    try:
        with connected.transaction():
            return question(connected, chosen)
    except NothingCrawledError:
        if not chosen.listing:
            raise
        coin_listing.forget()  # somebody has dropped it
        return question(connected, chosen._replace(listing=None))


def read_rows(
    connected: Connection, query: CoinQuery, names: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows with these columns of the table, and with the view's computed columns."""
    columns = list(dict.fromkeys([*names, *_NEEDED]))
    chosen = _listed(query.chosen._replace(columns=columns))
    try:
        with connected.transaction():
            rows = list_rows(connected, chosen).dicts()
    except NothingCrawledError:
        if not chosen.listing:
            raise
        coin_listing.forget()  # somebody has dropped it
        chosen = chosen._replace(listing=None, listed_columns=())
        rows = list_rows(connected, chosen).dicts()
    if not chosen.listing:
        _add_changes(connected, query, rows)
    return rows


def _listed(chosen: RowFilter) -> RowFilter:
    """Without the listing if the rows are sorted by a column that it lacks."""
    column = chosen.sort.removeprefix("-")
    is_sorted = (
        chosen.limit is None
        or column in _LISTED
        or (is_whole(chosen) and column in _ORDERED and coin_listing.has_order(column))
    )
    if not chosen.listing or not is_sorted:
        return chosen._replace(listing=None)
    return chosen._replace(listed_columns=tuple(CHANGES))


def _add_changes(connected: Connection, query: CoinQuery, rows: Sequence[dict[str, Any]]) -> None:
    ages = {age: name for name, age in CHANGES.items() if name in query.columns}
    ids = [row["coin_id"] for row in rows]
    found: Mapping[str, Mapping[Any, Decimal]] = {}
    if ages and ids:
        try:
            with connected.transaction():
                chosen = ChosenRows(FullCoin, ids, query.chosen.constants)
                found = earlier_prices(connected, chosen, ages)
        except NoHistoryError:
            pass
    for row in rows:
        then = found.get(row["coin_id"], {})
        row |= {name: change(row["current_price"], then.get(age)) for name, age in CHANGES.items()}


def change(now: Decimal | None, then: Decimal | None) -> Decimal | None:
    """In per cent, as in the listing."""
    if not then or now is None or not (now.is_finite() and then.is_finite()):
        return None
    return round((now / then - 1) * 100, 5)


def add_sparklines(connected: Connection, query: CoinQuery, rows: Sequence[dict[str, Any]]) -> None:
    now, ids = datetime.now(UTC), [row["coin_id"] for row in rows]
    step = SPARKLINE_STEP if len(rows) <= _MANY else 3 * SPARKLINE_STEP
    chosen = ChosenRows(FullCoin, ids, query.chosen.constants)
    try:
        with connected.transaction():
            found = sparklines(connected, chosen, step, now)
    except NoHistoryError:
        found = {}
    for row in rows:
        row[LAST_7_DAYS] = row_sparkline(found.get(row["coin_id"], []), row, now)


def row_sparkline(
    points: Sequence[Point], row: Mapping[str, Any], now: datetime
) -> Sparkline | None:
    """From the price to which the row's change is, to its price now: the line says the same."""
    price, percent = row["current_price"], row.get(_CHANGE_OF_LINE)
    if price is None or not price.is_finite():
        return sparkline(points)
    ends = [*points, Point(now, price)]
    if percent is None or percent <= -100:
        return sparkline(ends)
    then = price / (1 + percent / 100)
    drawn = sparkline([Point(now - SPARKLINE_TIME, then), *ends])
    return drawn and drawn._replace(change=percent)


def coins_page(
    connected: Connection, query: CoinQuery, typed: Arguments, known: dict[str, Any]
) -> str:
    """``typed`` are the arguments as they came, with what could not be read."""
    query = look_up(connected, query)
    total = count(connected, query)
    limit = query.chosen.limit or total
    pages = max(1, -(-total // limit))
    page = min(query.page, pages)
    query = query._replace(page=page, chosen=query.chosen._replace(offset=(page - 1) * limit))
    return render(
        "coins.html",
        **{"problems": {}} | known,
        query=query,
        typed=typed,
        arguments=query.arguments,
        columns=[COLUMNS[name] for name in query.columns],
        all_columns=COLUMNS,
        shown=SHOWN,
        filters=FILTERS,
        bounds=BOUNDS,
        sortable=SORTABLE,
        listed=LISTED,
        rows=_rows(connected, query),
        currencies=_all_currencies(connected),
        limits=sorted({*LIMITS, limit}),
        new_since=first_complete_crawl(connected, query.currency)
        if "new" in query.filters
        else None,
        total=total,
        page=page,
        pages=pages,
        first=(page - 1) * limit + 1,
        without=_without(connected, query) if query.filters and not total else {},
    )


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
    rows = read_rows(connected, query, [*_ALWAYS_READ, *query.chosen.columns])
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
