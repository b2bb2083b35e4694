"""Checks the schedules' crawls regularly, and sends alerts about changes."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from scrapy.settings import BaseSettings
from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from coinspider.daemon.alerts.alert import DATABASE, Alert
from coinspider.daemon.alerts.alert_states import AlertStates
from coinspider.daemon.alerts.health import FAILED, OK, Health, Limits, health
from coinspider.daemon.alerts.schedule_runs import ScheduleRuns, read_runs
from coinspider.daemon.alerts.webhook import Webhook
from coinspider.daemon.schedules.jobs import service_named
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.daemon.schedules.service import schedule_service
from coinspider.errors import ConfigurationError, DatabaseUnreachableError

log = Logger()
DATABASE_LOOKS = 4  # in a row at which it is away, before people are told
# An address that does not take an alert is tried again after this, and then ever more seldom.
RETRY_FIRST, RETRY_LAST = timedelta(seconds=5), timedelta(minutes=15)
ALERT_SECRETS = ("ALERT_URL", "ALERT_TOKEN")


class AlertService(Service):
    """One word per change: failed, stale, recovered. It is repeated until it was taken."""

    name = "alerts"

    def __init__(
        self,
        app: Any,
        webhook: Webhook,
        limits: Limits,
        interval: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        self.app, self.webhook, self.limits, self.now = app, webhook, limits, now
        self.interval = interval  # seconds
        self.states = AlertStates()
        self.watched: dict[str, datetime] = {}
        self.looks_without_database = 0
        self.database_told = OK
        self.retry_at, self.retry_after = now(), RETRY_FIRST
        self.looking: Any = LoopingCall(self.look)

    def startService(self) -> None:
        super().startService()
        self.looking.start(self.interval, now=False)

    def stopService(self) -> None:
        super().stopService()
        self.looking.stop()

    def look(self) -> Any:
        """Wait for its end before the next one."""
        schedules = list(self._active())
        failed_jobs = service_named("launcher", self.app).failed_jobs
        looked = deferToThread(self._look, schedules, failed_jobs)
        return looked.addErrback(lambda failure: log.failure("No look at the crawls", failure))

    def _active(self) -> Iterable[Schedule]:
        service = schedule_service(self.app)
        for name, schedule in service.schedules.items():
            if service.runs(schedule):
                self.watched.setdefault(name, self.now())
                yield schedule
            else:
                self.watched.pop(name, None)

    def _look(self, schedules: list[Schedule], failed_jobs: Any) -> None:
        now = self.now()
        if now < self.retry_at:
            return
        try:
            runs = read_runs(schedules, failed_jobs.without_row())
            told = self.states.read()
        except (psycopg.Error, DatabaseUnreachableError, ConfigurationError) as error:
            self._database_is_away(error)
            return
        self.looks_without_database = 0
        if self.database_told != OK and self._send(Alert(DATABASE, "recovered", "")):
            self.database_told = OK
        for schedule in schedules:
            found = runs[schedule.name]
            since = self.watched.get(schedule.name, now)
            found_health = health(schedule, found, self.limits, now, since)
            self._tell(schedule.name, told.get(schedule.name, OK), found_health, found)
        for name in told.keys() & self._idle():
            if told[name] != OK:
                self.states.change(name, told[name], OK)

    def _idle(self) -> set[str]:
        """Paused schedules: their alerts are over, and no new ones are sent."""
        return schedule_service(self.app).schedules.keys() - self.watched.keys()

    def _database_is_away(self, error: Exception) -> None:
        self.looks_without_database += 1
        if self.database_told == OK and self.looks_without_database >= DATABASE_LOOKS:
            reason = " ".join(str(error).split())
            if self._send(Alert(DATABASE, FAILED, f"it can't be asked: {reason}")):
                self.database_told = FAILED

    def _tell(self, name: str, told: str, found: Health, runs: ScheduleRuns) -> None:
        if found.status == told or (found.status == FAILED and told == "stale"):
            return  # a stale schedule is well only when its data is new
        if not self.states.change(name, told, found.status):
            return  # another node tells it
        status = "recovered" if found.status == OK else found.status
        last = runs.runs[0] if runs.runs else None
        alert = Alert(name, status, found.message, last and last.job, last and last.crawl)
        if not self._send(alert):
            self.states.change(name, found.status, told)

    def _send(self, alert: Alert) -> bool:
        problem = self.webhook.send(alert.fields())
        if problem is None:
            log.info("Alert sent: {title}", title=alert.title)
            self.retry_after = RETRY_FIRST
            return True
        log.error(
            'The alert "{title}" was not taken by {host}: {problem}; next try in {seconds:.0f} s',
            title=alert.title, host=self.webhook.host, problem=problem,
            seconds=self.retry_after.total_seconds(),
        )  # fmt: skip
        self.retry_at = self.now() + self.retry_after
        self.retry_after = min(2 * self.retry_after, RETRY_LAST)
        return False


def alert_service(settings: BaseSettings) -> Callable[[Any], AlertService] | None:
    """What makes the service that the settings ask for, of scrapyd's application.

    Raises :exc:`ConfigurationError` for settings that can't work.
    """
    webhook = Webhook.from_settings(settings)
    if webhook is None:
        return None
    limits = Limits(_number(settings, "ALERT_FAILURES"), _number(settings, "ALERT_PERIODS"))
    interval = settings.getfloat("ALERT_INTERVAL")
    if interval <= 0:
        raise ConfigurationError("ALERT_INTERVAL is the seconds between two looks: more than 0")
    return lambda app: AlertService(app, webhook, limits, interval)


def _number(settings: BaseSettings, name: str) -> int:
    text = str(settings.get(name))
    if not text.isdecimal():
        raise ConfigurationError(f"{name}={text} is not a number (0 for never)")
    return int(text)
