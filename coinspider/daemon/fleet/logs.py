"""``/logs`` of a fleet: a job's log from this node's file, or its end from the database."""

from typing import Any

from scrapyd.website import File
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from coinspider.daemon import database
from coinspider.daemon.fleet.runs import TAIL_BYTES, find_tail
from coinspider.daemon.views.logs import log_page, wants_page
from coinspider.daemon.views.view import NotFound

_PARTS = 3  # project/spider/job.log


class FleetLogs(File):
    """scrapyd's own listing of files, and the logs of other nodes' jobs, even of dead nodes."""

    def getChild(self, path: bytes, txrequest: Any) -> Any:
        parts = [part.decode("utf-8", "replace") for part in (path, *txrequest.postpath)]
        found = self.child(path)
        for part in parts[1:]:
            found = found.child(part) if found is not None else None
        if len(parts) == _PARTS and parts[-1].endswith(".log") and not (found and found.exists()):
            txrequest.postpath = []
            return LogTail(parts[0], parts[1], parts[2].removesuffix(".log"))
        return super().getChild(path, txrequest)


class LogTail(Resource):
    """The end of a job's log, as its node last sent it."""

    isLeaf = True

    def __init__(self, project: str, spider: str, job: str):
        super().__init__()
        self.names = (project, spider, job)

    def render_GET(self, txrequest: Any) -> int:
        deferToThread(self._find).addBoth(self._send, txrequest)
        return NOT_DONE_YET

    def _find(self) -> tuple[str, str] | None:
        with database.connection() as connection:
            return find_tail(connection, *self.names)

    def _send(self, found: Any, txrequest: Any) -> None:
        if not txrequest.channel:  # the client has not waited for it
            return
        txrequest.write(_answer(txrequest, *found) if isinstance(found, tuple) else
                        NotFound().render(txrequest))  # fmt: skip
        txrequest.finish()


def _answer(txrequest: Any, node: str, tail: str) -> bytes:
    notice = f"The last {TAIL_BYTES} bytes at most, from {node}:"
    if wants_page(txrequest):
        return log_page(txrequest, tail, len(tail.encode()), notice)
    txrequest.setHeader("Content-Type", "text/plain; charset=utf-8")
    return f"{notice}\n\n{tail}".encode()
