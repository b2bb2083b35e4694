"""A chart of numbers over time, as text for a terminal."""

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from coinspider.export.table import TableStyle
from coinspider.text import readable, short

HEIGHT = 12  # lines
WIDTH = 80  # cells, if the terminal's width is unknown
MANY = 10**9  # per cent, which need no decimals
LEAST = 20  # cells of the chart itself
BLOCKS, HASHES = " ▁▂▃▄▅▆▇█", " #"


def chart_lines(
    points: Sequence[tuple[datetime, Decimal]], style: TableStyle, title: str = ""
) -> list[str]:
    """The points, the oldest first, as columns between the least and the greatest value.

    The title is followed by the last value and by the change since the first.
    """
    heading = textwrap.wrap(_heading(points, style, title), style.width or WIDTH)
    if len(points) < 2:
        return heading
    least, most = min(value for _, value in points), max(value for _, value in points)
    labels = [
        label if style.can_show(label) else f"{value:.6g}"
        for value in (most, least)
        for label in [short(value)]
    ]
    indent = max(map(len, labels))
    values = _columns(points, max((style.width or WIDTH) - indent - 1, LEAST))
    blocks = BLOCKS if style.can_show(BLOCKS) else HASHES
    lines = [f"{'':<{indent}} {line}".rstrip() for line in _lines(values, least, most, blocks)]
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
    change = round(change, 2) if abs(change) < MANY else change
    return f" ({'+' if change > 0 else ''}{readable(change)}%)"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _columns(points: Sequence[tuple[datetime, Decimal]], width: int) -> list[Decimal]:
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


def _lines(values: Sequence[Decimal], least: Decimal, most: Decimal, blocks: str) -> list[str]:
    steps = len(blocks) - 1
    span = most - least
    # The smallest value is one step high, so that it is visible.
    heights = [
        1 + int((value - least) / span * (HEIGHT * steps - 1)) if span else HEIGHT * steps // 2
        for value in values
    ]
    return [
        "".join(blocks[min(max(height - line * steps, 0), steps)] for height in heights)
        for line in reversed(range(HEIGHT))
    ]
