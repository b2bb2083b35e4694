"""The queue of all scrapyd that have the same database: Procrastinate's, through its job manager.

https://procrastinate.readthedocs.io/en/stable/
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from psycopg import AsyncCursor, Connection
from psycopg.rows import DictRow

from coinspider.daemon.database import connection
from coinspider.daemon.protocols import Message
from coinspider.errors import DatabaseUnreachableError
from coinspider.store.connection import connect, one_line
from coinspider.store.database_url import DatabaseSettings
from coinspider.store.migration import make_schema, migrate_daemon

if TYPE_CHECKING:
    from procrastinate import App
    from procrastinate.jobs import Job
    from procrastinate.manager import JobManager

T = TypeVar("T")

_PIN = """
SELECT set_config('search_path', coalesce(%s, current_setting('search_path')), true),
       set_config('idle_in_transaction_session_timeout', '5s', true)
"""
# A job that was taken, but whose process has not begun or is to be run again, waits as well.
# Who may write to the table can write gigabytes, which each node would read.
ROWS_MAX = 2000
_ARGUMENTS_MAX = 1_000_000  # characters; a request's body has less
_PENDING = f"""
SELECT id, CASE WHEN octet_length(args::text) <= {_ARGUMENTS_MAX} THEN args END
FROM procrastinate_jobs AS job WHERE queue_name = %s AND (
    status = 'todo' OR status = 'doing' AND NOT EXISTS (
        SELECT FROM fleet_run WHERE queue_id = job.id AND (ended_at IS NULL OR outcome = 'ended')
    )
) ORDER BY priority DESC, id LIMIT {ROWS_MAX}
"""  # noqa: S608
TASK = "crawl"
TIMEOUT = 5.0  # seconds that scrapyd waits for an answer of the database
_FIRST_TIMEOUT = 10.0  # seconds for the first answer: an embedded server starts meanwhile
# scrapyd's priorities are numbers with a fraction, Procrastinate's are whole.
_PRIORITY_UNITS = 1000
_PRIORITY_MAX = 2**31 - 1
# A job whose node died is run again elsewhere. A job that kills its nodes, for example by using all
# their memory, must not go round for ever.
DEATHS_MAX = 5
# In the past by any server's clock, whatever this machine's says.
_AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)


def message_of(queue_id: int | None, args: object) -> Message:
    """The message in a row of the queue, whoever wrote it: it has an id, a spider and settings.

    What else is wrong with it is found by the node that takes it.
    """
    is_read = isinstance(args, dict) and sum(map(len, map(str, args.values()))) <= _ARGUMENTS_MAX
    message = dict(args) if isinstance(args, dict) and is_read else {}
    for name in ("_job", "name"):
        if not isinstance(message.get(name), str):
            message[name] = f"row-{queue_id}"
    if not isinstance(message.setdefault("settings", {}), dict):
        message["settings"] = {"settings": message["settings"]}
    return cast(Message, message)


class EventLoopThread:
    """An asyncio event loop in a thread, until :meth:`stop`."""

    def __init__(self, name: str):
        self.loop = asyncio.new_event_loop()
        self.thread = Thread(target=self.loop.run_forever, name=name, daemon=True)
        self.thread.start()

    def run(self, work: Coroutine[object, object, T], timeout: float) -> T:
        """Wait for a coroutine's result, from any other thread.

        Raises :exc:`TimeoutError` after ``timeout`` seconds, and what the coroutine raises.
        """
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


class Queue:
    """One node's access to the queue; its methods block for at most ``TIMEOUT`` seconds.

    A project is a queue. Raises :exc:`DatabaseUnreachableError` if the database does not answer,
    at once if it did not answer the last heartbeat.
    """

    def __init__(self) -> None:
        self.worker_id = -1
        self.problem: str | None = None
        self._app: App | None = None
        self._thread: EventLoopThread | None = None
        self._tried = Event()

    def open(self, url: str, search_path: str | None) -> None:
        """Connect, and register as a worker."""
        try:
            if not self._app:
                self._open(url, search_path)
            self.worker_id = self._run(self._manager.register_worker())
        finally:
            self._tried.set()

    def _open(self, url: str, search_path: str | None) -> None:
        # Late: scrapyd's start does not wait for this import.
        from procrastinate import App, PsycopgConnector

        # Behind a pooler each transaction may have another session.
        connector = PsycopgConnector(
            conninfo=url,
            min_size=1,
            max_size=4,
            timeout=TIMEOUT,
            kwargs={
                "prepare_threshold": None,
                "application_name": "coinspider fleet",
                "cursor_factory": _cursor_class(search_path),
            },
        )
        app = App(connector=connector)
        self._thread = self._thread or EventLoopThread("queue")
        try:
            self._ask(self._thread, _opened(app))
        except DatabaseUnreachableError:
            self._ask(self._thread, app.close_async())
            raise
        self._app = app

    @property
    def is_tried(self) -> bool:
        """Whether the database has answered, or has not been reached."""
        return self._tried.is_set()

    def failed(self, problem: str) -> None:
        """Answer nothing until :meth:`works`: nobody waits for a database that is away."""
        self.problem = problem
        self._tried.set()

    def works(self) -> None:
        self.problem = None

    def close(self) -> None:
        """Leave; the jobs of this worker become free at once."""
        if not self._app or not self._thread:
            return
        try:
            self._run(self._manager.unregister_worker(self.worker_id))
            self._run(self._app.close_async())
        except DatabaseUnreachableError:
            pass  # the others notice that the heartbeat has stopped
        self._thread.stop()

    def add(
        self, project: str, message: Message, priority: float, within: Connection | None = None
    ) -> None:
        """Add a job; ``within`` an open transaction it waits only if that is committed."""
        manager = self._ready()
        from procrastinate import SyncPsycopgConnector
        from procrastinate.exceptions import ConnectorException
        from procrastinate.jobs import Job
        from procrastinate.manager import JobManager
        from procrastinate.types import JSONDict

        units = max(-_PRIORITY_MAX, min(_PRIORITY_MAX, round(priority * _PRIORITY_UNITS)))
        job = Job(
            queue=project,
            task_name=TASK,
            priority=units,
            lock=None,
            queueing_lock=None,
            task_kwargs=cast(JSONDict, message),
        )
        if within is None:
            self._run(manager.defer_job_async(job))
            return
        try:
            JobManager(SyncPsycopgConnector()).defer_job(job, within)
        except ConnectorException as error:
            raise _unreachable(error) from None

    def fetch(self, projects: Iterable[str]) -> "Job | None":
        """Take the next job of any of the projects, for this node to run."""
        return self._run(self._ready().fetch_job(list(projects), self.worker_id))

    def pending(self, project: str) -> list[tuple[int, Message]]:
        """The waiting jobs with their ids, in the order in which they will run."""
        self._ready()
        with connection() as connected:
            rows = connected.execute(_PENDING, [project]).fetchall()
        return [(id_, message_of(id_, args)) for id_, args in rows]

    def remove(self, project: str, unwanted: Callable[[Message], bool]) -> int:
        """Remove waiting jobs from the queue; return how many."""
        manager = self._ready()
        ids = [id_ for id_, message in self.pending(project) if unwanted(message)]
        return sum([self._run(manager.cancel_job_by_id_async(id_, delete_job=True)) for id_ in ids])

    def abort(self, project: str, name: str) -> bool:
        """Ask the node that has taken a job to end it. ``False`` if no node has it."""
        manager = self._ready()
        listed = manager.list_jobs_async(queue=project, task=TASK, status="doing")
        found = self._run(listed)
        ids = [job.id for job in found if message_of(job.id, job.task_kwargs)["_job"] == name]
        aborted = [
            # If its node has just returned it, it is removed from the queue.
            self._run(manager.cancel_job_by_id_async(id_, abort=True, delete_job=True))
            for id_ in ids
            if id_ is not None
        ]
        return any(aborted)

    def aborts(self) -> set[int]:
        """The jobs that somebody cancelled."""
        return set(self._run(self._manager.list_jobs_to_abort_async()))

    def holds(self, queue_id: int) -> bool:
        """Whether the job still belongs to this node, which others may have assumed to be dead."""
        jobs = self._run(self._manager.list_jobs_async(id=queue_id))
        return any(job.status == "doing" and job.worker_id == self.worker_id for job in jobs)

    def finish(self, queue_id: int) -> None:
        """Remove a job that was run from the queue; its outcome is kept elsewhere."""
        if self.holds(queue_id):
            self._finish(queue_id, "SUCCEEDED")

    def hand_back(self, queue_id: int) -> None:
        """Let another node run a job that this one has taken, unless somebody has cancelled it."""
        if queue_id in self.aborts():
            self.finish(queue_id)
        elif self.holds(queue_id):
            self._run(self._manager.retry_job_by_id_async(queue_id, _AT_ONCE))

    def beat(self) -> None:
        """Send a heartbeat."""
        self._run(self._manager.update_heartbeat(self.worker_id))

    def register_again(self) -> None:
        """Become a new worker, after the others assumed that this one was dead."""
        self.worker_id = self._run(self._manager.register_worker())

    def forget(self, worker_id: int) -> None:
        """Free the jobs of a worker that is gone."""
        self._run(self._manager.unregister_worker(worker_id))

    def prune(self, silence: float) -> None:
        """Remove the workers that were silent for ``silence`` seconds."""
        self._run(self._manager.prune_stalled_workers(silence))

    def stalled(self, silence: float) -> "list[Job]":
        """The jobs of workers that were silent for ``silence`` seconds."""
        return list(
            self._run(
                self._manager.get_stalled_jobs(task_name=TASK, seconds_since_heartbeat=silence)
            )
        )

    def rescue(self, queue_id: int, has_ended: bool, deaths: int) -> str | None:
        """Queue a stalled job again, unless its crawl has in fact ended.

        ``deaths`` is how many nodes died while they ran it. Returns what was done with it;
        ``None`` if another node was quicker.
        """
        try:
            if has_ended:
                self._finish(queue_id, "SUCCEEDED")
                return "had ended before its node did"
            if queue_id in self.aborts():
                self._finish(queue_id, "ABORTED")
                return "was cancelled before its node ended"
            if deaths < DEATHS_MAX:
                self._run(self._manager.retry_job_by_id_async(queue_id, _AT_ONCE))
                return "is queued again: its node is gone"
            self._finish(queue_id, "FAILED")
        except DatabaseUnreachableError:
            return None
        return f"is given up: {deaths} nodes died while they ran it"

    @property
    def _manager(self) -> "JobManager":
        if not self._app:
            raise DatabaseUnreachableError(self.problem or "the database has not answered yet")
        return self._app.job_manager

    def _ready(self) -> "JobManager":
        """For what a client asks: it waits for the first answer, and for no other."""
        self._tried.wait(_FIRST_TIMEOUT)
        if self.problem:
            raise DatabaseUnreachableError(self.problem)
        return self._manager

    def _finish(self, queue_id: int, status: str) -> None:
        from procrastinate.jobs import Status

        finishing = self._manager.finish_job_by_id_async(queue_id, Status[status], delete_job=True)
        self._run(finishing)

    def _run(self, work: Coroutine[object, object, T]) -> T:
        assert self._thread
        return self._ask(self._thread, work)

    @staticmethod
    def _ask(thread: EventLoopThread, work: Coroutine[object, object, T]) -> T:
        from procrastinate.exceptions import ConnectorException
        from psycopg_pool import PoolTimeout

        try:
            return thread.run(work, TIMEOUT)
        except (ConnectorException, PoolTimeout, TimeoutError) as error:
            raise _unreachable(error) from None


def _unreachable(error: Exception) -> DatabaseUnreachableError:
    """Procrastinate's own errors have the reason in their cause."""
    reason = one_line(error.__cause__ if isinstance(error.__cause__, Exception) else error)
    return DatabaseUnreachableError(f"the queue can't be asked: {reason}")


def queue_schema() -> str:
    """Procrastinate's own tables and functions."""
    from procrastinate.schema import SchemaManager

    return SchemaManager.get_schema()


async def _opened(app: "App") -> None:
    await app.open_async()


def _cursor_class(search_path: str | None) -> type[AsyncCursor[DictRow]]:
    """Cursors whose statements find the queue's tables, and limit how long locks are kept:
    otherwise a transaction of a machine that is cut off would keep them.

    Connection options can't do this: poolers reject them.
    """

    class QueueCursor(AsyncCursor[DictRow]):
        async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
            await super().execute(_PIN, [search_path])
            return await super().execute(query, params, **options)

    return QueueCursor


def make_tables(found: DatabaseSettings) -> None:
    """Those of the daemon and of the queue; nodes that start together wait for each other."""
    asyncio.run(_make_tables(found))


async def _make_tables(found: DatabaseSettings) -> None:
    connection = await connect(found)
    try:
        async with connection.pinned():
            await make_schema(connection, found.schema)
            await migrate_daemon(connection, queue_schema())
    finally:
        await connection.close()
