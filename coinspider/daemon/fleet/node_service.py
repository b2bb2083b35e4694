"""Keeps a node in the fleet while scrapyd runs."""

from typing import Any

from scrapyd import Config
from scrapyd.interfaces import IPoller, ISpiderScheduler
from scrapyd.webservice import spider_list
from twisted.application.service import Service
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, LogLevel

from coinspider.daemon.fleet.egg_storage import PostgresEggStorage
from coinspider.daemon.fleet.fleet import Fleet

log = Logger()
BEAT = 2.0  # seconds
# The least number of heartbeats in the time in which a node may be silent.
_BEATS = 5


class NodeService(Service):
    """Sends a heartbeat every ``BEAT`` seconds, and ends jobs that somebody cancelled."""

    name = "fleet"

    def __init__(self, fleet: Fleet, config: Config):
        self.fleet, self.storage = fleet, PostgresEggStorage(config)
        self.eggs: dict[str, tuple[str, ...]] = {}
        self.beating: Any = LoopingCall(self.beat)

    def startService(self) -> None:
        super().startService()
        self.stopped = self.beating.start(min(BEAT, self.fleet.timeout / _BEATS))

    def stopService(self) -> None:
        """Take no more jobs. The launcher says when the last one has ended."""
        super().stopService()
        self.fleet.leaving = True

    def leave(self) -> Any:
        """Stop the heartbeat and tell the others; until then this node keeps its jobs."""
        self.beating.stop()
        return self.stopped.addCallback(lambda _: deferToThread(self.fleet.leave))

    def beat(self) -> Any:
        return deferToThread(self._beat).addCallbacks(self._act, self._failed)

    def _beat(self) -> tuple[list[Any], dict[str, tuple[str, ...]]]:
        return self.fleet.beat(), self.storage.sync()

    def _act(self, found: tuple[list[Any], dict[str, tuple[str, ...]]]) -> None:
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
        app: Any = self.parent
        for interface in (IPoller, ISpiderScheduler):
            app.getComponent(interface).update_projects()

    def _end(self, processes: list[Any]) -> None:
        for process in processes:
            # A second signal would end it before its last rows are stored.
            self.fleet.jobs.cancelled.add(process.job)
            try:
                process.transport.signalProcess("INT")
            except ProcessExitedAlready:
                continue

    def _failed(self, failure: Any) -> None:
        log.emit(
            LogLevel.warn,
            "The fleet can't be told that this node lives: {reason}",
            reason=failure.value,
        )
