"""Computes the marks of a chart of prices over time, which the template draws as SVG.

Positions are in a plot of 1000 by 1000 units, which the browser stretches; texts are outside it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from coinspider.daemon.web.charts import GAP, SIZE
from coinspider.daemon.web.scales import Tick, TimeScale, ValueScale
from coinspider.store.series import Point
from coinspider.text import readable, readable_number


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


class Chart(NamedTuple):
    """Lines or candles over time. ``marks`` are for a pointer: share of the width, texts."""

    lines: Sequence[Line]
    candles: Sequence[Candle]
    values: Sequence[Tick]
    times: Sequence[Tick]
    marks: Sequence[tuple[float, float, str, str]]
    low: str
    high: str
    is_log: bool


def line_chart(series: Mapping[str, Sequence[Point]], is_log: bool = False) -> Chart | None:
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
    texts = [f"{p.value:+.2f} %" if is_compared else readable_number(p.value) for p in main]
    return Chart(
        [Line(name, _polyline(points, times, scale)) for name, points in shown.items()],
        [], scale.ticks(), times.ticks(),
        [_mark(times, scale, p.time, p.value, text) for p, text in zip(main, texts, strict=True)],
        min(texts, key=lambda text: main[texts.index(text)].value),
        max(texts, key=lambda text: main[texts.index(text)].value), scale.is_log,
    )  # fmt: skip


def candle_chart(rows: Sequence[Mapping[str, Any]], is_log: bool = False) -> Chart | None:
    """Candles from rows with their columns; none for fewer than two."""
    if len(rows) < 2:
        return None
    step = min(later["started_at"] - sooner["started_at"] for sooner, later in pairwise(rows))
    times = TimeScale(rows[0]["started_at"], rows[-1]["started_at"] + step)
    scale = ValueScale.of([row[name] for row in rows for name in ("low", "high")], is_log)
    width = step / times.length * SIZE
    return Chart(
        [], [_candle(row, times, scale, width) for row in rows], scale.ticks(), times.ticks(),
        [_candle_mark(times, scale, row, step) for row in rows],
        readable_number(min(row["low"] for row in rows)),
        readable_number(max(row["high"] for row in rows)), scale.is_log,
    )  # fmt: skip


def _candle(
    row: Mapping[str, Any], times: TimeScale, scale: ValueScale, width: float
) -> Candle:  # fmt: skip
    first, last = _y(scale, row["open"]), _y(scale, row["close"])
    return Candle(
        round(times.share(row["started_at"]) * SIZE + width * GAP / 2, 2),
        round(width * (1 - GAP), 2), min(first, last), round(max(abs(first - last), 2.0), 2),
        _y(scale, row["high"]), _y(scale, row["low"]),
        "up" if row["close"] >= row["open"] else "down",
    )  # fmt: skip


def _candle_text(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {readable_number(row[name])}" for name in
                     ("open", "high", "low", "close"))  # fmt: skip


def _mark(
    times: TimeScale, scale: ValueScale, time: datetime, value: Decimal, text: str
) -> tuple[float, float, str, str]:
    x, y = times.share(time), 1 - scale.share(value)
    return round(x, 4), round(y, 4), _moment(time), text


def _candle_mark(
    times: TimeScale, scale: ValueScale, row: Mapping[str, Any], step: timedelta
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


def _polyline(
    points: Sequence[Point], times: TimeScale, scale: ValueScale, width: int = SIZE,
    height: int = SIZE,
) -> str:  # fmt: skip
    return " ".join(
        f"{times.share(point.time) * width:.1f},{(1 - scale.share(point.value)) * height:.1f}"
        for point in points
    )


def _y(scale: ValueScale, value: Decimal) -> float:
    return round((1 - scale.share(value)) * SIZE, 2)
