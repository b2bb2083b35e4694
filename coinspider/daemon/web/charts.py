"""Where the marks of a chart are, for the templates to draw as SVG."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

WIDTH, HEIGHT = 800, 200
_GAP = 0.2  # of a bar's place
_PLACES = 20  # at the least, so that few bars are no blocks


class Bar(NamedTuple):
    """A value, what a reader is told of it, and its kind, which has a colour."""

    value: float
    label: str
    kind: str


class DrawnBar(NamedTuple):
    """Its place and size in the units of the chart."""

    x: float
    y: float
    width: float
    height: float
    label: str
    kind: str


class BarChart(NamedTuple):
    """Bars from 0 to ``top``, and lines across, each with its height and its value."""

    bars: Sequence[DrawnBar]
    lines: Sequence[tuple[float, float]]
    top: float
    width: int = WIDTH
    height: int = HEIGHT


class LineChart(NamedTuple):
    """A line as the ``points`` of a polyline, and what its edges stand for."""

    points: str
    low: Decimal
    high: Decimal
    first: datetime
    last: datetime
    width: int = WIDTH
    height: int = HEIGHT


def bar_chart(bars: Sequence[Bar], lines: Collection[float] = ()) -> BarChart | None:
    """From the left to the right; none without bars."""
    if not bars:
        return None
    top = max(*(bar.value for bar in bars), *lines, 1.0)
    place = WIDTH / max(len(bars), _PLACES)

    def drawn(number: int, bar: Bar) -> DrawnBar:
        # At least a line, to be seen at all.
        height = max(1.0, bar.value / top * HEIGHT)
        left = (number + _GAP / 2) * place
        return DrawnBar(
            round(left, 1), round(HEIGHT - height, 1), round(place * (1 - _GAP), 1),
            round(height, 1), bar.label, bar.kind,
        )  # fmt: skip

    heights = [(round(HEIGHT * (1 - line / top), 1), line) for line in sorted(lines)]
    return BarChart([drawn(*numbered) for numbered in enumerate(bars)], heights, top)


def line_chart(values: Sequence[tuple[datetime, Decimal]]) -> LineChart | None:
    """Values in the order of their times; none for fewer than two."""
    if len(values) < 2:
        return None
    (first, _), (last, _) = values[0], values[-1]
    low, high = min(value for _, value in values), max(value for _, value in values)
    span = (last - first).total_seconds() or 1.0
    points = " ".join(
        f"{(time - first).total_seconds() / span * WIDTH:.1f},"
        # As decimals: a price may be beyond what a float holds.
        f"{HEIGHT * (1 - float((value - low) / (high - low)) if high > low else 0.5):.1f}"
        for time, value in values
    )
    return LineChart(points, low, high, first, last)
