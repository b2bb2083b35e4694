"""What a page of rows is asked for: the arguments of its address, read and checked."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coinspider.daemon.views.cells import (
    COLUMNS,
    SHOWN,
    ShownColumn,
    stored,
    table_columns,
    usual_columns,
)
from coinspider.daemon.views.preferences import given_list
from coinspider.daemon.views.view import Arguments, link, number
from coinspider.errors import ConfigurationError, ViewError
from coinspider.items import FullCoin
from coinspider.store.bounds import BOUNDS, conditions, filled_in, read_where
from coinspider.store.tables import (
    LISTED,
    WATCH_MAX,
    Condition,
    RowFilter,
    StoredTable,
    table_of,
)

FILTERS = {
    "search": "Search",
    "listed": "Status",
    "watched": "On the watch list",
    **{name: bound.label for name, bound in BOUNDS.items()},
    "new": "New within days",
    "where": "Rows with",
}
LIMIT, LIMIT_MAX = 50, 1000
_DEFAULT_SORT = "market_cap_rank"
_SHOWN_OF_DELISTED = [*SHOWN, "delisted_at"]
_USUAL = {",".join(SHOWN), ",".join(_SHOWN_OF_DELISTED)}
_USUAL_STATUS = ("listed", "listed")
_KEPT = (
    "currency",
    "sort",
    "limit",
    "columns",
    "watch",
    *(name for name in FILTERS if name != "where"),
)
_KEPT_OF_TABLE = ("sort", "limit", "columns", "search", "where")


class RowChoice(NamedTuple):
    """The rows, the columns to show of those that are ``known``, and the arguments for both."""

    chosen: RowFilter
    columns: Sequence[str]
    known: Mapping[str, ShownColumn]
    arguments: Mapping[str, str]
    page: int
    watch: Sequence[str] = ()

    @property
    def currency(self) -> str:
        return self.chosen.constants["vs_currency"]

    @property
    def shown(self) -> list[ShownColumn]:
        return [self.known[name] for name in self.columns]

    @property
    def whole(self) -> "RowChoice":
        """The rows of all pages."""
        return self._replace(page=1, chosen=self.chosen._replace(limit=None, offset=0))

    def within(self, total: int) -> "RowChoice":
        """The last page there is, if it is past that."""
        page = min(self.page, self.pages(total))
        offset = (page - 1) * (self.chosen.limit or 0)
        return self._replace(page=page, chosen=self.chosen._replace(offset=offset))

    def pages(self, total: int) -> int:
        return max(1, -(-total // self.chosen.limit)) if self.chosen.limit else 1

    @property
    def sort(self) -> str:
        """The column, in either direction."""
        return self.chosen.sort.removeprefix("-")

    @property
    def filters(self) -> dict[str, str]:
        """The arguments that filter coins; without one, delisted coins are left out."""
        found = {name: self.arguments[name] for name in FILTERS if name in self.arguments}
        return {name: value for name, value in found.items() if (name, value) != _USUAL_STATUS}

    @property
    def conditions(self) -> list[str]:
        """The arguments of the filter's conditions, in their order."""
        return [*filled_in(self.arguments), *(["watched"] if self.is_watched else [])]

    def without(self, name: str) -> "RowChoice":
        """The choice without one of its filters."""
        left = {**self.arguments, name: "all" if name == "listed" else ""}
        return read_choice(left, watched=self.watch)

    def sort_link(self, column: str) -> str:
        """For numbers the largest first, then the reverse."""
        is_largest_first = self.known[column].is_number and column != _DEFAULT_SORT
        first = f"-{column}" if is_largest_first else column
        other = column if first.startswith("-") else f"-{column}"
        return link(self.arguments, sort=other if self.chosen.sort == first else first, page=None)

    def star_link(self, coin_id: str) -> str | None:
        """Adds a coin to the watch list or removes it, and leads to the same view.

        None if the list is full.
        """
        if coin_id not in self.watch and len(self.watch) >= WATCH_MAX:
            return None
        page = self.page if self.page > 1 else None
        name = "unstar" if coin_id in self.watch else "star"
        return link(self.arguments, page=page, **{name: coin_id})

    @property
    def file_arguments(self) -> Mapping[str, str]:
        """The arguments for a file, which another program may fetch: with the watch list."""
        return {**self.arguments, **({"watch": ",".join(self.watch)} if self.is_watched else {})}

    @property
    def is_watched(self) -> bool:
        """Whether it has the coins of the watch list alone."""
        return bool(self.arguments.get("watched"))


