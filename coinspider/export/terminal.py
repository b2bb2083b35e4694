"""Rows as a table that fits the terminal, and numbers over time as a chart that does."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO, TextIOWrapper
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from coinspider.text import exact, per_cent, readable, short, visible

if TYPE_CHECKING:
    from coinspider.store.fetch import Listing

GAP = 2  # cells between two columns
# Text is never folded to less than the first; without a terminal's width, it is at the second.
TEXT_LEAST, TEXT_MOST = 12, 100  # cells
NOTE_LEAST = 20  # cells
WIDEST = 2000  # cells of a column, where the terminal's width is unknown
CHANGE_COLORS = {"+": "green", "-": "red"}
CHART_HEIGHT = 12  # lines
CHART_WIDTH = 80  # cells, if the terminal's width is unknown
CHART_LEAST = 20  # cells of the chart itself
MANY_PER_CENT = 10**9  # which need no decimals
BLOCKS, HASHES = " ▁▂▃▄▅▆▇█", " #"
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


class _Column(NamedTuple):
    name: str
    values: Sequence[object]
    texts: Sequence[str]

    @property
    def is_number(self) -> bool:
        return any(map(_is_number, self.values))

    @property
    def is_whole(self) -> bool:
        """Whether its values must stay on one line: a number without its end has the wrong size."""
        return self.is_number or any(isinstance(value, datetime) for value in self.values)

    def least(self, text_least: int) -> int:
        """The cells that it needs, if text may be folded to so many."""
        from rich.cells import cell_len

        header = max(map(len, self.name.split("_")))
        natural = max([header, *map(cell_len, self.texts)])
        return natural if self.is_whole else min(natural, max(text_least, header))


def table_lines(listing: "Listing", style: TableStyle) -> list[str]:
    """The lines of the table; the last ones say which columns are left out, if any.

    No number is ever cut or folded: if columns don't fit, amounts are shortened first, those of the
    least important columns before others, then the least important columns are left out.
    """
    columns = _columns(listing, style, exact if style.all_digits else readable)
    names = _fitting(columns, style)
    if len(names) < len(columns) and not style.all_digits:
        columns, names = _shortened(listing, columns, style)
    lines = _render([column for column in columns if column.name in names], style)
    if left_out := [column.name for column in columns if column.name not in names]:
        note = f"No room for {', '.join(left_out)}; all of a row: --format list"
        lines += textwrap.wrap(note, max(style.width or 0, NOTE_LEAST), break_long_words=False)
    return lines


def _shortened(
    listing: "Listing", columns: list[_Column], style: TableStyle
) -> tuple[list[_Column], list[str]]:
    """With short amounts in as many columns as necessary, and the names of those that fit."""
    shorter = {column.name: column for column in _columns(listing, style, short)}
    for least_important in reversed(_ranked(columns, style)):
        place = columns.index(least_important)
        columns = [*columns[:place], shorter[least_important.name], *columns[place + 1 :]]
        if len(names := _fitting(columns, style)) == len(columns):
            break
    return columns, names


def _fitting(columns: list[_Column], style: TableStyle) -> list[str]:
    """The columns that fit beside each other; after the first that does not, there is none.

    Those that are needed are among them even if they don't fit.
    """
    ranked = _ranked(columns, style)
    if style.width is None:
        return [column.name for column in ranked]
    # Columns that must be there, such as a message, must also be readable.
    share = style.width // 2 if style.needed > 1 else 0
    names: list[str] = []
    room = style.width + GAP - 1  # rich has a space after the last one, too
    for number, column in enumerate(ranked):
        is_needed = number < style.needed
        room -= column.least(max(TEXT_LEAST, share) if is_needed else TEXT_LEAST) + GAP
        if room < 0 and not is_needed:
            break
        names.append(column.name)
    return names


def list_lines(listing: "Listing", style: TableStyle) -> list[str]:
    """Each row as lines of a name and a value, for more columns than fit on a terminal."""
    columns = _columns(listing, style, exact if style.all_digits else readable)
    indent = max((len(column.name) for column in columns), default=0)
    lines: list[str] = []
    for number in range(len(listing.rows)):
        lines.append(f"- {number + 1} -")
        lines += [f"{c.name:<{indent}}  {c.texts[number]}".rstrip() for c in columns]
    return lines


def _columns(listing: "Listing", style: TableStyle, cell: Callable[[object], str]) -> list[_Column]:
    found = []
    for number, name in enumerate(listing.columns):
        values = [row[number] for row in listing.rows]
        texts = [_text(name, value, cell, style) for value in values]
        found.append(_Column(style.shown(name), values, texts))
    return found


def _ranked(columns: list[_Column], style: TableStyle) -> list[_Column]:
    """The most important first."""
    first = {name: number for number, name in enumerate(style.first)}
    return sorted(columns, key=lambda column: first.get(column.name, len(first)))


def _is_number(value: object) -> TypeGuard[Decimal | int | float]:
    return isinstance(value, Decimal | int | float) and not isinstance(value, bool)


def _text(name: str, value: object, cell: Callable[[object], str], style: TableStyle) -> str:
    """A cell's text; if the encoding has no subscript digits, a small number is 1.23e-10."""
    if "percentage" in name and isinstance(value, Decimal) and not style.all_digits:
        return per_cent(value)
    sign = "+" if "change_" in name and _is_number(value) and value > 0 else ""
    text = cell(value)
    if _is_number(value) and not style.can_show(text):
        return f"{sign}{value:.6g}"
    return sign + style.shown(text)


