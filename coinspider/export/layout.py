"""Decides which columns of a table fit beside each other, and how wide each may be."""

from collections.abc import Sequence
from typing import NamedTuple

GAP = 2  # cells between two columns


class ColumnSize(NamedTuple):
    """How many terminal cells a column needs at least, and takes if there is room."""

    name: str
    least: int
    natural: int


def fit(columns: Sequence[ColumnSize], width: int | None, needed: int = 1) -> dict[str, int]:
    """The widths of the columns that fit into ``width`` cells, by name, in order of priority.

    The first ``needed`` columns are included even if they don't fit. If a later one doesn't fit,
    all after it are left out as well. No column is narrower than its least width; remaining room
    goes to those that can use it, in order.
    """
    if width is None:
        return {column.name: column.natural for column in columns}
    chosen: list[ColumnSize] = []
    room = width + GAP
    for number, column in enumerate(columns):
        if number >= needed and column.least + GAP > room:
            break
        chosen.append(column)
        room -= column.least + GAP
    widths = {column.name: column.least for column in chosen}
    for column in chosen:
        more = min(max(room, 0), column.natural - column.least)
        widths[column.name] += more
        room -= more
    return widths
