"""Computes the marks of charts, which the templates draw as SVG.

Positions are in a plot of 1000 by 1000 units, which the browser stretches; texts are outside it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import log10
from typing import NamedTuple

from psycopg.rows import DictRow

from coinspider.store.series import Point
from coinspider.text import readable, readable_number, short

_MILLION = 1_000_000
_TICKS = 5
_STEPS = [
    *(timedelta(minutes=n) for n in (1, 5, 15, 30)),
    *(timedelta(hours=n) for n in (1, 3, 6, 12)),
    *(timedelta(days=n) for n in (1, 2, 7, 14, 30, 91, 182, 365, 1826)),
]
_ZERO = Decimal(0)


class Tick(NamedTuple):
    """A labelled place, as a share from 0 to 1."""

    share: float
    label: str


class ValueScale(NamedTuple):
    """From ``low`` at 0 to ``high`` at 1; ``is_log`` for equal distances of equal factors.

    In decimals, because a price may be too large or small for a float.
    """

    low: Decimal
    high: Decimal
    is_log: bool = False

    @classmethod
    def of(cls, values: Sequence[Decimal], is_log: bool = False) -> "ValueScale":
        """With some room above and below; logarithmic only if all values are above 0."""
        low, high = min(values), max(values)
        if is_log and low > 0:
            return cls(low / Decimal("1.03"), high * Decimal("1.03"), True)
        room = (high - low) * Decimal("0.08") or abs(high) * Decimal("0.01") or Decimal(1)
        return cls(max(low - room, _ZERO) if low >= 0 else low - room, high + room)

    def share(self, value: Decimal) -> float:
        if self.is_log:
            return _log(value / self.low) / _log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))

    def ticks(self) -> list[Tick]:
        values = self._factors() if self.is_log else self._multiples()
        labels = [_label(value) for value in values]
        if len(set(labels)) < len(labels):  # closer together than six digits can show
            labels = [format(value.normalize(), "f") for value in values]
        return [Tick(self.share(value), text) for value, text in zip(values, labels, strict=True)]

    def _multiples(self) -> list[Decimal]:
        step = _round_step((self.high - self.low) / _TICKS)
        first = (self.low / step).to_integral_value(rounding="ROUND_CEILING")
        return [(first + n) * step for n in range(2 * _TICKS) if (first + n) * step <= self.high]

    def _factors(self) -> list[Decimal]:
        if self.high / self.low < 4:
            return self._multiples()
        decades = range(self.low.adjusted(), self.high.adjusted() + 1)
        factors = (1, 2, 5) if len(decades) < 4 else (1,)
        values = [Decimal(factor).scaleb(decade) for decade in decades for factor in factors]
        inside = [value for value in values if self.low <= value <= self.high]
        return inside[:: len(inside) // (_TICKS + 2) + 1]


class TimeScale(NamedTuple):
    """From ``first`` at 0 to ``last`` at 1."""

    first: datetime
    last: datetime

    def share(self, time: datetime) -> float:
        return (time - self.first) / self.length

    @property
    def length(self) -> timedelta:
        return (self.last - self.first) or timedelta(seconds=1)

    def ticks(self) -> list[Tick]:
        """At round times in UTC that don't touch the edges."""
        step = next((s for s in _STEPS if self.length / s <= _TICKS + 1), _STEPS[-1])
        midnight = self.first.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        first = midnight + (-((midnight - self.first) // step)) * step
        times = [first + n * step for n in range(_TICKS + 2)]
        found = [Tick(self.share(time), _time_label(time, step, self.length)) for time in times]
        return [tick for tick in found if 0.03 <= tick.share <= 0.97]


def _label(value: Decimal) -> str:
    """As narrow as an axis needs it: ``91,000``, but ``1.81 T``."""
    return short(value) if abs(value) >= _MILLION else readable_number(value)


def _round_step(rough: Decimal) -> Decimal:
    """1, 2, 5 or 10 times a power of ten, and not less than this."""
    power = Decimal(1).scaleb(rough.adjusted())
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def _log(value: Decimal) -> float:
    return value.adjusted() + log10(float(value.scaleb(-value.adjusted())))


def _time_label(time: datetime, step: timedelta, length: timedelta) -> str:
    if step < timedelta(days=1):
        return f"{time:%H:%M}" if time.hour or time.minute else f"{time:%-d %b}"
    return f"{time:%-d %b}" if length < timedelta(days=300) else f"{time:%b %Y}"


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
        round(left + place * GAP / 2, 1),
        round(SIZE - height, 1),
        round(place * (1 - GAP), 1),
        round(height, 1),
        bar.label,
        bar.kind,
        bar.value > top,
    )


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


class Candle(NamedTuple):
    """A candle's position: its body from ``y`` on, its wick from ``high`` to ``low``."""

    x: float
    width: float
    y: float
    height: float
    high: float
    low: float
    kind: str


class Line(NamedTuple):
    """A line as the ``points`` of a polyline."""

    name: str
    points: str


class PriceChart(NamedTuple):
    """Lines or candles over time. ``marks`` are for a pointer: share of the width, texts."""

    lines: Sequence[Line]
    candles: Sequence[Candle]
    values: Sequence[Tick]
    times: Sequence[Tick]
    marks: Sequence[tuple[float, float, str, str]]
    low: str
    high: str
    is_log: bool


def line_chart(series: Mapping[str, Sequence[Point]], is_log: bool = False) -> PriceChart | None:
    """A line for each name, with its points in order of time.

    None if the first has fewer than two points. Several series are shown as changes in per cent.
    """
    [first, *others] = series.values()
    if len(first) < 2:
        return None
    times = TimeScale(first[0].time, first[-1].time)
    is_compared = bool(others)
    shown = {name: _changes(points) if is_compared else points for name, points in series.items()}
    scale = ValueScale.of([p.value for points in shown.values() for p in points], is_log)
    [main, *_] = shown.values()
    texts = [f"{p.value:+.2f} %" if is_compared else _label(p.value) for p in main]
    return PriceChart(
        [Line(name, _polyline(points, times, scale)) for name, points in shown.items()],
        [],
        scale.ticks(),
        times.ticks(),
        [_mark(times, scale, p.time, p.value, text) for p, text in zip(main, texts, strict=True)],
        min(texts, key=lambda text: main[texts.index(text)].value),
        max(texts, key=lambda text: main[texts.index(text)].value),
        scale.is_log,
    )


def candle_chart(rows: Sequence[DictRow], is_log: bool = False) -> PriceChart | None:
    """Candles from rows with their columns; none for fewer than two."""
    if len(rows) < 2:
        return None
    step = min(later["started_at"] - sooner["started_at"] for sooner, later in pairwise(rows))
    times = TimeScale(rows[0]["started_at"], rows[-1]["started_at"] + step)
    scale = ValueScale.of([price for row in rows for price in (row["low"], row["high"])], is_log)
    width = step / times.length * SIZE
    return PriceChart(
        [],
        [_candle(row, times, scale, width) for row in rows],
        scale.ticks(),
        times.ticks(),
        [_candle_mark(times, scale, row, step) for row in rows],
        readable_number(min(row["low"] for row in rows)),
        readable_number(max(row["high"] for row in rows)),
        scale.is_log,
    )


def _candle(row: DictRow, times: TimeScale, scale: ValueScale, width: float) -> Candle:
    first, last = _y(scale, row["open"]), _y(scale, row["close"])
    return Candle(
        round(times.share(row["started_at"]) * SIZE + width * GAP / 2, 2),
        round(width * (1 - GAP), 2),
        min(first, last),
        round(max(abs(first - last), 2.0), 2),
        _y(scale, row["high"]),
        _y(scale, row["low"]),
        "up" if row["close"] >= row["open"] else "down",
    )


def _candle_text(row: DictRow) -> str:
    return ", ".join(
        f"{name} {readable_number(row[name])}" for name in ("open", "high", "low", "close")
    )


def _mark(
    times: TimeScale, scale: ValueScale, time: datetime, value: Decimal, text: str
) -> tuple[float, float, str, str]:
    x, y = times.share(time), 1 - scale.share(value)
    return round(x, 4), round(y, 4), _moment(time), text


def _candle_mark(
    times: TimeScale, scale: ValueScale, row: DictRow, step: timedelta
) -> tuple[float, float, str, str]:
    """In its middle, with the time at which it begins: its end may be still to come."""
    middle, text = row["started_at"] + step / 2, _candle_text(row)
    x, y, _, text = _mark(times, scale, middle, row["close"], text)
    return x, y, _moment(row["started_at"]), text


def _moment(time: datetime) -> str:
    return f"{readable(time)[:-3]} UTC"


def _changes(points: Sequence[Point]) -> list[Point]:
    """Changes in per cent since the first value."""
    base = next((point.value for point in points if point.value), None)
    return [Point(p.time, (p.value / base - 1) * 100) for p in points] if base else []


def _polyline(points: Sequence[Point], times: TimeScale, scale: ValueScale) -> str:
    return " ".join(
        f"{times.share(point.time) * SIZE:.1f},{(1 - scale.share(point.value)) * SIZE:.1f}"
        for point in points
    )


def _y(scale: ValueScale, value: Decimal) -> float:
    return round((1 - scale.share(value)) * SIZE, 2)
