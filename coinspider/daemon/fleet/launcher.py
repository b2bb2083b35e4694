"""scrapyd's launcher on a node of a fleet: tells the others what runs here."""

from typing import Any

from scrapyd.interfaces import IPoller
from twisted.internet.defer import maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, LogLevel

from coinspider.crawl.outcome import EXIT_STATUS
from coinspider.daemon import database
from coinspider.daemon.failed_jobs import FailedJob, FailedJobs
from coinspider.daemon.fleet.egg_storage import PostgresEggStorage
from coinspider.daemon.fleet.failed_jobs import FleetFailedJobs
from coinspider.daemon.fleet.fleet import fleet
from coinspider.daemon.fleet.queue_client import DATABASE_ERRORS
from coinspider.daemon.fleet.runs import running_runs
from coinspider.daemon.launcher import GracefulLauncher
from coinspider.daemon.schedules.service import service_named

log = Logger()
# Or ended by a signal.
_INTERRUPTED = (EXIT_STATUS["interrupted"], None)


class FleetLauncher(GracefulLauncher):
    """Fetches a job's egg before it starts, tells it where it runs, and records the run."""

    def __init__(self, config: Any, app: Any):
        super().__init__(config, app)
        self.eggs = PostgresEggStorage(config)

    def _get_message(self, slot: int) -> None:
        """Ask for the next job at once, instead of at the next ``poll_interval``."""
        super()._get_message(slot)
        self.app.getComponent(IPoller).poll()

    def _spawn_process(self, message: dict[str, Any], slot: int) -> Any:
        project, version = message["_project"], message.get("_version")
        if not version:
            return self._spawn(None, message, slot)
        prepared = deferToThread(self.eggs.materialize, project, version)
        return prepared.addBoth(self._spawn, message, slot)

    def _spawn(self, _: Any, message: dict[str, Any], slot: int) -> None:
        if fleet().leaving:
            return  # which returns the job to the queue
        message.setdefault("settings", {})["SCHEDULE_NODE"] = fleet().node
        super()._spawn_process(message, slot)
        try:
            fleet().jobs.begin(self.processes[slot])
        except DATABASE_ERRORS as error:
            # The crawl goes on; its own row records the outcome.
            log.emit(
                LogLevel.warn,
                "The run of job {job} can't be told to the others: {reason}",
                job=message["_job"], reason=error,
            )  # fmt: skip

    def _note(self, job: FailedJob) -> None:
        jobs = fleet().jobs
        if fleet().leaving and job.exit_status in _INTERRUPTED and job.job not in jobs.cancelled:
            jobs.interrupted.add(job.job)
        super()._note(job)

    def stopService(self) -> Any:
        """The node leaves the fleet after its last crawl has ended."""
        ended = maybeDeferred(super().stopService)
        return ended.addCallback(lambda _: service_named("fleet", self.app).leave())

    def _failed_jobs(self, config: Any) -> FailedJobs:
        return FleetFailedJobs()

    def running_jobs(self) -> set[str]:
        """The running jobs, on any node."""
        with database.connection() as connection:
            return {run.job for run in running_runs(connection)}
