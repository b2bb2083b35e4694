"""The queue of the fleet: Procrastinate's, through its job manager.

https://procrastinate.readthedocs.io/en/stable/
"""

from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from psycopg import AsyncCursor
from psycopg_pool import PoolTimeout

from coinspider.daemon.fleet.event_loop import EventLoopThread
from coinspider.errors import DatabaseUnreachableError

T = TypeVar("T")
# Errors of a database that is away or slow, from either library.
DATABASE_ERRORS = (ConnectorException, TimeoutError, psycopg.Error, DatabaseUnreachableError)
_PIN = """
SELECT set_config('search_path', coalesce(%s, current_setting('search_path')), true),
       set_config('idle_in_transaction_session_timeout', '5s', true)
"""
TASK = "crawl"
TIMEOUT = 5.0  # seconds that scrapyd waits for an answer of the database
# scrapyd's priorities are numbers with a fraction, Procrastinate's are whole.
_PRIORITY_UNITS = 1000
_PRIORITY_MAX = 2**31 - 1
# A job whose node died is run again elsewhere. A job that kills its nodes, for example by using all
# their memory, must not go round for ever.
DEATHS_MAX = 5
# In the past by any server's clock, whatever this machine's says.
_AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)


class QueueClient:
    """One node's access to the queue; its methods block for at most ``TIMEOUT`` seconds.

    A message is what scrapyd queues: a dict of JSON values with ``name`` and ``_job``. A project
    is a queue. Raises :exc:`~procrastinate.exceptions.ConnectorException` and :exc:`TimeoutError`
    if the database does not answer.
    """

    def __init__(self, url: str, search_path: str | None = None):
        # Behind a pooler each transaction may have another session.
        connector = PsycopgConnector(
            conninfo=url, min_size=1, max_size=4, timeout=TIMEOUT,
            kwargs={
                "prepare_threshold": None, "application_name": "coinspider fleet",
                "cursor_factory": _cursor_class(search_path),
            },
        )  # fmt: skip
        self.app = App(connector=connector)
        self.manager = self.app.job_manager
        self.thread = EventLoopThread("fleet queue")
        self.worker_id = -1

    def open(self) -> None:
        """Connect, and register as a worker. Raises :exc:`DatabaseUnreachableError`."""
        try:
            self._run(self._open())
            self.worker_id = self._run(self.manager.register_worker())
        except (ConnectorException, PoolTimeout, TimeoutError) as error:
            reason = " ".join(str(error).split()) or f"no answer within {TIMEOUT:g} seconds"
            raise DatabaseUnreachableError(f"the queue can't be opened: {reason}") from None

    def close(self) -> None:
        """Leave; the jobs of this worker become free at once."""
        try:
            self._run(self.manager.unregister_worker(self.worker_id))
            self._run(self.app.close_async())
        except (ConnectorException, TimeoutError):
            pass  # the others notice that the heartbeat has stopped
        self.thread.stop()

    def add(self, project: str, message: dict[str, Any], priority: float) -> None:
        units = max(-_PRIORITY_MAX, min(_PRIORITY_MAX, round(priority * _PRIORITY_UNITS)))
        job = Job(
            queue=project, task_name=TASK, priority=units, lock=None, queueing_lock=None,
            task_kwargs=message,
        )  # fmt: skip
        self._run(self.manager.defer_job_async(job))

    def fetch(self, projects: Iterable[str]) -> Job | None:
        """Take the next job of any of the projects, for this node to run."""
        return self._run(self.manager.fetch_job(list(projects), self.worker_id))

    def pending(self, project: str) -> list[Job]:
        """The waiting jobs, in the order in which they will run."""
        jobs = self._run(self.manager.list_jobs_async(queue=project, status="todo"))
        return sorted(jobs, key=lambda job: (-job.priority, job.id))

    def remove(self, project: str, unwanted: Callable[[dict[str, Any]], bool]) -> int:
        """Remove waiting jobs from the queue; return how many."""
        ids = [job.id for job in self.pending(project) if unwanted(dict(job.task_kwargs))]
        removed = [
            self._run(self.manager.cancel_job_by_id_async(id_, delete_job=True))
            for id_ in ids
            if id_ is not None
        ]
        return sum(removed)

    def abort(self, project: str, name: str) -> bool:
        """Ask the node that has taken a job to end it. ``False`` if no node has it."""
        listed = self.manager.list_jobs_async(queue=project, task=TASK, status="doing")
        ids = [job.id for job in self._run(listed) if job.task_kwargs["_job"] == name]
        aborted = [
            # If its node has just returned it, it is removed from the queue.
            self._run(self.manager.cancel_job_by_id_async(id_, abort=True, delete_job=True))
            for id_ in ids
            if id_ is not None
        ]
        return any(aborted)

    def aborts(self) -> set[int]:
        """The jobs that somebody cancelled."""
        return set(self._run(self.manager.list_jobs_to_abort_async()))

    def holds(self, queue_id: int) -> bool:
        """Whether the job still belongs to this node, which others may have assumed to be dead."""
        jobs = self._run(self.manager.list_jobs_async(id=queue_id))
        return any(job.status == "doing" and job.worker_id == self.worker_id for job in jobs)

    def finish(self, queue_id: int) -> None:
        """Remove a job that was run from the queue; its outcome is kept elsewhere."""
        if self.holds(queue_id):
            self._finish(queue_id, Status.SUCCEEDED)

    def hand_back(self, queue_id: int) -> None:
        """Let another node run a job that this one has taken, unless somebody has cancelled it."""
        if queue_id in self.aborts():
            self.finish(queue_id)
        elif self.holds(queue_id):
            self._run(self.manager.retry_job_by_id_async(queue_id, _AT_ONCE))

    def beat(self) -> None:
        """Send a heartbeat."""
        self._run(self.manager.update_heartbeat(self.worker_id))

    def register_again(self) -> None:
        """Become a new worker, after the others assumed that this one was dead."""
        self.worker_id = self._run(self.manager.register_worker())

    def prune(self, silence: float) -> None:
        """Remove the workers that were silent for ``silence`` seconds."""
        self._run(self.manager.prune_stalled_workers(silence))

    def stalled(self, silence: float) -> list[Job]:
        """The jobs of workers that were silent for ``silence`` seconds."""
        found = self.manager.get_stalled_jobs(task_name=TASK, seconds_since_heartbeat=silence)
        return list(self._run(found))

    def rescue(self, job: Job, has_ended: bool, deaths: int) -> str | None:
        """Queue a stalled job again, unless its crawl has in fact ended.

        ``deaths`` is how many nodes died while they ran it. Returns what was done with it;
        ``None`` if another node was quicker.
        """
        assert job.id is not None
        try:
            if has_ended:
                self._finish(job.id, Status.SUCCEEDED)
                return "had ended before its node did"
            if job.id in self.aborts():
                self._finish(job.id, Status.ABORTED)
                return "was cancelled before its node ended"
            if deaths < DEATHS_MAX:
                self._run(self.manager.retry_job_by_id_async(job.id, _AT_ONCE))
                return "is queued again: its node is gone"
            self._finish(job.id, Status.FAILED)
        except ConnectorException:
            return None
        return f"is given up: {deaths} nodes died while they ran it"

    async def _open(self) -> None:
        await self.app.open_async()

    def _finish(self, queue_id: int, status: Status) -> None:
        self._run(self.manager.finish_job_by_id_async(queue_id, status, delete_job=True))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.thread.run(work, TIMEOUT)


def _cursor_class(search_path: str | None) -> type[AsyncCursor[Any]]:
    """Cursors whose statements find the queue's tables, and limit how long locks are kept:
    otherwise a transaction of a machine that is cut off would keep them.

    Connection options can't do this: poolers reject them.
    """

    class QueueCursor(AsyncCursor[Any]):
        async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
            await super().execute(_PIN, [search_path])
            return await super().execute(query, params, **options)

    return QueueCursor
