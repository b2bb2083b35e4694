"""What a page of rows is asked for: the arguments of its address, read and checked."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coinspider.daemon.views.cells import (
    COLUMNS,
    SHOWN,
    ShownColumn,
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
# What the page of the coins shows without these arguments.
USUAL = {
    "currency": "usd",
    "listed": "listed",
    "limit": str(LIMIT),
    "sort": _DEFAULT_SORT,
}
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
    """The rows, the columns to show of those that are ``known``, and the arguments for both.

    ``usual`` are the columns if none are chosen.
    """

    chosen: RowFilter
    known: Mapping[str, ShownColumn]
    usual: Sequence[str]
    columns: Sequence[str] = ()
    arguments: Mapping[str, str] = {}
    page: int = 1
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
        return {name: value for name, value in found.items() if USUAL.get(name) != value}

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
    listed = arguments.get("listed") or "listed"
    if listed not in LISTED:
        raise ViewError(400, f"listed={listed} is none of {', '.join(LISTED)}")
    usual = SHOWN if listed == "listed" else _SHOWN_OF_DELISTED
    if arguments.get("columns") in _USUAL:  # from a form without JavaScript
        arguments = {**arguments, "columns": ""}
    watch = given_list(arguments) or list(watched)
    chosen = RowFilter(
        table_of(FullCoin),
        {"vs_currency": arguments.get("currency") or "usd"},
        (),
        _DEFAULT_SORT,
        listed=listed,
        conditions=_conditions(arguments, watch),
    )
    return _read(RowChoice(chosen, COLUMNS, usual, watch=watch), _KEPT, arguments, most)


def read_table_choice(table: StoredTable, arguments: Arguments, most: int = LIMIT_MAX) -> RowChoice:
    """The same for a page of any table. Raises the same."""
    known, conditions = table_columns(table), read_where(table, arguments.get("where") or "")
    chosen = RowFilter(table, {}, (), next(iter(known)), conditions=conditions)
    return _read(RowChoice(chosen, known, usual_columns(table)), _KEPT_OF_TABLE, arguments, most)


def _read(start: RowChoice, names: Sequence[str], arguments: Arguments, most: int) -> RowChoice:
    """What both kinds of pages are asked for; the arguments of these ``names`` are kept."""
    kept = {name: arguments[name] for name in names if arguments.get(name)}
    if kept.get("columns") == ",".join(start.usual):
        del kept["columns"]
    if arguments.get("descending"):  # from a form, which has its own field for it
        kept["sort"] = f"-{arguments.get('sort', start.sort).removeprefix('-')}"
    limit = min(number(arguments, "limit", LIMIT, LIMIT_MAX), most)
    if "limit" in kept:  # so that a download of the view has the same rows
        kept["limit"] = str(limit)
    page = number(arguments, "page", 1)
    columns = _columns(kept.get("columns", ""), start.usual, start.known)
    chosen = start.chosen._replace(
        columns=[name for name in columns if not start.known[name].made],
        sort=kept.get("sort", start.sort),
        search=kept.get("search"),
        limit=limit,
        offset=(page - 1) * limit,
    )
    return start._replace(chosen=chosen, columns=columns, arguments=kept, page=page)


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
