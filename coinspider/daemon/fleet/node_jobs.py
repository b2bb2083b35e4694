"""The jobs that this node has taken from the queue, until their end is recorded."""

from collections import deque
from pathlib import Path
from threading import Lock
from typing import Any

import psycopg
from procrastinate.jobs import Job

from coinspider.daemon import database
from coinspider.daemon.fleet import runs
from coinspider.daemon.fleet.queue_client import QueueClient


class NodeJobs:
    """Methods that wait for the database are for threads; the others are for the reactor's."""

    def __init__(self, client: QueueClient, node: str, logs_dir: Path, finished_to_keep: int):
        self.client, self.node = client, node
        self.logs_dir, self.finished_to_keep = logs_dir, finished_to_keep
        self.queue_ids: dict[str, int] = {}
        self.run_ids: dict[str, int] = {}
        self.processes: dict[str, Any] = {}
        self.cancelled: set[str] = set()
        self.interrupted: set[str] = set()
        self.ended: deque[Any] = deque()
        self.noting = Lock()

    def fetch(self, projects: list[str]) -> dict[str, Any] | None:
        """Take the next job, as scrapyd's message; ``None`` if none waits. For threads."""
        job = self.client.fetch(projects)
        while job and job.attempts and self._has_ended(job):
            job = self.client.fetch(projects)
        if job is None:
            return None
        message: dict[str, Any] = dict(job.task_kwargs)
        assert job.id is not None
        self.queue_ids[message["_job"]] = job.id
        return message | {"_project": job.queue, "_spider": message.pop("name")}

    def _has_ended(self, job: Job) -> bool:
        """A node that was assumed to be dead may have finished it since."""
        with database.connection() as connection:
            has_ended = runs.has_ended(connection, str(job.task_kwargs["_job"]))
        if has_ended and job.id is not None:
            self.client.finish(job.id)
        return has_ended

    def begin(self, process: Any) -> None:
        """Note that a process of this node runs a job now."""
        self.processes[process.job] = process
        with database.brief_transaction() as connection:
            self.run_ids[process.job] = runs.begin_run(
                connection, process, self.node, self.queue_ids.get(process.job)
            )

    def end(self, process: Any) -> None:
        """Note that it has ended; :meth:`note_ends` tells the database, now or with the next
        heartbeat.
        """
        self.processes.pop(process.job, None)
        self.ended.append(process)

    def keep_tails(self, connection: psycopg.Connection) -> None:
        """Store the ends of the logs of running jobs. For threads, like the following methods."""
        running = list(self.processes.items())
        tails = [(self._tail(process), self.run_ids.get(job, 0)) for job, process in running]
        runs.keep_tails(connection, tails)

    def to_cancel(self) -> list[Any]:
        """The processes of jobs that somebody has cancelled, each once."""
        running = dict(self.processes)
        aborts = self.client.aborts() if running else set()
        return [
            process
            for job, process in running.items()
            if self.queue_ids.get(job) in aborts and job not in self.cancelled
        ]

    def note_ends(self) -> None:
        with self.noting:
            while self.ended:
                self._note_end(self.ended[0])
                self.ended.popleft()

    def hand_back(self) -> None:
        """Jobs that were taken, but neither begun nor ended, go back for another node."""
        with self.noting:
            for queue_id in self.queue_ids.values():
                self.client.hand_back(queue_id)

    def _note_end(self, process: Any) -> None:
        job = process.job
        outcome = "interrupted" if job in self.interrupted else "ended"
        with database.brief_transaction() as connection:
            runs.end_run(connection, self.run_ids.get(job, 0), outcome, self._tail(process))
            runs.forget_runs(connection, self.finished_to_keep)
        if (queue_id := self.queue_ids.get(job)) is not None:
            if job in self.interrupted:
                self.client.hand_back(queue_id)
            else:
                self.client.finish(queue_id)
        self.run_ids.pop(job, None)
        self.queue_ids.pop(job, None)
        self.cancelled.discard(job)

    def _tail(self, process: Any) -> str:
        """The end of the log of a job on this node."""
        path: Path = self.logs_dir / process.project / process.spider / f"{process.job}.log"
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - runs.TAIL_BYTES))
                return file.read().decode("utf-8", "replace").replace("\0", "\\x00")
        except OSError:
            return ""
