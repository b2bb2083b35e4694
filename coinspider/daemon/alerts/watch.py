"""Checks the schedules' crawls regularly, and sends alerts about changes."""

import logging
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from threading import Thread
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from scrapy.settings import BaseSettings
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from coinspider.daemon.alerts.rules import (
    FAILED,
    OK,
    Health,
    Limits,
    ScheduleRuns,
    health,
    read_runs,
)
from coinspider.daemon.database import connection
from coinspider.daemon.nodes import DATABASE_ERRORS, repeating, this_node
from coinspider.daemon.protocols import Application
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.daemon.schedules.service import schedule_service
from coinspider.errors import ConfigurationError
from coinspider.export.feeds import needed
from coinspider.setting_kinds import number, whole_number
from coinspider.store.connection import one_line
from coinspider.text import visible

DATABASE = "database"
TITLES = {
    "failed": "crawls fail",
    "stale": "the data is old",
    "recovered": "crawls are complete again",
    "test": "a test",
}
DATABASE_TITLES = {"failed": "no crawl can store anything", "recovered": "it is there again"}


class Alert(NamedTuple):
    """``subject`` is the name of a schedule, or :data:`DATABASE`."""

    subject: str
    status: str
    message: str
    job: str | None = None
    crawl: int | None = None

    @property
    def title(self) -> str:
        titles = DATABASE_TITLES if self.subject == DATABASE else TITLES
        return f"{self.subject}: {titles[self.status]}"

    def fields(self) -> dict[str, object]:
        """As JSON has it; ``time`` is now, in UTC."""
        message = visible(self.message)
        return {
            "status": self.status,
            "schedule": self.subject,
            "title": self.title,
            "message": message,
            "text": f"{self.title}\n{message}".strip(),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "job": self.job,
            "crawl": self.crawl,
        }


_READ = "SELECT subject, status FROM alert"
_BEGIN = "INSERT INTO alert (subject, status) VALUES (%s, %s) ON CONFLICT DO NOTHING"
# Of the nodes that see the same change one tells it.
_CHANGE = "UPDATE alert SET status = %s, changed_at = now() WHERE subject = %s AND status = %s"


def read_told() -> dict[str, str]:
    """What was told last, by subject. For threads, like the next; raises what the database does."""
    with connection() as connected:
        return dict(connected.execute(_READ).fetchall())


def change_told(subject: str, before: str, after: str) -> bool:
    """``False`` if another process changed it first."""
    with connection() as connected:
        connected.execute(_BEGIN, [subject, before])
        return connected.execute(_CHANGE, [after, subject, before]).rowcount == 1


# Seconds until some part of an answer comes, and until all of it has.
TIMEOUT, DEADLINE = 10, 30
FIELDS = ("status", "schedule", "title", "message", "text", "time", "host", "job", "crawl")


class Webhook(NamedTuple):
    """An address that takes all :data:`FIELDS` as JSON by POST."""

    url: str
    token: str | None = None

    @property
    def host(self) -> str:
        """All of the address that may be shown: the rest of it is often a secret."""
        return urlsplit(self.url).hostname or ""

    def send(self, fields: Mapping[str, object]) -> str | None:
        """Why it was not taken, without a secret in it, or ``None``. It blocks."""
        import requests

        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            # The status says all; a body may be long, or never end.
            with requests.post(
                self.url,
                json=dict(fields),
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,
            ) as answer:
                is_taken = answer.ok and not answer.is_redirect
                return None if is_taken else f"status {answer.status_code}"
        # Their own texts have the whole address in them.
        except requests.Timeout:
            return f"no answer within {TIMEOUT} seconds"
        except requests.exceptions.SSLError:
            return "its certificate is not trusted"
        except requests.ConnectionError:
            return "no connection"
        except requests.RequestException as error:
            return type(error).__name__


class Apprised(NamedTuple):
    """A service that Apprise knows: https://appriseit.com/services/"""

    url: str

    @property
    def host(self) -> str:
        """The service's scheme: anything else may be a secret."""
        return self.url.partition("://")[0]

    def send(self, fields: Mapping[str, object]) -> str | None:
        """Why it was not taken, without a secret in it, or ``None``. It blocks."""
        from apprise import Apprise, LogCapture

        service = Apprise(self.url)
        with LogCapture(level=logging.WARNING) as said:
            taken = service.notify(title=str(fields["title"]), body=str(fields["message"] or " "))
            status = re.search(r"error=(\d{3})\b", said.getvalue())
        return None if taken else f"status {status[1]}" if status else "no connection"


