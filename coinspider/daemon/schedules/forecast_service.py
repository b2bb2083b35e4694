"""The forecasts of a running scrapyd, looked up outside the reactor thread."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, LogLevel

from coinspider.daemon.schedules.forecast import Forecast, forecasts, read_forecasts, with_others
from coinspider.daemon.schedules.schedule import Schedule

log = Logger()
# How many calls a crawl takes changes slowly; the first crawls show it.
LOOKED_UP_EVERY = timedelta(minutes=5)


class Forecasts:
    """Knows how many calls the schedules at fixed times need, and logs a warning once.

    ``running`` gives the active schedules. Until the database answers, only the settings are known.
    """

    def __init__(
        self, schedules: Mapping[str, Schedule], running: Callable[[], Sequence[Schedule]]
    ):
        self.schedules, self.running = schedules, running
        self.found = forecasts(schedules.values())
        self.warned: set[str] = set()
        self.looking: Any = LoopingCall(self._look)

    def start(self) -> None:
        self.looking.start(LOOKED_UP_EVERY.total_seconds())

    def stop(self) -> None:
        self.looking.stop()

    def of(self, schedule: Schedule) -> Forecast | None:
        return with_others(self.found, schedule.name, self.running())

    def _look(self) -> Any:
        looking: Any = deferToThread(read_forecasts, [*self.schedules.values()])
        return looking.addCallbacks(self._keep, self._failed).addCallback(self._warn)

    def _keep(self, found: dict[str, Forecast]) -> None:
        self.found = found

    def _failed(self, failure: Any) -> None:
        """The schedules themselves say that there is no database."""
        log.debug("The forecasts can't be looked up: {why}", why=failure.getErrorMessage())

    def _warn(self, _: object) -> None:
        for schedule in self.running():
            forecast = self.of(schedule)
            text = forecast and forecast.warning(datetime.now(UTC))
            if not text:
                self.warned.discard(schedule.name)
            elif schedule.name not in self.warned:
                self.warned.add(schedule.name)
                log.emit(LogLevel.warn, "Schedule {name}: {text}", name=schedule.name, text=text)
