"""This node's part in the fleet: one per process, shared by scrapyd's components."""

import os
import socket
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scrapyd import Config
from twisted.logger import Logger, LogLevel

from coinspider.daemon import database
from coinspider.daemon.configuration import local_configuration
from coinspider.daemon.fleet import nodes, runs
from coinspider.daemon.fleet.node_jobs import NodeJobs
from coinspider.daemon.fleet.queue_client import QueueClient
from coinspider.daemon.fleet.tables import create_tables
from coinspider.errors import ConfigurationError

log = Logger()
NODE_TIMEOUT = 20.0  # seconds
_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104


class Fleet:
    """What the other nodes know about this one, and what it does for nodes that died.

    ``node_timeout`` in ``scrapyd.conf`` is after how many silent seconds the others assume that a
    node is dead, and run its jobs.
    """

    def __init__(self, config: Config):
        self.node = config.get("node_name", "") or _default_name(config)
        self.url = config.get("node_url", "") or _default_url(config)
        self.timeout = _timeout(config)
        self.leaving = False
        found = database.database()
        self.client = QueueClient(str(found.url), found.search_path if found.schema else None)
        with database.connection() as connection:
            create_tables(connection, self.client.app.schema_manager.get_schema(), found.schema)
        self.client.open()
        self.jobs = NodeJobs(
            self.client, self.node, Path(config.get("logs_dir", "logs")),
            config.getint("finished_to_keep", 100),
        )  # fmt: skip
        with database.brief_transaction() as connection:
            # A killed node may be back before the others have noticed.
            runs.end_lost_runs_of(connection, self.node)
        self._join()

    def _join(self) -> None:
        with database.brief_transaction() as connection:
            nodes.join(connection, self.node, self.client.worker_id, self.url, _version())

    def beat(self) -> list[Any]:
        """Send a heartbeat and rescue the jobs of dead nodes; return the processes to end.

        For threads, like everything that uses the database.
        """
        with database.brief_transaction() as connection:
            known = nodes.is_seen(connection, self.node, self.client.worker_id)
            self.jobs.keep_tails(connection)
        if known:
            self.client.beat()
        else:
            log.emit(LogLevel.warn, "The other nodes took this one for dead; it joins again")
            self.client.register_again()
            self._join()
        self.jobs.note_ends()
        self._rescue()
        return self.jobs.to_cancel()

    def _rescue(self) -> None:
        """One node at a time: another one could queue a job again that already runs elsewhere."""
        with database.brief_transaction() as connection:
            if not nodes.may_rescue(connection):
                return
            nodes.strike(connection, self.timeout)
            runs.end_lost_runs(connection)
            self.client.prune(self.timeout)
            for job in self.client.stalled(self.timeout):
                name = str(job.task_kwargs["_job"])
                has_ended = runs.has_ended(connection, name)
                deaths = runs.count_lost(connection, job.id)
                if done := self.client.rescue(job, has_ended, deaths):
                    log.emit(LogLevel.warn, "Job {job} {done}", job=name, done=done)

    def leave(self) -> None:
        """Return the jobs that this node has taken but not finished to the queue."""
        try:
            self.jobs.note_ends()
            self.jobs.hand_back()
            with database.brief_transaction() as connection:
                nodes.leave(connection, self.node, self.client.worker_id)
        except Exception as error:
            log.emit(
                LogLevel.warn,
                "This node can't tell the others that it leaves: {reason}",
                reason=" ".join(str(error).split()),
            )
        self.client.close()


@cache
def fleet() -> Fleet:
    """This process's own."""
    return Fleet(local_configuration())


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


def _default_name(config: Config) -> str:
    return f"{socket.gethostname()}:{_port(config)}"


def _default_url(config: Config) -> str:
    address = os.getenv("SCRAPYD_BIND_ADDRESS") or config.get("bind_address", "127.0.0.1")
    # If the address means all of the machine's, use the machine's name.
    host = socket.gethostname() if address in _ALL_ADDRESSES else address
    return f"http://{host}:{_port(config)}"


def _port(config: Config) -> str:
    return str(os.getenv("SCRAPYD_HTTP_PORT") or config.getint("http_port", 6800))


def _version() -> str:
    try:
        return version("coinspider")
    except PackageNotFoundError:  # it runs in its folder, and is not installed
        return "0"
