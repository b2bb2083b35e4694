"""Scales of charts: from values and times to shares of a chart's height and width, with ticks."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import log10
from typing import NamedTuple

from coinspider.text import readable_number

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
        labels = [readable_number(value) for value in values]
        if len(set(labels)) < len(labels):  # closer together than six digits can show
            labels = [format(value.normalize(), "f") for value in values]
        return [Tick(self.share(value), text) for value, text in zip(values, labels, strict=True)]

    def _multiples(self) -> list[Decimal]:
        step = _round_step((self.high - self.low) / _TICKS)
        first = (self.low / step).to_integral_value(rounding="ROUND_CEILING")
        return [
            (first + n) * step for n in range(2 * _TICKS) if (first + n) * step <= self.high
        ]  # fmt: skip

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
