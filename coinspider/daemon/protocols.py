"""What is used of scrapyd's objects and of Twisted's reactor, for which neither has types.

scrapyd gives each of its components the application, and each of its endpoints the root.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol, TypedDict, TypeVar, cast

from scrapyd.interfaces import IPoller, ISpiderScheduler
from twisted.application.service import IServiceCollection, MultiService
from twisted.internet import reactor as twisted_reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from coinspider.daemon.gate.browsers import TxRequest

S = TypeVar("S")
Answer = dict[str, object]
"""What an endpoint of scrapyd answers: JSON."""


class Message(TypedDict, total=False):
    """What scrapyd queues: besides these, the arguments of the spider by their names."""

    _project: str
    _spider: str
    _job: str
    _version: str
    name: str
    settings: dict[str, object]


class DelayedCall(Protocol):
    def active(self) -> bool: ...
    def cancel(self) -> None: ...


class Reactor(Protocol):
    @property
    def callLater(self) -> Callable[..., DelayedCall]: ...
    def callFromThread(self, function: Callable[..., object], *args: object) -> None: ...
    def callWhenRunning(self, function: Callable[..., object], *args: object) -> None: ...
    def addSystemEventTrigger(
        self, phase: str, event: str, function: Callable[..., object]
    ) -> None: ...


reactor = cast(Reactor, twisted_reactor)


class Transport(Protocol):
    """Of a process."""

    def signalProcess(self, signal: str | int, /) -> None: ...


class JobProcess(Protocol):
    """scrapyd's process protocol of a job."""

    project: str
    spider: str
    job: str
    pid: int | None
    start_time: datetime
    end_time: datetime | None
    transport: Transport
    deferred: Deferred[object]
    errReceived: Callable[[bytes], None]
    processEnded: Callable[[Failure], None]


class SpiderQueue(Protocol):
    def list(self) -> list[Message]: ...
    def count(self) -> int: ...


class Poller(Protocol):
    queues: Mapping[str, SpiderQueue]

    def poll(self) -> object: ...
    def update_projects(self) -> None: ...


class Scheduler(Protocol):
    @property
    def schedule(self) -> Callable[..., None]: ...
    def list_projects(self) -> list[str]: ...
    def update_projects(self) -> None: ...


class Application(Protocol):
    def getComponent(self, interface: object) -> object: ...


class Launcher(Protocol):
    processes: Mapping[int, JobProcess]
    finished: Iterable[JobProcess]

    def running_jobs(self) -> set[str]: ...


class WebService(Protocol):
    """An endpoint of scrapyd; a failed request raises Twisted's error."""

    def render_POST(self, txrequest: TxRequest) -> dict[str, object]: ...


class Root(Protocol):
    """scrapyd's site, with its endpoints by their paths."""

    app: Application
    launcher: Launcher
    poller: Poller
    scheduler: Scheduler
    children: Mapping[bytes, WebService]
    logs_dir: str


class WebRequest(TxRequest, Protocol):
    """A request whose response is written when a thread has made it."""

    channel: object | None
    """None once the client has gone."""

    def write(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def processingFailed(self, reason: object) -> None: ...


def poller(app: Application) -> Poller:
    return cast(Poller, app.getComponent(IPoller))


def scheduler(app: Application) -> Scheduler:
    return cast(Scheduler, app.getComponent(ISpiderScheduler))


def service_of(app: Application, name: str, kind: type[S]) -> S:
    """One of the services inside a scrapyd."""
    service = cast(MultiService, IServiceCollection(app)).getServiceNamed(name)
    assert isinstance(service, kind)
    return service
