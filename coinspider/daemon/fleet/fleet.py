"""This node's part in the fleet: one per process, shared by scrapyd's components."""

import os
import socket
from collections import deque
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any

from scrapyd import Config
from twisted.logger import Logger, LogLevel

from coinspider.daemon import database
from coinspider.daemon.configuration import local_configuration
from coinspider.daemon.fleet import nodes, runs
from coinspider.daemon.fleet.queue_client import QueueClient
from coinspider.daemon.fleet.tables import create_tables

log = Logger()
NODE_TIMEOUT = 20.0  # seconds


class Fleet:
    """Holds what this node runs, and tells the others of it.

    ``node_timeout`` in ``scrapyd.conf`` is how many seconds a node may be silent before the others
    take it for dead and run its jobs.
    """

    def __init__(self, config: Config):
        self.node = config.get("node_name", "") or _default_name(config)
        self.url = config.get("node_url", "") or _default_url(config)
        self.timeout = config.getfloat("node_timeout", NODE_TIMEOUT)
        self.logs_dir = Path(config.get("logs_dir", "logs"))
        self.finished_to_keep = config.getint("finished_to_keep", 100)
        found = database.database()
        self.client = QueueClient(str(found.url), found.search_path if found.schema else None)
        with database.connection() as connection:
            create_tables(connection, self.client.app.schema_manager.get_schema(), found.schema)
        self.client.open()
        self._join()
        # The jobs that this node has taken from the queue, and those of them that it runs.
        self.queue_ids: dict[str, int] = {}
        self.run_ids: dict[str, int] = {}
        self.processes: dict[str, Any] = {}
        self.ended: deque[Any] = deque()
        self.noting = Lock()

    def _join(self) -> None:
        with database.connection() as connection:
            nodes.join(connection, self.node, self.client.worker_id, self.url, _version())

    def beat(self) -> list[Any]:
        """Give a sign of life and rescue the jobs of the dead; the processes that are to end.

        For a thread, like all that asks the database.
        """
        running = list(self.processes.items())
        tails = [(self.tail(process), self.run_ids.get(job, 0)) for job, process in running]
        with database.connection() as connection:
            known = nodes.is_seen(connection, self.node, self.client.worker_id)
            runs.keep_tails(connection, tails)
        if known:
            self.client.beat()
        else:
            log.emit(LogLevel.warn, "The other nodes took this one for dead; it joins again")
            self.client.register_again()
            self._join()
        self._note_ends()
        self._rescue()
        aborts = self.client.aborts() if running else set()
        return [process for job, process in running if self.queue_ids.get(job) in aborts]

    def _rescue(self) -> None:
        with database.connection() as connection:
            nodes.strike(connection, self.timeout)
            runs.end_lost_runs(connection)
        self.client.prune(self.timeout)
        for job in self.client.stalled(self.timeout):
            name = str(job.task_kwargs["_job"])
            with database.connection() as connection:
                has_ended = runs.has_ended(connection, name)
            if done := self.client.rescue(job, has_ended):
                log.emit(LogLevel.warn, "Job {job} {done}", job=name, done=done)

    def fetch(self, projects: list[str]) -> dict[str, Any] | None:
        """Take the next job, as scrapyd's message; ``None`` where none waits."""
        job = self.client.fetch(projects)
        if job is None:
            return None
        message: dict[str, Any] = dict(job.task_kwargs)
        assert job.id is not None
        self.queue_ids[message["_job"]] = job.id
        return message | {"_project": job.queue, "_spider": message.pop("name")}

    def begin(self, process: Any) -> None:
        """A process of this node runs a job now."""
        with database.connection() as connection:
            self.run_ids[process.job] = runs.begin_run(
                connection, process, self.node, self.queue_ids.get(process.job)
            )
        self.processes[process.job] = process

    def end(self, process: Any) -> None:
        """It has ended. Where the database can't be told now, the next beat does it."""
        self.processes.pop(process.job, None)
        self.ended.append(process)
        self._note_ends()

    def _note_ends(self) -> None:
        with self.noting:
            while self.ended:
                self._note_end(self.ended[0])
                self.ended.popleft()

    def _note_end(self, process: Any) -> None:
        with database.connection() as connection:
            run_id = self.run_ids.get(process.job, 0)
            runs.end_run(connection, run_id, "ended", self.tail(process))
            runs.forget_runs(connection, self.finished_to_keep)
        if (queue_id := self.queue_ids.get(process.job)) is not None:
            self.client.finish(queue_id)
        self.run_ids.pop(process.job, None)
        self.queue_ids.pop(process.job, None)

    def leave(self) -> None:
        """What this node has taken and not begun goes back into the queue."""
        with suppress(Exception), database.connection() as connection:
            nodes.leave(connection, self.node, self.client.worker_id)
        self.client.close()

    def tail(self, process: Any) -> str:
        """The end of the log of a job on this node."""
        path: Path = self.logs_dir / process.project / process.spider / f"{process.job}.log"
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - runs.TAIL_BYTES))
                return file.read().decode("utf-8", "replace").replace("\0", "\\x00")
        except OSError:
            return ""


@cache
def fleet() -> Fleet:
    """This process's own."""
    return Fleet(local_configuration())


def _default_name(config: Config) -> str:
    return f"{socket.gethostname()}:{_port(config)}"


def _default_url(config: Config) -> str:
    address = os.getenv("SCRAPYD_BIND_ADDRESS") or config.get("bind_address", "127.0.0.1")
    return f"http://{address}:{_port(config)}"


def _port(config: Config) -> str:
    return str(os.getenv("SCRAPYD_HTTP_PORT") or config.getint("http_port", 6800))


def _version() -> str:
    try:
        return version("coinspider")
    except PackageNotFoundError:  # it runs in its folder, and is not installed
        return "0"