def _color(name: str, value: object, text: str) -> str:
    if name == "outcome":
        return OUTCOME_COLORS.get(str(value), "yellow")
    is_change = "change_" in name and _is_number(value)
    return CHANGE_COLORS.get(text[:1], "") if is_change else ""


def _render(columns: list[_Column], style: TableStyle) -> list[str]:
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
            Text(column.name.replace("_", "\n")),
            overflow="fold",
            no_wrap=column.is_whole,
            max_width=None if column.is_whole else TEXT_MOST,
            justify="right" if column.is_number else "left",
        )
    for number in range(len(columns[0].values) if columns else 0):
        # As text, not markup: a coin's name may contain brackets.
        cells = [(c.name, c.values[number], c.texts[number]) for c in columns]
        table.add_row(*(Text(text, _color(name, value, text)) for name, value, text in cells))
    # rich would cut columns that are needed but don't fit.
    least = sum(column.least(TEXT_LEAST) + GAP for column in columns) - GAP
    # Not standard output, even if it only captures: rich exits with 1 if its reader has gone.
    file = TextIOWrapper(BytesIO(), style.encoding, errors="replace", newline="\n")
    console = Console(
        file=file,
        width=max(style.width or len(columns) * WIDEST, least),
        legacy_windows=False,
        color_system="standard" if style.color else None,
        force_terminal=style.color,
    )
    console.print(table)
    file.seek(0)
    return [line.rstrip() for line in file.read().splitlines()]


def chart_lines(
    points: Sequence[tuple[datetime, Decimal]], style: TableStyle, title: str = ""
) -> list[str]:
    """The points, the oldest first, as columns between the least and the greatest value.

    The title is followed by the last value and by the change since the first.
    """
    heading = textwrap.wrap(_heading(points, style, title), style.width or CHART_WIDTH)
    if len(points) < 2:
        return heading
    least, most = min(value for _, value in points), max(value for _, value in points)
    labels = [
        label if style.can_show(label) else f"{value:.6g}"
        for value in (most, least)
        for label in [short(value)]
    ]
    indent = max(map(len, labels))
    values = _last_values(points, max((style.width or CHART_WIDTH) - indent - 1, CHART_LEAST))
    blocks = BLOCKS if style.can_show(BLOCKS) else HASHES
    lines = [f"{'':<{indent}} {line}".rstrip() for line in _bars(values, least, most, blocks)]
    lines[0] = f"{labels[0]:>{indent}}{lines[0][indent:]}"
    lines[-1] = f"{labels[1]:>{indent}}{lines[-1][indent:]}"
    first, last = _minute(points[0][0]), _minute(points[-1][0])
    space = max(len(values) - len(first) - len(last), 1)
    return [*heading, *lines, f"{'':<{indent}} {first}{'':<{space}}{last}"]


def _heading(points: Sequence[tuple[datetime, Decimal]], style: TableStyle, title: str) -> str:
    if not points:
        return style.shown(f"{title}: no price in this time")
    (_, first), (moment, last) = points[0], points[-1]
    shown = readable(last) if style.can_show(readable(last)) else f"{last:.6g}"
    if len(points) == 1:
        return style.shown(
            f"{title}: {shown} on {_minute(moment)} UTC; a chart needs a second price"
        )
    return style.shown(f"{title}: {shown}{_change(first, last)}")


def _change(first: Decimal, last: Decimal) -> str:
    if first <= 0:
        return ""
    change = (last / first - 1) * 100
    change = round(change, 2) if abs(change) < MANY_PER_CENT else change
    return f" ({'+' if change > 0 else ''}{readable(change)}%)"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _last_values(points: Sequence[tuple[datetime, Decimal]], width: int) -> list[Decimal]:
    """The last value in, or before, each of ``width`` equal intervals."""
    start, length = points[0][0], points[-1][0] - points[0][0]
    values: list[Decimal | None] = [None] * width
    for moment, value in points:
        share = (moment - start) / length if length else 0.0
        values[min(int(share * width), width - 1)] = value
    found = [points[0][1]]
    for column in values[1:]:
        found.append(found[-1] if column is None else column)
    return found


def _bars(values: Sequence[Decimal], least: Decimal, most: Decimal, blocks: str) -> list[str]:
    steps = len(blocks) - 1
    span = most - least
    # The smallest value is one step high, so that it is visible.
    highest = CHART_HEIGHT * steps
    heights = [
        1 + int((value - least) / span * (highest - 1)) if span else highest // 2
        for value in values
    ]
    return [
        "".join(blocks[min(max(height - line * steps, 0), steps)] for height in heights)
        for line in reversed(range(CHART_HEIGHT))
    ]
