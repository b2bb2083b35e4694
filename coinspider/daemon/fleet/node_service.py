"""Keeps a node in the fleet while scrapyd runs."""

from typing import Any

from twisted.application.service import Service
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, LogLevel

from coinspider.daemon.fleet.fleet import Fleet

log = Logger()
BEAT = 2.0  # seconds


class NodeService(Service):
    """Gives a sign of life every ``BEAT`` seconds, and ends the jobs that somebody cancelled."""

    name = "fleet"

    def __init__(self, fleet: Fleet):
        self.fleet = fleet
        self.beating: Any = LoopingCall(self.beat)
        self.told_to_end: set[str] = set()

    def startService(self) -> None:
        super().startService()
        self.beating.start(BEAT)

    def stopService(self) -> Any:
        super().stopService()
        self.beating.stop()
        return deferToThread(self.fleet.leave)

    def beat(self) -> Any:
        return deferToThread(self.fleet.beat).addCallbacks(self._end, self._failed)

    def _end(self, processes: list[Any]) -> None:
        for process in processes:
            if process.job in self.told_to_end:
                continue  # a second signal would end it without its last rows
            self.told_to_end.add(process.job)
            try:
                process.transport.signalProcess("INT")
            except ProcessExitedAlready:
                continue
        self.told_to_end &= self.fleet.processes.keys()

    def _failed(self, failure: Any) -> None:
        log.emit(
            LogLevel.warn,
            "The fleet can't be told that this node lives: {reason}",
            reason=failure.value,
        )
