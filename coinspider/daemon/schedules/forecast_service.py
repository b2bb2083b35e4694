"""The forecasts of a running scrapyd, looked up outside the reactor thread."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, LogLevel

from coinspider.daemon.schedules.budget_facts import read_warning
from coinspider.daemon.schedules.forecast import Forecast, forecasts, read_forecasts, with_others
from coinspider.daemon.schedules.schedule import Schedule

log = Logger()
# How many calls a crawl takes changes slowly; the first crawls show it.
LOOKED_UP_EVERY = timedelta(minutes=5)


class Forecasts:
    """Knows which schedules' calls do not suffice, and logs each warning once.

    ``running`` gives the active schedules. Until the database answers, only the settings are known.
    """

    def __init__(
        self, schedules: Mapping[str, Schedule], running: Callable[[], Sequence[Schedule]]
    ):
        self.schedules, self.running = schedules, running
        self.found = forecasts(schedules.values())
        self.too_small: dict[str, str] = {}
        self.warned: set[str] = set()
        self.looking: Any = LoopingCall(self._look)

    def start(self) -> None:
        self.looking.start(LOOKED_UP_EVERY.total_seconds())

    def stop(self) -> None:
        self.looking.stop()

    def of(self, schedule: Schedule) -> Forecast | None:
        return with_others(self.found, schedule.name, self.running())

    def warning(self, schedule: Schedule, now: datetime) -> str | None:
        """One line about a schedule whose calls do not suffice."""
        forecast = self.of(schedule)
        return forecast.warning(now) if forecast else self.too_small.get(schedule.name)

    def _look(self) -> Any:
        looking: Any = deferToThread(_read, [*self.schedules.values()], self.running())
        return looking.addCallbacks(self._keep, self._failed).addCallback(self._warn)

    def _keep(self, found: tuple[dict[str, Forecast], dict[str, str]]) -> None:
        self.found, self.too_small = found

    def _failed(self, failure: Any) -> None:
        """The schedules themselves say that there is no database."""
        log.debug("The forecasts can't be looked up: {why}", why=failure.getErrorMessage())

    def _warn(self, _: object) -> None:
        for schedule in self.running():
            text = self.warning(schedule, datetime.now(UTC))
            if not text:
                self.warned.discard(schedule.name)
            elif schedule.name not in self.warned:
                self.warned.add(schedule.name)
                log.emit(LogLevel.warn, "Schedule {name}: {text}", name=schedule.name, text=text)


def _read(
    schedules: Sequence[Schedule], running: Sequence[Schedule]
) -> tuple[dict[str, Forecast], dict[str, str]]:
    now = datetime.now(UTC)
    warnings = {one.name: read_warning(one, running, now) for one in running if one.budget}
    return read_forecasts(schedules), {name: text for name, text in warnings.items() if text}
