"""What runs when: a schedule and its times."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim

from coinspider.daemon.job_check import PROJECT

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TIMES_AHEAD = 20
AUTO = "auto"
# The longest time without a whole pass of a schedule with a budget.
_BUDGET_PERIOD = timedelta(days=1)


class Schedule(NamedTuple):
    """A spider, its arguments and settings, and the times at which it runs."""

    name: str
    spider: str
    project: str = PROJECT
    every: timedelta | None = None
    cron: str | None = None
    timezone: tzinfo = ZoneInfo("UTC")
    budget: str | None = None
    """Calls per month to spend evenly, or ``auto`` for the plan's credits."""
    overlap: str = "skip"
    """What to do with a run while the last one is pending or running: ``skip`` or ``wait``."""
    enabled: bool = True
    arguments: Mapping[str, str] = {}
    settings: Mapping[str, str] = {}

    @property
    def when(self) -> str:
        """The times as written in the section."""
        if self.budget:
            return f"budget {self.budget}"
        return f"cron {self.cron} {self.timezone}" if self.cron else f"every {self._short_every()}"

    @property
    def period(self) -> timedelta:
        """The current interval between two runs."""
        if self.budget:
            return _BUDGET_PERIOD
        if self.every:
            return self.every
        first = self._next_cron_time(datetime.now(UTC))
        return self._next_cron_time(first) - first

    def _short_every(self) -> str:
        assert self.every
        for letter, unit in reversed(UNITS.items()):
            if not self.every % timedelta(**{unit: 1}):
                return f"{self.every // timedelta(**{unit: 1})}{letter}"
        return str(self.every)

    def shortest_period(self, now: datetime) -> timedelta:
        """The shortest interval between coming runs."""
        if self.every:
            return self.every
        times = [now]
        while len(times) < _TIMES_AHEAD:
            times.append(self._next_cron_time(times[-1]))
        return min(later - earlier for earlier, later in pairwise(times[1:]))

    def first_time(self, now: datetime) -> datetime:
        """An interval begins at once; a cron expression waits for its time."""
        return now if self.every else self._next_cron_time(now)

    def next_time(self, due: datetime, now: datetime) -> datetime:
        """The next time after one that was due; missed ones are skipped."""
        if not self.every:
            return self._next_cron_time(now)
        missed = (now - due) // self.every
        return due + (max(missed, 0) + 1) * self.every

    def times_after(self, moment: datetime) -> Iterator[datetime]:
        """All due times after a moment."""
        while True:
            moment = moment + self.period if self.every else self._next_cron_time(moment)
            yield moment

    def is_too_late(self, due: datetime, now: datetime) -> bool:
        """Whether the wait is longer than any interval, because the clock was put back."""
        return bool(self.every and due - now > self.every)

    def _next_cron_time(self, now: datetime) -> datetime:
        assert self.cron
        # As in Debian's cron: when clocks change, nothing runs twice and nothing is lost.
        return next(CronSim(self.cron, now.astimezone(self.timezone))).astimezone(UTC)
