"""scrapyd's components for a fleet: its queue, its poller, its store of finished jobs.

https://scrapyd.readthedocs.io/en/stable/config.html
"""

from collections.abc import Callable, Iterator
from typing import Any

from scrapyd import Config
from scrapyd.interfaces import IJobStorage, IPoller, ISpiderQueue
from scrapyd.poller import QueuePoller
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, LogLevel
from zope.interface import implementer

from coinspider.daemon import database
from coinspider.daemon.fleet import runs
from coinspider.daemon.fleet.egg_storage import latest_version
from coinspider.daemon.fleet.fleet import fleet
from coinspider.daemon.fleet.queue_client import DATABASE_ERRORS

log = Logger()


@implementer(ISpiderQueue)
class PostgresSpiderQueue:
    """The waiting jobs of a project, whichever node they were sent to."""

    def __init__(self, config: Config, project: str):
        self.project = project

    def add(self, name: str, priority: float = 0.0, **spider_args: Any) -> None:
        # Each job runs the version that was newest when it was queued.
        if "_version" not in spider_args and (version := latest_version(self.project)):
            spider_args["_version"] = version
        fleet().client.add(self.project, spider_args | {"name": name}, priority)

    def pop(self) -> dict[str, Any] | None:
        message = fleet().jobs.fetch([self.project])
        if message:
            del message["_project"]
            message["name"] = message.pop("_spider")
        return message

    def count(self) -> int:
        return len(self.list())

    def list(self) -> list[dict[str, Any]]:
        return [dict(job.task_kwargs) for job in fleet().client.pending(self.project)]

    def remove(self, func: Callable[[dict[str, Any]], bool]) -> int:
        return fleet().client.remove(self.project, func)

    def clear(self) -> None:
        self.remove(lambda _: True)


@implementer(IPoller)
class FleetPoller(QueuePoller):
    """Takes a job from the queue, in a thread, when this node has a free slot."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.asking = False

    def poll(self) -> Deferred[None]:
        if self.asking or not self.dq.waiting or fleet().leaving:
            return succeed(None)
        self.asking = True
        asked: Deferred[Any] = deferToThread(fleet().jobs.fetch, list(self.queues))
        return asked.addCallbacks(self._fetched, self._failed)

    def _fetched(self, message: dict[str, Any] | None) -> Any:
        self.asking = False
        if message is None:
            return None
        self.dq.put(message)
        return self.poll()  # there may be more slots, and more jobs

    def _failed(self, failure: Any) -> None:
        self.asking = False
        failure.trap(*DATABASE_ERRORS)
        log.emit(LogLevel.warn, "The queue can't be asked: {reason}", reason=failure.value)


@implementer(IJobStorage)
class PostgresJobStorage:
    """The finished jobs of all nodes; ``finished_to_keep`` of them."""

    def __init__(self, config: Config):
        self.finished_to_keep = config.getint("finished_to_keep", 100)

    def add(self, job: Any) -> None:
        jobs = fleet().jobs
        jobs.end(job)
        deferToThread(jobs.note_ends).addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        failure.trap(*DATABASE_ERRORS)
        log.emit(
            LogLevel.warn,
            "The end of a job can't be told to the others yet: {reason}",
            reason=failure.value,
        )

    def list(self) -> list[runs.Run]:
        with database.connection() as connection:
            return runs.finished_runs(connection, self.finished_to_keep)

    def __len__(self) -> int:
        with database.connection() as connection:
            return runs.count_finished_runs(connection)

    def __iter__(self) -> Iterator[runs.Run]:
        return iter(self.list())