class Receiver:
    """Where alerts go. One whose answer trickles is given up, and gets nothing until it ends."""

    def __init__(self, to: Webhook | Apprised):
        self.to, self.host = to, to.host
        self._sending: Future[str | None] | None = None

    def send(self, fields: Mapping[str, object]) -> str | None:
        """Why it was not taken, without a secret in it, or ``None``. It blocks."""
        if self._sending and not self._sending.done():
            return "the answer to the alert before has not ended"
        sending = self._sending = Future()
        # A daemon thread, for which the end of the process doesn't wait.
        Thread(target=self._send, args=(fields, sending), daemon=True).start()
        try:
            return sending.result(DEADLINE)
        except TimeoutError:
            return f"no answer within {DEADLINE} seconds"

    def _send(self, fields: Mapping[str, object], sending: "Future[str | None]") -> None:
        try:
            sending.set_result(self.to.send(fields))
        except Exception as error:
            sending.set_exception(error)


def receiver(settings: BaseSettings) -> Receiver | None:
    """Where alerts go: ``None`` without ``ALERT_URL``.

    Raises :exc:`ConfigurationError` for what can't work, without repeating a secret.
    """
    url = settings.get("ALERT_URL")
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname:
        return Receiver(Webhook(url, settings.get("ALERT_TOKEN")))
    if parts.scheme in ("", "file", "http", "https"):
        raise ConfigurationError("ALERT_URL is not an address as https://host/path")
    apprise = needed("apprise", f"ALERT_URL={parts.scheme}://...")
    if not apprise.Apprise().add(url):
        raise ConfigurationError(
            f"ALERT_URL={parts.scheme}://... is not as https://appriseit.com/services/ has it"
        )
    return Receiver(Apprised(url))


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
        app: Application,
        receiver: Receiver,
        limits: Limits,
        interval: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        self.app, self.receiver, self.limits, self.now = app, receiver, limits, now
        self.interval = interval  # seconds
        self.watched: dict[str, datetime] = {}
        self.looks_without_database = 0
        self.database_told = OK
        self.retry_at, self.retry_after = monotonic(), RETRY_FIRST
        self.looking = repeating("look at the crawls", self.look)

    def startService(self) -> None:
        super().startService()
        self.looking.start(self.interval, now=False)

    def stopService(self) -> None:
        super().stopService()
        self.looking.stop()

    def look(self) -> Deferred[None]:
        """Wait for its end before the next one."""
        return deferToThread(self._look, list(self._active()))

    def _active(self) -> Iterable[Schedule]:
        service = schedule_service(self.app)
        for name, schedule in service.schedules.items():
            if service.runs(schedule):
                # The clock may have been set back.
                self.watched[name] = min(self.watched.get(name, self.now()), self.now())
                yield schedule
            else:
                self.watched.pop(name, None)

    def _look(self, schedules: list[Schedule]) -> None:
        now = self.now()
        if monotonic() < self.retry_at:
            return
        try:
            runs = read_runs(schedules, this_node().failed_jobs.without_row())
            told = read_told()
        except psycopg.errors.UndefinedTable:
            return  # this node has only begun, and makes it
        except DATABASE_ERRORS as error:
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
                change_told(name, told[name], OK)

    def _idle(self) -> set[str]:
        """Paused schedules: their alerts are over, and no new ones are sent."""
        return schedule_service(self.app).schedules.keys() - self.watched.keys()

    def _database_is_away(self, error: Exception) -> None:
        self.looks_without_database += 1
        if self.database_told == OK and self.looks_without_database >= DATABASE_LOOKS:
            alert = Alert(DATABASE, FAILED, f"it can't be asked: {one_line(error)}")
            self.database_told = FAILED if self._send(alert) else OK

    def _tell(self, name: str, told: str, found: Health, runs: ScheduleRuns) -> None:
        if found.status == told or (found.status == FAILED and told == "stale"):
            return  # a stale schedule is well only when its data is new
        if not change_told(name, told, found.status):
            return  # another node tells it
        status = "recovered" if found.status == OK else found.status
        last = runs.runs[0] if runs.runs else None
        alert = Alert(name, status, found.message, last and last.job, last and last.crawl)
        if not self._send(alert):
            change_told(name, found.status, told)

    def _send(self, alert: Alert) -> bool:
        problem = self.receiver.send(alert.fields())
        if problem is None:
            log.info("Alert sent: {title}", title=alert.title)
            self.retry_after = RETRY_FIRST
            return True
        log.error(
            'The alert "{title}" was not taken by {host}: {problem}; next try in {seconds:.0f} s',
            title=alert.title,
            host=self.receiver.host,
            problem=problem,
            seconds=self.retry_after.total_seconds(),
        )
        self.retry_at = monotonic() + self.retry_after.total_seconds()
        self.retry_after = min(2 * self.retry_after, RETRY_LAST)
        return False


def alert_service(settings: BaseSettings) -> Callable[[Application], AlertService] | None:
    """What makes the service that the settings ask for, of scrapyd's application.

    Raises :exc:`ConfigurationError` for settings that can't work.
    """
    where = receiver(settings)
    if where is None:
        return None
    limits = Limits(
        whole_number(settings, "ALERT_FAILURES"), whole_number(settings, "ALERT_PERIODS")
    )
    interval = number(settings, "ALERT_INTERVAL")
    return lambda app: AlertService(app, where, limits, interval)
