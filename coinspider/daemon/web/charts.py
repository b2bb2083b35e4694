"""Computes the marks of bars and of sparklines, which the templates draw as SVG."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from coinspider.store.series import Point

SIZE = 1000  # units of a plot, which the browser stretches
GAP = 0.2  # of the space for a bar
_PLACES = 20  # at least, so that a few bars do not look like blocks
_SPARK_WIDTH, _SPARK_HEIGHT = 100, 30
_ROOM = 0.07  # above and below
_INSIDE = 1 - 2 * _ROOM


class Bar(NamedTuple):
    """A value, its description, and its kind, which decides its colour."""

    value: float
    label: str
    kind: str


class DrawnBar(NamedTuple):
    """Its position and size; ``is_cut`` if its value is beyond the chart."""

    x: float
    y: float
    width: float
    height: float
    label: str
    kind: str
    is_cut: bool


class BarChart(NamedTuple):
    """Bars from 0 to ``top``, and a line across at ``period``, unless that is far above them."""

    bars: Sequence[DrawnBar]
    lines: Sequence[tuple[float, float]]
    top: float
    period: float | None


def bar_chart(bars: Sequence[Bar], period: float | None = None) -> BarChart | None:
    """Bars from left to right; none without values.

    A value that is much greater than the others is cut off, so that these remain readable.
    """
    if not bars:
        return None
    in_order = sorted(bar.value for bar in bars)
    top = max(min(in_order[-1], 2 * in_order[int(0.9 * (len(in_order) - 1))]), 1.0)
    lines = []
    if period and period <= 2 * top:
        top = max(top, period)
        lines = [(round(SIZE * (1 - period / top), 1), period)]
    place = SIZE / max(len(bars), _PLACES)
    drawn = [_bar(bar, number * place, place, top) for number, bar in enumerate(bars)]
    return BarChart(drawn, lines, top, period)


def _bar(bar: Bar, left: float, place: float, top: float) -> DrawnBar:
    # At least a line, to be visible.
    height = max(10.0, min(bar.value / top, 1.0) * SIZE)
    return DrawnBar(
        round(left + place * GAP / 2, 1), round(SIZE - height, 1), round(place * (1 - GAP), 1),
        round(height, 1), bar.label, bar.kind, bar.value > top,
    )  # fmt: skip


class Sparkline(NamedTuple):
    """The ``points`` of a polyline of 100 by 30, and the ``change`` from first to last, in %."""

    points: str
    change: Decimal | None


def sparkline(points: Sequence[Point]) -> Sparkline | None:
    """None for fewer than two points."""
    if len(points) < 2:
        return None
    times = [point.time.timestamp() for point in points]
    # In floats, as a page has thousands of points; their size is nothing to see in such a line.
    size = max(point.value.adjusted() for point in points)
    values = [float(point.value.scaleb(-size)) for point in points]
    low, length = min(values), times[-1] - times[0] or 1
    height = max(values) - low
    drawn = " ".join(
        f"{(time - times[0]) / length * _SPARK_WIDTH:.1f},"
        f"{(1 - _ROOM - (value - low) / height * _INSIDE if height else 0.5) * _SPARK_HEIGHT:.1f}"
        for time, value in zip(times, values, strict=True)
    )
    first, last = (point.value.scaleb(-size) for point in (points[0], points[-1]))
    return Sparkline(drawn, (last / first - 1) * 100 if first else None)
