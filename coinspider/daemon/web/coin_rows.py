"""Finds the requested coins, in the listing or in the table, and adds their history."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from psycopg import Connection

from coinspider.daemon.database import database_url
from coinspider.daemon.web.coin_columns import CHANGES, STORED
from coinspider.daemon.web.coin_listing import coin_listing
from coinspider.daemon.web.coin_query import CoinQuery
from coinspider.daemon.web.memory import Memory
from coinspider.errors import NoHistoryError, NothingCrawledError, ViewError
from coinspider.items import FullCoin
from coinspider.records.table_item import primary_key
from coinspider.store.earlier_prices import ChosenRows, earlier_prices
from coinspider.store.listing import listed_columns
from coinspider.store.listing_order import is_whole
from coinspider.store.queries import count_rows, count_rows_without, list_rows
from coinspider.store.row_filter import RowFilter

Answer = TypeVar("Answer")
_counts: Memory[int] = Memory(5.0)  # seconds
_LISTED = {"coin_id", *listed_columns(FullCoin), *CHANGES}
# Of these the listing can have the order, but it lacks the values.
_ORDERED = {*STORED} - _LISTED - {*primary_key(FullCoin)}
# A change is computed from this.
_NEEDED = ("coin_id", "current_price")


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
    )  # fmt: skip


def counts_without(connected: Connection, query: CoinQuery) -> dict[str, int]:
    """How many coins there would be without each of the filters, and without the status."""
    found = _ask(connected, query.chosen, count_rows_without)
    counts = {name: found[n] for n, name in enumerate(query.conditions)}
    return counts | {name: found[name] for name in ("search", "listed")}


def _ask(
    connected: Connection, chosen: RowFilter, question: Callable[[Connection, RowFilter], Answer]
) -> Answer:  # fmt: skip
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
) -> list[dict[str, Any]]:  # fmt: skip
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


def _add_changes(
    connected: Connection, query: CoinQuery, rows: Sequence[dict[str, Any]]
) -> None:  # fmt: skip
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
