"""The next run of each schedule with ``budget``, looked up outside the reactor thread."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.logger import Logger, LogLevel

from coinspider.daemon.schedules.budget import PlannedRun
from coinspider.daemon.schedules.budget_facts import read_next_run
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.daemon.schedules.state import ScheduleState

log = Logger()
# Crawls by hand and those on other machines spend the same calls.
LOOKED_UP_EVERY = timedelta(minutes=1)
LOOKED_AT_EVERY = timedelta(seconds=2)  # whether a run has ended


class BudgetRuns:
    """Knows what is due next, at most a minute old; nothing while that is looked up.

    During a run nothing is looked up, because what it reads decides what comes next.
    """

    def __init__(self) -> None:
        self.found: dict[str, PlannedRun] = {}
        self.looked_up_at: dict[str, datetime] = {}
        self.last_time: dict[str, datetime | None] = {}

    def next(
        self,
        schedule: Schedule,
        running: Sequence[Schedule],
        state: ScheduleState,
        now: datetime,
        is_active: Callable[[Schedule], object],
    ) -> PlannedRun | None:
        """``running`` are all schedules with a budget that are active."""
        name = schedule.name
        if self.last_time.get(name) != state.last_time:  # another node has begun a run
            self.forget(name)
        looked_up_at = self.looked_up_at.get(name)
        if looked_up_at is None or abs(now - looked_up_at) >= LOOKED_UP_EVERY:
            self.last_time[name] = state.last_time
            if is_active(schedule):
                self.forget(name)
                self.looked_up_at[name] = now - LOOKED_UP_EVERY + LOOKED_AT_EVERY
                return None
            self.looked_up_at[name] = now
            looking: Any = deferToThread(read_next_run, schedule, running, state.last_time)
            looking.addCallbacks(self._keep, self._failed, [name, state.last_time], {}, [name])
        return self.found.get(name)

    def forget(self, name: str) -> None:
        """A run has begun or is going on: what follows must be looked up again."""
        self.found.pop(name, None)
        self.looked_up_at.pop(name, None)

    def _keep(self, run: PlannedRun, name: str, last_time: datetime | None) -> None:
        if self.last_time.get(name) == last_time:
            self.found[name] = run

    def _failed(self, failure: Any, name: str) -> None:
        self.found.pop(name, None)
        log.emit(
            LogLevel.warn,
            "Schedule {name}: what is left can't be looked up: {reason}",
            name=name, reason=failure.getErrorMessage(),
        )  # fmt: skip
