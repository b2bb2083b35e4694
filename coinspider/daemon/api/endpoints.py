"""Endpoints for programs: schedules, what a job may bring along, and what became of each job."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

import psycopg
from scrapyd import webservice
from scrapyd.exceptions import ScrapydError
from scrapyd.webservice import WsResource, param
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import error, http

from coinspider.crawl.outcome import EXIT_STATUS
from coinspider.daemon.configuration import local_configuration
from coinspider.daemon.database import figure_workers, in_thread, query, send_later
from coinspider.daemon.gate.browsers import TxRequest
from coinspider.daemon.jobs import ADDRESSES, JOB, check_spider_arguments, names_in
from coinspider.daemon.nodes import this_node
from coinspider.daemon.outcomes import REASON_MAX, FailedJob, FailedJobs, last_words
from coinspider.daemon.protocols import Answer, Root, WebRequest
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.daemon.schedules.service import ScheduleService, describe, schedule_service
from coinspider.errors import CoinspiderError, ConfigurationError, DatabaseUnreachableError
from coinspider.secrets import masked
from coinspider.store.connection import one_line
from coinspider.store.schema import CRAWL
from coinspider.text import visible


def check_settings(given: Iterable[str]) -> None:
    """Raise for a setting that ``settings_allowed`` in ``scrapyd.conf`` does not name."""
    allowed = _allowed("settings_allowed")
    for setting in given:
        name = setting.partition("=")[0]
        if "=" not in setting or name not in allowed:
            raise request_error(
                f"setting {name} may not be given by HTTP: settings_allowed in scrapyd.conf"
                f" has {', '.join(sorted(allowed)) or 'none'}"
            )


def may_be_sent(given: Iterable[str]) -> bool:
    """Whether none of these arguments leads a crawl to an address that is not allowed."""
    return not (ADDRESSES.intersection(given) - _allowed("arguments_allowed"))


def check_arguments(project: str, spider: str, given: dict[str, str]) -> None:
    """Raise for an argument that the command line would refuse, or that names an address."""
    if refused := (ADDRESSES & given.keys()) - _allowed("arguments_allowed"):
        raise request_error(
            f"argument {', '.join(refused)} may not be given by HTTP, unless arguments_allowed in"
            " scrapyd.conf names it"
        )
    try:
        check_spider_arguments(project, spider, given)
    except ConfigurationError as problem:
        raise request_error(str(problem)) from None


LISTING_TIMEOUT = 30.0  # seconds


class RefusalLog:
    """In place of scrapyd's own log: what an endpoint refuses is one line, with no traceback."""

    log = Logger()

    def failure(self, message: str) -> None:
        match sys.exception():
            case error.Error(message=bytes(said)):
                self._note(said.decode("utf-8", "replace"))
            case ScrapydError() | CoinspiderError() | psycopg.Error() as problem:
                self._note(f"{type(problem).__name__} {one_line(problem)}")
            case _:
                self.log.failure(message)

    def _note(self, why: str) -> None:
        self.log.info("Refused: {why}", why=visible(masked(why[:REASON_MAX])))


def runner_error(stderr: str) -> error.Error:
    """Why scrapyd's runner could not list the spiders of an egg."""
    return request_error(f"the project can't be used: {last_words(stderr.encode())}")


class ListingProcess(subprocess.Popen[bytes]):
    """scrapyd's runner, which runs an egg's code to list its spiders: that may never end."""

    def __init__(self, args: list[str], **options: Any):
        super().__init__(args, start_new_session=True, **options)

    def communicate(self, *_: object) -> tuple[bytes, bytes]:
        try:
            return super().communicate(timeout=LISTING_TIMEOUT)
        except subprocess.TimeoutExpired:
            with self:  # which closes its pipes, and waits
                os.killpg(self.pid, signal.SIGKILL)
            late = f"its spiders were not listed within {LISTING_TIMEOUT:g} seconds"
            raise request_error(f"the project can't be used: {late}") from None


def request_error(message: str) -> error.Error:
    # As scrapyd tells errors: with the status in the body.
    return error.Error(code=http.OK, message=message.encode())


@cache
def _allowed(option: str) -> frozenset[str]:
    return names_in(local_configuration(), option)


_OWN = ("project", "spider", "_version")
_PRIORITY = re.compile(r"[+-]?\d{1,9}(\.\d{1,9})?", re.ASCII)
PENDING_MAX = 1000


class ScheduleJson(webservice.Schedule):
    """scrapyd's own, limited to arguments that the spider takes and to allowed settings.

    A setting could make a crawl write any file, or read from any address.
    """

    render = in_thread(WsResource.render)

    def render_POST(self, txrequest: TxRequest) -> Answer:
        sent = {
            name.decode(): [value.decode() for value in values]
            for name, values in txrequest.args.items()
        }
        settings, [job] = sent.pop("setting", []), sent.pop("jobid", ["job"])[:1]
        if not JOB.fullmatch(job):
            raise request_error("jobid is of letters, digits, '_', '-', '.' and ':'")
        check_settings(settings)
        self._check_queue()
        if not _PRIORITY.fullmatch(sent.pop("priority", ["0"])[0]):
            raise request_error("priority is a number, such as 1 or -0.5")
        project, spider, _ = (sent.pop(name, [""])[0] for name in _OWN)
        check_arguments(project, spider, {name: values[0] for name, values in sent.items()})
        answer: Answer = super().render_POST(txrequest)
        return answer

    def _check_queue(self) -> None:
        pending = sum(queue.count() for queue in self.root.poller.queues.values())
        if pending >= PENDING_MAX:
            raise request_error(
                f"{pending} jobs are pending already: cancel some, or try again later"
            )


