"""Finds a row by what people call it: its key, or a text such as its symbol or name."""

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from psycopg import Connection

from coinspider.errors import ConfigurationError, NothingCrawledError
from coinspider.records.table_item import TableItem, primary_key
from coinspider.store.queries import list_rows, list_values, similar_keys
from coinspider.store.row_filter import RowFilter
from coinspider.text import program, visible

_NEAR_MAX = 5


class NamedRow(NamedTuple):
    """A row, and how it was found.

    ``others`` are the keys of rows with the same text in the column ``by``, which is ``None`` if it
    was found by its key.
    """

    row: Mapping[str, Any]
    by: str | None = None
    others: list[str] = []  # noqa: RUF012


def find_named_row(
    connection: Connection, item_class: type[TableItem], text: str, constants: Mapping[str, str]
) -> NamedRow:
    """The row with this key; else the first with this text in a searched column, listed ones first.

    Raises :exc:`ConfigurationError`, which says what there is instead.
    """
    key = primary_key(item_class)[0]
    columns = [key, *item_class.searched, "delisted_at"]
    chosen = RowFilter(item_class, constants, columns, item_class.shown[0], text, limit=None)
    rows = sorted(list_rows(connection, chosen).dicts(), key=lambda row: bool(row["delisted_at"]))
    for column in (key, *item_class.searched):
        if found := [row for row in rows if row[column].lower() == text.lower()]:
            others = [row[key] for row in found[1:]]
            return NamedRow(found[0], None if column == key else column, others)
    check_constants(connection, chosen)
    near = [row[key] for row in rows] or similar_keys(connection, chosen)
    nouns = f"{item_class.noun}s"
    hint = (
        f"did you mean {', '.join(near[:_NEAR_MAX])}?"
        if near
        else f"{program()} {nouns} lists some"
    )
    where = ", ".join(constants.values())
    names = ", ".join(["id", *item_class.searched[:-1]]) + f" or {item_class.searched[-1]}"
    raise ConfigurationError(f"no {item_class.noun} in {where} has the {names} {text}: {hint}")


def check_constants(connection: Connection, chosen: RowFilter) -> None:
    """Raises :exc:`NothingCrawledError`, which says what there is, if no row has these values."""
    for column, value in chosen.constants.items():
        known = list_values(connection, chosen.item_class, column)
        if value not in known:
            there = f"there are {', '.join(known)}" if known else "there are none at all"
            nouns = f"{chosen.item_class.noun}s"
            how = f"{program()} crawl {nouns} -a {column}={shlex.quote(visible(value))}"
            hint = f"; to have them: {how}" if value else ""
            raise NothingCrawledError(
                f"no {nouns} in {visible(value) or repr(value)}: {there}{hint}"
            )
