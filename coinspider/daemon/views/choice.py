"""What a page of the coins is asked for: the arguments of its address, read and checked."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coinspider.daemon.views.cells import COLUMNS, SHOWN, stored
from coinspider.daemon.views.view import WATCH_MAX, Arguments, link, number
from coinspider.errors import ConfigurationError, ViewError
from coinspider.items import FullCoin
from coinspider.store.bounds import BOUNDS, conditions, filled_in
from coinspider.store.tables import LISTED, Condition, RowFilter

FILTERS = {
    "search": "Search",
    "listed": "Status",
    "watched": "On the watch list",
    **{name: bound.label for name, bound in BOUNDS.items()},
    "new": "New within days",
}
LIMIT, LIMIT_MAX = 50, 1000
_DEFAULT_SORT = "market_cap_rank"
_SHOWN_OF_DELISTED = [*SHOWN, "delisted_at"]
_USUAL = {",".join(SHOWN), ",".join(_SHOWN_OF_DELISTED)}
_USUAL_STATUS = ("listed", "listed")
_KEPT = ("currency", "sort", "limit", "columns", "watch", *FILTERS)


class CoinChoice(NamedTuple):
    """The rows, the columns to show, and the arguments for both."""

    chosen: RowFilter
    columns: Sequence[str]
    watch: Sequence[str]
    arguments: Mapping[str, str]
    page: int

    @property
    def currency(self) -> str:
        return self.chosen.constants["vs_currency"]

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

    def without(self, name: str) -> "CoinChoice":
        """The choice without one of its filters."""
        left = {**self.arguments, name: "all" if name == "listed" else ""}
        return read_choice(left, watched=self.watch)

    def sort_link(self, column: str) -> str:
        """For numbers the largest first, then the reverse."""
        first = f"-{column}" if _begins_with_greatest(column) else column
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
) -> CoinChoice:
    """With at most ``most`` rows on a page.

    ``watched`` is the browser's watch list, unless the address has one.

    Raises :exc:`FieldsError` or another :exc:`ViewError`, and :exc:`ConfigurationError` for an
    unknown column.
    """
    kept = {name: arguments[name] for name in _KEPT if arguments.get(name)}
    if kept.get("columns") in _USUAL:  # from a form without JavaScript
        del kept["columns"]
    if arguments.get("descending"):  # from a form, which has its own field for it
        kept["sort"] = f"-{arguments.get('sort', _DEFAULT_SORT).removeprefix('-')}"
    limit = min(number(arguments, "limit", LIMIT, LIMIT_MAX), most)
    page = number(arguments, "page", 1)
    if "limit" in kept:  # so that a download of the view has the same rows
        kept["limit"] = str(limit)
    listed = arguments.get("listed") or "listed"
    if listed not in LISTED:
        raise ViewError(400, f"listed={listed} is none of {', '.join(LISTED)}")
    columns = _columns(kept.get("columns", ""), listed)
    given = [name for name in arguments.get("watch", "").split(",") if name]
    watch = (given or list(watched))[:WATCH_MAX]
    chosen = RowFilter(
        item_class=FullCoin,
        constants={"vs_currency": arguments.get("currency") or "usd"},
        search=arguments.get("search") or None,
        sort=kept.get("sort", _DEFAULT_SORT),
        columns=stored(columns),
        limit=limit,
        offset=(page - 1) * limit,
        listed=listed,
        conditions=_conditions(arguments, watch),
    )
    return CoinChoice(chosen, columns, watch, kept, page)


def _columns(text: str, listed: str) -> list[str]:
    if text == "all":
        return [*SHOWN, *(name for name in COLUMNS if name not in SHOWN)]
    names = text.split(",") if text else SHOWN if listed == "listed" else _SHOWN_OF_DELISTED
    for name in names:
        if name not in COLUMNS:
            raise ConfigurationError(f"no column {name}: there are {', '.join(COLUMNS)}")
    return list(dict.fromkeys(names))


def _conditions(arguments: Arguments, watch: Sequence[str]) -> list[Condition]:
    found = conditions(arguments)
    if arguments.get("watched"):
        found.append(Condition("coin_id", "IN", list(watch)))
    return found


def _begins_with_greatest(column: str) -> bool:
    return COLUMNS[column].is_number and column != _DEFAULT_SORT