class _Schedules(WsResource):
    @property
    def service(self) -> ScheduleService:
        return schedule_service(self.root.app)

    def schedule(self, name: str) -> Schedule:
        try:
            return self.service.schedules[name]
        except KeyError:
            raise request_error(f"schedule '{name}' not found") from None


class SchedulesJson(_Schedules):
    """``GET``: all schedules, with their next and last times (UTC) and how many runs there were."""

    def render_GET(self, txrequest: TxRequest) -> Answer:
        return {"schedules": [describe(self.service, name) for name in self.service.schedules]}


class PauseSchedule(_Schedules):
    """``POST schedule=NAME``: no more runs until it is resumed, even after a restart."""

    paused = True

    @param("schedule")
    def render_POST(self, txrequest: TxRequest, schedule: str) -> Answer:
        self.service.pause(self.schedule(schedule), self.paused)
        return {"schedule": describe(self.service, schedule)}


class ResumeSchedule(PauseSchedule):
    """``POST schedule=NAME``: resume, with the next run at its time."""

    paused = False


class RunSchedule(_Schedules):
    """``POST schedule=NAME``: an extra run now."""

    @param("schedule")
    def render_POST(self, txrequest: TxRequest, schedule: str) -> Answer:
        found = self.schedule(schedule)
        if active := self.service.active_job(found):
            job = self.service.state[schedule].last_job
            raise request_error(f"job {job} of this schedule is {active}")
        return {"jobid": self.service.run_now(found)}


LIMIT = 100
LIMIT_MAX = 1000
_CRAWLS = f"""
SELECT to_jsonb(crawl) - 'lock_name' || jsonb_build_object(
           'seconds', extract(epoch FROM coalesce(ended_at, now()) - started_at)) AS crawl
FROM {CRAWL.sound} WHERE %s::text IS NULL OR job = %s ORDER BY id DESC LIMIT %s
"""  # noqa: S608


def crawls(failed_jobs: FailedJobs, job: str | None, limit: int) -> Answer:
    """The newest crawls first, each with its ``exit_status``: none while it runs, or if it died.

    Among them are the jobs that ended before they began to crawl; where the database can't be
    asked, these alone, and ``database_error`` says why.
    """
    limit = min(limit, LIMIT_MAX)
    try:
        rows = [row["crawl"] for row in query(_CRAWLS, [job, job, limit])]
        failed = failed_jobs.without_row(limit, job)
    except (psycopg.Error, DatabaseUnreachableError) as error:
        if failed := failed_jobs.known(limit, job):
            return {"crawls": [_json(j) for j in failed], "database_error": one_line(error)}
        raise
    found = [row | {"exit_status": EXIT_STATUS.get(row["outcome"])} for row in rows]
    found += [_json(failed_job) for failed_job in failed]
    found.sort(key=lambda crawl: datetime.fromisoformat(crawl["started_at"]), reverse=True)
    return {"crawls": found[:limit]}


def _json(job: FailedJob) -> Answer:
    times = {"started_at": job.started_at.isoformat(), "ended_at": job.ended_at.isoformat()}
    return {**job.as_crawl(), **times}


class _Found(WsResource):
    """What a thread has found, or why it could not, in scrapyd's own form."""

    def __init__(self, root: Root, result: Answer | Failure):
        super().__init__(root)
        self.result = result

    def render_GET(self, txrequest: TxRequest) -> Answer:
        if isinstance(self.result, Failure):
            self.result.raiseException()
        return self.result


class CrawlsJson(WsResource):
    """``GET`` with ``job`` (that job's alone) and ``limit`` (100): what became of each job."""

    def render(self, txrequest: WebRequest) -> bytes | int:
        def answer(result: Answer | Failure) -> bytes:
            found: bytes = _Found(self.root, result).render(txrequest)
            return found

        if txrequest.method != b"GET":
            other: bytes = super().render(txrequest)
            return other
        try:
            job, limit = self._arguments(txrequest)
        except Exception:
            return answer(Failure())
        asked = "crawls", job, limit
        found = figure_workers().run(asked, crawls, this_node().failed_jobs, job, limit)
        return send_later(found, txrequest, answer)

    def render_GET(self, txrequest: TxRequest) -> None:
        """Never called; ``render_OPTIONS`` looks for it."""

    @param("job", required=False)
    @param("limit", required=False, default=str(LIMIT))
    def _arguments(self, txrequest: TxRequest, job: str, limit: str) -> tuple[str | None, int]:
        if not re.fullmatch(r"\d{1,9}", limit, re.ASCII):
            raise request_error(f"limit={limit[:40]} is not a number of crawls")
        return job, max(int(limit), 1)
