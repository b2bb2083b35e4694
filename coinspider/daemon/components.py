"""scrapyd's components for a shared queue: queue, poller, finished jobs, and their endpoints.

https://scrapyd.readthedocs.io/en/stable/config.html
"""

from collections.abc import Callable, Iterator
from typing import cast

from psycopg import Connection
from scrapyd import Config, webservice
from scrapyd.interfaces import IJobStorage, IPoller, ISpiderQueue
from scrapyd.poller import QueuePoller
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from coinspider.daemon import database, jobs
from coinspider.daemon.database import figure_workers, in_thread
from coinspider.daemon.eggs import latest_version
from coinspider.daemon.gate.browsers import TxRequest
from coinspider.daemon.jobs import JobRun
from coinspider.daemon.nodes import (
    DATABASE_ERRORS,
    in_background,
    list_nodes,
    running_elsewhere,
    this_node,
)
from coinspider.daemon.protocols import Answer, JobProcess, Message
from coinspider.errors import DatabaseUnreachableError
from coinspider.secrets import masked_arguments
from coinspider.store.connection import one_line

log = Logger()


@implementer(ISpiderQueue)
class SharedQueue:
    """The waiting jobs of a project, whichever node they were sent to."""

    def __init__(self, config: Config, project: str):
        self.project, self.has_eggs = project, config.getboolean("egg_upload", False)

    def add(
        self,
        name: str,
        priority: float = 0.0,
        _within: Connection | None = None,
        **spider_args: object,
    ) -> None:
        """``_within`` is an open transaction of which the new job is a part."""
        # Each job runs the version that was newest when it was queued.
        if self.has_eggs and "_version" not in spider_args:
            version = latest_version(self.project)
            spider_args |= {"_version": version} if version else {}
        message = cast(Message, spider_args | {"name": name})
        this_node().queue.add(self.project, message, priority, _within)

    def pop(self) -> Message | None:
        message = this_node().jobs.fetch([self.project])
        if message:
            del message["_project"]
            message["name"] = message.pop("_spider")
        return message

    def count(self) -> int:
        return len(self.list())

    def list(self) -> list[Message]:
        node = this_node()
        waiting = node.queue.pending(self.project)
        return [message for _, message in waiting if not node.jobs.knows(message["_job"])]

    def remove(self, func: Callable[[Message], bool]) -> int:
        return this_node().queue.remove(self.project, func)

    def clear(self) -> None:
        self.remove(lambda _: True)


@implementer(IPoller)
class SharedPoller(QueuePoller):
    """Takes a job from the queue, in a thread, when this node has a free slot."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.asking = False

    def poll(self) -> Deferred[None]:
        node = this_node()
        if self.asking or not self.dq.waiting or node.leaving or not node.is_open:
            return succeed(None)
        self.asking = True
        asked = deferToThread(node.jobs.fetch, list(self.queues))
        return asked.addCallbacks(self._fetched, self._failed)

    def _fetched(self, message: Message | None) -> Deferred[None] | None:
        self.asking = False
        if message is None:
            return None
        self.dq.put(message)
        return self.poll()  # there may be more slots, and more jobs

    def _failed(self, failure: Failure) -> None:
        self.asking = False
        if not failure.check(*DATABASE_ERRORS):  # of which the heartbeat tells
            log.failure("No job can be taken from the queue", failure)


@implementer(IJobStorage)
class FinishedJobs:
    """The finished jobs of all nodes; ``finished_to_keep`` of them."""

    def __init__(self, config: Config):
        self.finished_to_keep = config.getint("finished_to_keep", 100)

    def add(self, job: JobProcess) -> None:
        node = this_node()
        node.jobs.end(job)
        in_background(node.jobs.note)

    def list(self) -> list[JobProcess | JobRun]:
        """While the database is away, those of this node that it does not have yet."""
        ended = this_node().jobs.ended()
        try:
            with database.connection() as connection:
                return [*ended, *jobs.finished_runs(connection, self.finished_to_keep)]
        except DATABASE_ERRORS:
            return [*ended]

    def __len__(self) -> int:
        with database.connection() as connection:
            return len(this_node().jobs.ended()) + jobs.count_finished_runs(connection)

    def __iter__(self) -> Iterator[JobProcess | JobRun]:
        return iter(self.list())


class ListJobs(webservice.ListJobs):
    """``GET``: as scrapyd's, each running job with its ``node``, and no secret in an argument."""

    def render_GET(self, txrequest: TxRequest) -> Answer:
        project = _given(txrequest, "project")
        answer: Answer = super().render_GET(txrequest)
        for pending in cast(list[Answer], answer["pending"]):
            for name in ("args", "settings"):
                pending[name] = masked_arguments(cast(Answer, pending[name]))
        own = cast(list[Answer], answer["running"])
        here = [job | {"node": this_node().name} for job in own]
        answer["running"] = here + [
            {
                "id": run.job,
                "project": run.project,
                "spider": run.spider,
                "pid": run.pid,
                "start_time": str(run.start_time),
                "log_url": f"/logs/{run.project}/{run.spider}/{run.job}.log",
                "items_url": None,
                "node": run.node,
            }
            for run in running_elsewhere(project)
        ]
        return answer


class Status(webservice.Status):
    """``GET``: the state of a job, whichever node runs it."""

    def render_GET(self, txrequest: TxRequest) -> Answer:
        job, project = _given(txrequest, "job"), _given(txrequest, "project")
        if any(run.job == job for run in running_elsewhere(project)):
            return {"currstate": "running"}
        answer: Answer = super().render_GET(txrequest)
        return answer


class Cancel(webservice.Cancel):
    """``POST``: ends a job, whichever node runs it; that takes a few seconds on another one."""

    def render_POST(self, txrequest: TxRequest) -> Answer:
        job, project = _given(txrequest, "job"), _given(txrequest, "project")
        answer: Answer = super().render_POST(txrequest)
        if answer["prevstate"] == "running":
            this_node().jobs.cancelled.add(str(job))
        elif not answer["prevstate"] and this_node().queue.abort(str(project), str(job)):
            return {"prevstate": "running"}
        return answer


class ListSpiders(webservice.ListSpiders):
    """``GET``: as scrapyd's, which runs the egg's code, in a thread."""

    render = in_thread(webservice.WsResource.render)


class AddVersion(webservice.AddVersion):
    """``POST``: likewise."""

    render = in_thread(webservice.WsResource.render)


class DaemonStatus(webservice.DaemonStatus):
    """``GET``: the jobs of all nodes, and the nodes that are alive.

    While the database is away, ``database_error`` says so, and what is not known is ``null``.
    """

    render = in_thread(webservice.WsResource.render, figure_workers)

    def render_GET(self, txrequest: TxRequest) -> Answer:
        try:
            if not this_node().queue.is_tried:
                raise DatabaseUnreachableError("it has not answered yet")
            answer: Answer = super().render_GET(txrequest)
            with database.connection() as connection:
                found = list_nodes(connection)
            elsewhere = len(running_elsewhere())
        except DATABASE_ERRORS as error:
            here = {"pending": None, "running": len(self.root.launcher.processes)}
            return here | {"finished": None, "nodes": [], "database_error": one_line(error)}
        alive = [node | {"started_at": str(node["started_at"])} for node in found]
        return answer | {"running": cast(int, answer["running"]) + elsewhere, "nodes": alive}


def _given(txrequest: TxRequest, name: str) -> str | None:
    """A parameter, which scrapyd's own method checks and takes out of the request."""
    values = txrequest.args.get(name.encode())
    return values[0].decode("utf-8", "replace") if values else None