def read_choice(
    arguments: Arguments, most: int = LIMIT_MAX, watched: Sequence[str] = ()
) -> RowChoice:
    """With at most ``most`` rows on a page.

    ``watched`` is the watch list, unless the address has one.

    Raises :exc:`FieldsError` or another :exc:`ViewError`, and :exc:`ConfigurationError` for an
    unknown column.
    """
    kept = {name: arguments[name] for name in _KEPT if arguments.get(name)}
    if kept.get("columns") in _USUAL:  # from a form without JavaScript
        del kept["columns"]
    page, limit = _read_page(arguments, kept, most, _DEFAULT_SORT)
    listed = arguments.get("listed") or "listed"
    if listed not in LISTED:
        raise ViewError(400, f"listed={listed} is none of {', '.join(LISTED)}")
    usual = SHOWN if listed == "listed" else _SHOWN_OF_DELISTED
    columns = _columns(kept.get("columns", ""), usual, COLUMNS)
    watch = given_list(arguments) or list(watched)
    chosen = RowFilter(
        table=table_of(FullCoin),
        constants={"vs_currency": arguments.get("currency") or "usd"},
        search=arguments.get("search") or None,
        sort=kept.get("sort", _DEFAULT_SORT),
        columns=stored(columns),
        limit=limit,
        offset=(page - 1) * limit,
        listed=listed,
        conditions=_conditions(arguments, watch),
    )
    return RowChoice(chosen, columns, COLUMNS, kept, page, watch)


def read_table_choice(table: StoredTable, arguments: Arguments, most: int = LIMIT_MAX) -> RowChoice:
    """The same for a page of any table. Raises the same."""
    kept = {name: arguments[name] for name in _KEPT_OF_TABLE if arguments.get(name)}
    known = table_columns(table)
    first = next(iter(known))
    page, limit = _read_page(arguments, kept, most, first)
    usual = usual_columns(table)
    if kept.get("columns") == ",".join(usual):
        del kept["columns"]
    columns = _columns(kept.get("columns", ""), usual, known)
    chosen = RowFilter(
        table,
        {},
        columns,
        kept.get("sort", first),
        kept.get("search"),
        limit,
        (page - 1) * limit,
        conditions=read_where(table, kept.get("where", "")),
    )
    return RowChoice(chosen, columns, known, kept, page)


def _read_page(
    arguments: Arguments, kept: dict[str, str], most: int, default_sort: str
) -> tuple[int, int]:
    """The page and its number of rows, at most ``most``; the sort and the limit go to ``kept``."""
    if arguments.get("descending"):  # from a form, which has its own field for it
        kept["sort"] = f"-{arguments.get('sort', default_sort).removeprefix('-')}"
    limit = min(number(arguments, "limit", LIMIT, LIMIT_MAX), most)
    if "limit" in kept:  # so that a download of the view has the same rows
        kept["limit"] = str(limit)
    return number(arguments, "page", 1), limit


def _columns(text: str, usual: Sequence[str], known: Mapping[str, ShownColumn]) -> list[str]:
    if text == "all":
        return [*usual, *(name for name in known if name not in usual)]
    names = text.split(",") if text else usual
    for name in names:
        if name not in known:
            raise ConfigurationError(f"no column {name}: there are {', '.join(known)}")
    return list(dict.fromkeys(names))


def _conditions(arguments: Arguments, watch: Sequence[str]) -> list[Condition]:
    found = conditions(arguments)
    if arguments.get("watched"):
        found.append(Condition("coin_id", "IN", list(watch)))
    return found
