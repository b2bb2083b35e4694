"""scrapyd's launcher: starts the jobs that this node has taken, and ends them in order."""

from contextlib import suppress
from datetime import UTC, datetime

from scrapyd import Config
from scrapyd.launcher import Launcher, ScrapyProcessProtocol
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from coinspider._compat import use_process_class
from coinspider.daemon.jobs import JobRules, job_arguments
from coinspider.daemon.nodes import (
    DATABASE_ERRORS,
    NodeService,
    in_background,
    running_elsewhere,
    this_node,
)
from coinspider.daemon.outcomes import REASON_MAX, FailedJob, JobWatch
from coinspider.daemon.protocols import (
    Application,
    JobProcess,
    Message,
    poller,
    reactor,
    service_of,
)
from coinspider.errors import ConfigurationError
from coinspider.secrets import masked_argument
from coinspider.store.connection import one_line
from coinspider.text import counted

log = Logger()
STOP_TIMEOUT = 30.0  # seconds
# After a process could not be started, as when there are too many open files.
_SPAWN_AGAIN = 1.0  # seconds
# Exit statuses of a crawl that ends before its time; None after a signal.
_INTERRUPTED = (130, None)
_FAILED = 1


class QuietProcess(ScrapyProcessProtocol):
    """A job's process; its arguments are logged without the passwords of feeds."""

    args: list[str]

    def log(self, level: str, action: str) -> None:
        given = self.args
        self.args = list(map(masked_argument, given))
        super().log(level, action)
        self.args = given


class GracefulLauncher(Launcher):
    """Fetches a job's egg before it starts, and records its run.

    It ends its crawls when scrapyd ends; each stores what it has and closes its row. One that takes
    longer than ``stop_timeout`` seconds is killed.
    """

    def __init__(self, config: Config, app: Application):
        super().__init__(config, app)
        use_process_class(QuietProcess)
        self.node, self.rules = this_node(), JobRules(config)
        self.stop_timeout = config.getfloat("stop_timeout", STOP_TIMEOUT)
        self.failed_jobs = self.node.failed_jobs
        self.stopping = False

    def _get_message(self, slot: int) -> None:
        """Ask for the next job at once, instead of at the next ``poll_interval``."""
        if not self.stopping:
            super()._get_message(slot)
            poller(self.app).poll()

    def _spawn_process(self, message: Message, slot: int) -> Deferred[None] | None:
        project, version = message["_project"], message.get("_version")
        if not version:
            self._spawn(None, message, slot)
            return None
        prepared = deferToThread(self.node.eggs.materialize, project, version)
        return prepared.addBoth(self._spawn, message, slot)

    def _spawn(self, _: object, message: Message, slot: int) -> None:
        """A process that can't be started is a failed job, and its slot is free again."""
        if self.node.leaving:
            return  # which returns the job to the queue
        arguments = job_arguments(message)
        try:
            self.rules.check(message, arguments)
            super()._spawn_process(message, slot)
        except ConfigurationError as error:
            self._give_up(message, f"it is not run: {error}")
            reactor.callLater(0, self._get_message, slot)
            return
        except Exception as error:
            log.failure("Job {job} can't be started", job=message["_job"])
            self._give_up(message, f"its process can't be started: {one_line(error)}")
            reactor.callLater(_SPAWN_AGAIN, self._get_message, slot)
            return
        process = self.processes[slot]
        JobWatch(process, arguments, self._note)
        self.node.jobs.begin(process)
        in_background(self.node.jobs.note)

    def _give_up(self, message: Message, reason: str) -> None:
        process = QuietProcess(message["_project"], message["_spider"], message["_job"], {}, [])
        process.end_time = process.start_time
        now, job, arguments = datetime.now(UTC), message["_job"], job_arguments(message)
        self._note(
            FailedJob(job, process.spider, arguments, now, now, _FAILED, reason[:REASON_MAX])
        )
        self.node.jobs.begin(process)
        self.finished.add(process)

    def _note(self, job: FailedJob) -> None:
        jobs = self.node.jobs
        if self.node.leaving and job.exit_status in _INTERRUPTED and job.job not in jobs.cancelled:
            jobs.interrupted.add(job.job)
        self.failed_jobs.add(job)
        in_background(self.failed_jobs.record)

    def running_jobs(self) -> set[str]:
        """The ids of the running jobs on any node; while the database is away, on this one."""
        here = {process.job for process in self.processes.values()}
        try:
            return here | {run.job for run in running_elsewhere()}
        except DATABASE_ERRORS:
            return here

    def stopService(self) -> Deferred[None]:
        """The node leaves after its last crawl has ended."""
        super().stopService()
        self.stopping = True
        ended = maybeDeferred(self._end_all, list(self.processes.values()))
        node = service_of(self.app, "node", NodeService)
        return ended.addCallback(lambda _: node.leave())

    def _end_all(self, processes: list[JobProcess]) -> Deferred[None] | None:
        if not processes:
            return None
        log.info("Waiting for {crawls} to end", crawls=counted(len(processes), "crawl"))
        ended = DeferredList([_end_of(process) for process in processes])
        _signal(processes, "TERM")
        kill = reactor.callLater(self.stop_timeout, _signal, processes, "KILL")
        return ended.addCallback(lambda _: kill.cancel() if kill.active() else None)


def launcher(app: Application) -> GracefulLauncher:
    """The launcher inside this scrapyd."""
    return service_of(app, "launcher", GracefulLauncher)


def _end_of(process: JobProcess) -> Deferred[None]:
    ended: Deferred[None] = Deferred()

    def pass_on(result: object) -> object:
        ended.callback(None)
        return result

    process.deferred.addBoth(pass_on)
    return ended


def _signal(processes: list[JobProcess], sign: str) -> None:
    for process in processes:
        with suppress(ProcessExitedAlready):
            process.transport.signalProcess(sign)
