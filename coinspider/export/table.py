"""Rows as a table that fits the terminal."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from coinspider.text import exact, per_cent, readable, short, visible

if TYPE_CHECKING:
    from coinspider.store.fetch import Listing

GAP = 2  # cells between two columns
# Text is never folded to less than the first; without a terminal's width, it is at the second.
TEXT_LEAST, TEXT_MOST = 12, 100  # cells
NOTE_LEAST = 20  # cells
CHANGE_COLORS = {"+": "green", "-": "red"}
OUTCOME_COLORS = {"complete": "green", "running": "cyan", "failed": "red", "died": "red"}


class TableStyle(NamedTuple):
    """How to write a table: its width in cells (``None`` for any), and what it may use."""

    width: int | None = None
    color: bool = False
    encoding: str = "utf-8"
    all_digits: bool = False
    first: Sequence[str] = ()
    """The most important columns, in order of priority."""
    needed: int = 1
    """How many of these are never left out."""

    def can_show(self, text: str) -> bool:
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        return True

    def shown(self, text: str) -> str:
        """A text from outside as one line that the terminal can show."""
        text = visible(text)
        if self.can_show(text):
            return text
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)


def terminal_style(color: bool | None, all_digits: bool = False) -> TableStyle:
    """The style for standard output; ``color=None`` means whatever the terminal can show.

    https://no-color.org
    """
    is_terminal = sys.stdout.isatty()
    if color is None:
        color = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    known = is_terminal or os.environ.get("COLUMNS", "").isdecimal()
    width = shutil.get_terminal_size().columns if known else None
    return TableStyle(width, color, sys.stdout.encoding or "ascii", all_digits)


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


class _Column(NamedTuple):
    name: str
    values: Sequence[Any]
    texts: Sequence[str]

    @property
    def is_number(self) -> bool:
        return any(map(_is_number, self.values))

    @property
    def is_whole(self) -> bool:
        """Whether its values must stay on one line: a number without its end has the wrong size."""
        return self.is_number or any(isinstance(value, datetime) for value in self.values)

    def size(self, least_share: int) -> ColumnSize:
        from rich.cells import cell_len

        header = max(map(len, self.name.split("_")))
        natural = max([header, *map(cell_len, self.texts)])
        if self.is_whole:
            return ColumnSize(self.name, natural, natural)
        natural = min(natural, TEXT_MOST)
        return ColumnSize(self.name, min(natural, max(TEXT_LEAST, header, least_share)), natural)


def table_lines(listing: "Listing", style: TableStyle) -> list[str]:
    """The lines of the table; the last ones say which columns are left out, if any.

    No number is ever cut or folded: if columns don't fit, amounts are shortened first, those of the
    least important columns before others, then the least important columns are left out.
    """
    columns = _columns(listing, style, exact if style.all_digits else readable)
    widths = _fit(columns, style)
    if len(widths) < len(columns) and not style.all_digits:
        columns, widths = _shortened(listing, columns, style)
    lines = _render([column for column in columns if column.name in widths], widths, style)
    if left_out := [column.name for column in columns if column.name not in widths]:
        note = f"No room for {', '.join(left_out)}; all of a row: --format list"
        lines += textwrap.wrap(note, max(style.width or 0, NOTE_LEAST), break_long_words=False)
    return lines


def _shortened(
    listing: "Listing", columns: list[_Column], style: TableStyle
) -> tuple[list[_Column], dict[str, int]]:
    """With short amounts in as many columns as necessary, and their widths."""
    shorter = {column.name: column for column in _columns(listing, style, short)}
    for least_important in reversed(_ranked(columns, style)):
        columns = [
            shorter[column.name] if column.name == least_important.name else column
            for column in columns
        ]
        if len(widths := _fit(columns, style)) == len(columns):
            break
    return columns, widths


def list_lines(listing: "Listing", style: TableStyle) -> list[str]:
    """Each row as lines of a name and a value, for more columns than fit on a terminal."""
    columns = _columns(listing, style, exact if style.all_digits else readable)
    indent = max(map(len, listing.columns), default=0)
    lines: list[str] = []
    for number in range(len(listing.rows)):
        lines.append(f"- {number + 1} -")
        lines += [f"{c.name:<{indent}}  {c.texts[number]}".rstrip() for c in columns]
    return lines


def _columns(listing: "Listing", style: TableStyle, cell: Callable[[Any], str]) -> list[_Column]:
    found = []
    for number, name in enumerate(listing.columns):
        values = [row[number] for row in listing.rows]
        texts = [_text(name, value, cell, style) for value in values]
        found.append(_Column(name, values, texts))
    return found


def _fit(columns: list[_Column], style: TableStyle) -> dict[str, int]:
    # Columns that must be there, such as a message, must also be readable.
    share = style.width // 2 if style.width and style.needed > 1 else 0
    sizes = [
        column.size(share if number < style.needed else 0)
        for number, column in enumerate(_ranked(columns, style))
    ]
    return fit(sizes, style.width, style.needed)


def _ranked(columns: list[_Column], style: TableStyle) -> list[_Column]:
    """The most important first."""
    first = {name: number for number, name in enumerate(style.first)}
    return sorted(columns, key=lambda column: first.get(column.name, len(first)))


def _is_number(value: Any) -> bool:
    return isinstance(value, Decimal | int | float) and not isinstance(value, bool)


def _is_change(name: str, value: Any) -> bool:
    return "change_" in name and _is_number(value) and bool(value)


def _text(name: str, value: Any, cell: Callable[[Any], str], style: TableStyle) -> str:
    """A cell's text; if the encoding has no subscript digits, a small number is 1.23e-10."""
    if "percentage" in name and isinstance(value, Decimal) and not style.all_digits:
        return per_cent(value)
    sign = "+" if _is_change(name, value) and value > 0 else ""
    text = cell(value)
    if _is_number(value) and not style.can_show(text):
        return f"{sign}{value:.6g}"
    return sign + style.shown(text)


def _color(name: str, value: Any, text: str) -> str:
    if name == "outcome":
        return OUTCOME_COLORS.get(value, "yellow")
    return CHANGE_COLORS.get(text[:1], "") if _is_change(name, value) else ""


def _render(columns: list[_Column], widths: dict[str, int], style: TableStyle) -> list[str]:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD if style.can_show("─") else box.ASCII,
        header_style="bold",
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),
    )
    for column in columns:
        table.add_column(
            column.name.replace("_", "\n"),
            width=widths[column.name],
            overflow="fold",
            justify="right" if column.is_number else "left",
        )
    for number in range(len(columns[0].values) if columns else 0):
        # As text, not markup: a coin's name may contain brackets.
        cells = [(c.name, c.values[number], c.texts[number]) for c in columns]
        table.add_row(*(Text(text, _color(name, value, text)) for name, value, text in cells))
    # A console of the terminal's width would cut columns that are needed but don't fit.
    console = Console(
        width=sum(widths.values()) + GAP * len(widths) + 1,
        legacy_windows=False,
        color_system="standard" if style.color else None,
        force_terminal=style.color,
    )
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]
