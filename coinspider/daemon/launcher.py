"""scrapyd's launcher, which ends its crawls in order."""

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
from scrapyd import Config
from scrapyd.launcher import Launcher, ScrapyProcessProtocol
from twisted.internet import defer, reactor
from twisted.internet.error import ProcessExitedAlready
from twisted.logger import Logger

from coinspider._compat import use_process_class
from coinspider.daemon.failed_jobs import FailedJob, FailedJobs, JobWatch, job_arguments
from coinspider.text import counted, without_password

log = Logger()
STOP_TIMEOUT = 30.0  # seconds


class QuietProcess(ScrapyProcessProtocol):
    """A job's process; its arguments are logged without the passwords of feeds."""

    args: list[str]

    def log(self, level: str, action: str) -> None:
        given = self.args
        self.args = [without_password(argument) for argument in given]
        super().log(level, action)
        self.args = given


class GracefulLauncher(Launcher):
    """Ends its crawls when scrapyd ends; each stores what it has and closes its row.

    One that takes longer than ``stop_timeout`` seconds is killed.
    """

    def __init__(self, config: Config, app: Any):
        super().__init__(config, app)
        use_process_class(QuietProcess)
        self.stop_timeout = config.getfloat("stop_timeout", STOP_TIMEOUT)
        self.stopping = False
        self.failed_jobs = self._failed_jobs(config)

    def _failed_jobs(self, config: Config) -> FailedJobs:
        return FailedJobs(Path(config.get("dbs_dir", "dbs")) / "failed_jobs.db")

    def _spawn_process(self, message: dict[str, Any], slot: int) -> None:
        super()._spawn_process(message, slot)
        JobWatch(self.processes[slot], job_arguments(message), self._note)

    def _note(self, job: FailedJob) -> None:
        try:
            self.failed_jobs.add(job)
        except (OSError, sqlite3.Error, psycopg.Error):
            log.failure("That job {job} failed can't be kept", job=job.job)

    def _get_message(self, slot: int) -> None:
        if not self.stopping:
            super()._get_message(slot)

    def running_jobs(self) -> set[str]:
        """The ids of the running jobs."""
        return {process.job for process in self.processes.values()}

    def stopService(self) -> Any:
        super().stopService()
        self.stopping = True
        processes = list(self.processes.values())
        if not processes:
            return None
        log.info("Waiting for {crawls} to end", crawls=counted(len(processes), "crawl"))
        ended: Any = defer.DeferredList([_end_of(process) for process in processes])
        _signal(processes, "TERM")
        clock: Any = reactor
        kill = clock.callLater(self.stop_timeout, _signal, processes, "KILL")
        return ended.addCallback(lambda _: kill.active() and kill.cancel())


def _end_of(process: Any) -> defer.Deferred[None]:
    ended: defer.Deferred[None] = defer.Deferred()

    def pass_on(result: Any) -> Any:
        ended.callback(None)
        return result

    process.deferred.addBoth(pass_on)
    return ended


def _signal(processes: list[Any], sign: str) -> None:
    for process in processes:
        try:
            process.transport.signalProcess(sign)
        except ProcessExitedAlready:
            continue
