"""The scrapyd that share a database, each a node: which are alive, and what this one does for all.

The table ``fleet_node`` has the nodes that are alive, by the server's clock.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import cast

import psycopg
from psycopg.rows import dict_row
from scrapy.utils.project import get_project_settings
from scrapyd import Config
from scrapyd.webservice import spider_list
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from coinspider.daemon import database, jobs
from coinspider.daemon.configuration import address, listens_at, local_configuration
from coinspider.daemon.eggs import SharedEggs
from coinspider.daemon.jobs import JobRun, NodeJobs
from coinspider.daemon.outcomes import FailedJobs
from coinspider.daemon.protocols import Application, JobProcess, poller, reactor, scheduler
from coinspider.daemon.queue import ROWS_MAX, Queue, make_tables, message_of
from coinspider.errors import ConfigurationError, DatabaseUnreachableError
from coinspider.store.connection import one_line
from coinspider.store.retention import Retention
from coinspider.store.schema import FLEET_NODE

log = Logger()
BEAT = 2.0  # seconds
# The least number of heartbeats in the time in which a node may be silent.
_BEATS = 5
NODE_TIMEOUT = 20.0  # seconds
FORGET_EVERY = 3600.0  # seconds
DATABASE_ERRORS = (psycopg.Error, DatabaseUnreachableError, ConfigurationError)

_KNOWN = "SELECT worker_id FROM fleet_node WHERE name = %s"
_JOIN = """
INSERT INTO fleet_node (name, worker_id, url, version) VALUES (%s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET worker_id = excluded.worker_id, url = excluded.url,
    version = excluded.version, started_at = now(), seen_at = now()
"""
_SEEN = "UPDATE fleet_node SET seen_at = now() WHERE name = %s AND worker_id = %s"
_STRIKE = "DELETE FROM fleet_node WHERE seen_at < now() - make_interval(secs => %s)"
# One node at a time rescues the jobs of the dead, until its transaction ends: another one could
# queue a job again that already runs elsewhere.
_RESCUE = "SELECT pg_try_advisory_xact_lock(hashtext('coinspider fleet rescue'))"
_LEAVE = "DELETE FROM fleet_node WHERE name = %s AND worker_id = %s"
_NODES = f"""
SELECT name, url, version, started_at, extract(epoch FROM now() - seen_at)::float AS silent_seconds
FROM {FLEET_NODE.sound} ORDER BY name LIMIT {ROWS_MAX}
"""  # noqa: S608


class Node:
    """What the other nodes know about this one, and what it does for nodes that died.

    ``node_timeout`` in ``scrapyd.conf`` is after how many silent seconds the others assume that a
    node is dead, and run its jobs. The methods are for threads: they wait for the database.
    """

    def __init__(self, config: Config):
        here, (_, port) = socket.gethostname(), listens_at(config)
        self.name = config.get("node_name", "") or f"{here}:{port}"
        self.url = config.get("node_url", "") or address(config, here).rstrip("/")
        self.timeout = _timeout(config)
        self.leaving = self.is_open = False
        self.forget_at = 0.0  # monotonic
        self.queue, self.failed_jobs = Queue(), FailedJobs()
        self.eggs = SharedEggs(config)
        self.jobs = NodeJobs(
            self.queue,
            self.name,
            config.get("logs_dir", "logs"),
            config.getint("finished_to_keep", 100),
        )

    def beat(self) -> list[JobProcess]:
        """Send a heartbeat, rescue the jobs of dead nodes; return the processes to end."""
        try:
            if not self.is_open:
                self._open()
            self._live()
            self._rescue()
            self._forget()
            cancelled = self.jobs.to_cancel()
        except DATABASE_ERRORS as error:
            self.queue.failed(one_line(error))
            raise
        self.queue.works()
        return cancelled

    def _open(self) -> None:
        """Make the tables, and join; a killed node may be back before the others have noticed."""
        found = database.database()
        make_tables(found)
        self.queue.open(str(found.url), found.search_path if found.schema else None)
        with database.brief_transaction() as connection:
            earlier = connection.execute(_KNOWN, [self.name]).fetchone()
            jobs.end_lost_runs(connection, self.name)
        if earlier:
            self.queue.forget(earlier[0])
        self.eggs.adopt()
        self._join()
        self.is_open = True

    def _join(self) -> None:
        with database.brief_transaction() as connection:
            connection.execute(_JOIN, [self.name, self.queue.worker_id, self.url, _version()])

    def _live(self) -> None:
        with database.brief_transaction() as connection:
            seen = connection.execute(_SEEN, [self.name, self.queue.worker_id]).rowcount
            self.jobs.keep_tails(connection)
        # Before what needs the queue, whose pool waits longer from try to try in an outage.
        self.failed_jobs.record()
        if seen:
            self.queue.beat()
        else:
            log.emit(LogLevel.warn, "The other nodes took this one for dead; it joins again")
            self.queue.register_again()
            self._join()
        self.jobs.note()

    def _rescue(self) -> None:
        with database.brief_transaction() as connection:
            row = connection.execute(_RESCUE).fetchone()
            if not (row and row[0]):
                return
            connection.execute(_STRIKE, [self.timeout])
            jobs.end_lost_runs(connection)
            self.queue.prune(self.timeout)
            for job in self.queue.stalled(self.timeout):
                name = message_of(job.id, job.task_kwargs)["_job"]
                crawl = jobs.crawl_of(connection, name)
                if job.id is None or crawl.is_alive:  # its process has outlived its node
                    continue
                deaths = jobs.count_lost(connection, job.id)
                if done := self.queue.rescue(job.id, crawl.has_ended, deaths):
                    log.emit(LogLevel.warn, "Job {job} {done}", job=name, done=done)

    def _forget(self) -> None:
        """Delete old rows once an hour; what fails is tried again in the next."""
        if monotonic() < self.forget_at:
            return
        self.forget_at = monotonic() + FORGET_EVERY
        try:
            retention = Retention.from_settings(get_project_settings())
            with database.connection() as connection:
                retention.forget_now(connection)
        except psycopg.Error as error:
            log.debug("Old rows are kept: {reason}", reason=one_line(error))

    def leave(self) -> None:
        """Return the jobs that this node has taken but not finished to the queue."""
        if not self.is_open:
            return
        try:
            self.failed_jobs.record()
            self.jobs.note()
            self.jobs.hand_back()
            with database.brief_transaction() as connection:
                connection.execute(_LEAVE, [self.name, self.queue.worker_id])
        except Exception as error:
            log.emit(
                LogLevel.warn,
                "This node can't tell the others that it leaves: {reason}",
                reason=one_line(error),
            )
        self.queue.close()


class NodeService(Service):
    """Sends a heartbeat every ``BEAT`` seconds, and ends jobs that somebody cancelled."""

    name = "node"

    def __init__(self, app: Application, node: Node):
        self.app, self.node = app, node
        self.eggs: dict[str, tuple[str, ...]] = {}
        self.problem = ""
        self.beating = repeating("heartbeat", self.beat)

    def startService(self) -> None:
        super().startService()
        reactor.addSystemEventTrigger("after", "shutdown", database.release)
        self.stopped = self.beating.start(min(BEAT, self.node.timeout / _BEATS))

    def stopService(self) -> None:
        """Take no more jobs. The launcher says when the last one has ended."""
        super().stopService()
        self.node.leaving = True

    def leave(self) -> Deferred[None]:
        """Stop the heartbeat and tell the others; until then this node keeps its jobs."""
        self.beating.stop()
        return self.stopped.addCallback(lambda _: deferToThread(self.node.leave))

    def beat(self) -> Deferred[None]:
        """A failure is logged, and the next heartbeat comes."""
        beaten = deferToThread(self._beat).addCallback(self._act)
        return beaten.addErrback(self._failed)

    def _beat(self) -> tuple[list[JobProcess], dict[str, tuple[str, ...]]]:
        return self.node.beat(), self.node.eggs.sync()

    def _act(self, found: tuple[list[JobProcess], dict[str, tuple[str, ...]]]) -> None:
        if self.problem:
            log.info("The database answers again")
            self.problem = ""
        processes, eggs = found
        self._end(processes)
        if eggs != self.eggs:
            self._know(eggs)

    def _know(self, eggs: dict[str, tuple[str, ...]]) -> None:
        """Tell scrapyd about projects that were sent to another node."""
        for project in {**self.eggs, **eggs}:
            if self.eggs.get(project) != eggs.get(project):
                spider_list.delete(project)
        self.eggs = eggs
        poller(self.app).update_projects()
        scheduler(self.app).update_projects()

    def _end(self, processes: list[JobProcess]) -> None:
        for process in processes:
            # A second signal would end it before its last rows are stored.
            self.node.jobs.cancelled.add(process.job)
            with suppress(ProcessExitedAlready):
                process.transport.signalProcess("INT")

    def _failed(self, failure: Failure) -> None:
        failure.trap(*DATABASE_ERRORS)
        if not self.problem:
            self.problem = one_line(cast(Exception, failure.value))
            log.emit(
                LogLevel.warn,
                "No job begins, as the database does not answer: {reason}",
                reason=self.problem,
            )


@cache
def this_node() -> Node:
    """This process's own: scrapyd makes its components itself, and gives them nothing."""
    return Node(local_configuration())


def repeating(name: str, function: Callable[[], object]) -> LoopingCall:
    """A loop that logs what the function raises, at once or later, and goes on.

    Twisted's own ends with the first exception.
    """

    def call() -> Deferred[object]:
        return maybeDeferred(function).addErrback(
            lambda failure: log.failure("A {name} failed", failure, name=name)
        )

    return LoopingCall(call)


def in_background(function: Callable[[], None]) -> None:
    """Run in a thread what the next heartbeat repeats, should the database be away."""
    deferToThread(function).addErrback(_not_done)


def _not_done(failure: Failure) -> None:
    if not failure.check(*DATABASE_ERRORS):
        log.failure("What has happened can't be noted", failure)


def running_elsewhere(project: str | None = None) -> list[JobRun]:
    """The running jobs of all other nodes."""
    with database.connection() as connection:
        found = jobs.running_runs(connection)
    return [run for run in found if run.node != this_node().name and project in (None, run.project)]


def list_nodes(connection: psycopg.Connection) -> list[dict[str, object]]:
    return connection.cursor(row_factory=dict_row).execute(_NODES).fetchall()


def _timeout(config: Config) -> float:
    text = config.get("node_timeout", str(NODE_TIMEOUT))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= 86_400:
        raise ConfigurationError(
            f"node_timeout = {text} in scrapyd.conf is not a number of seconds from 1"
        )
    return seconds


def _version() -> str:
    try:
        return version("coinspider")
    except PackageNotFoundError:  # it runs in its folder, and is not installed
        return "0"
