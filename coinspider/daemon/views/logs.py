"""``/logs/`` for people: folders as lists, and the end of a log; programs get scrapyd's own."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from scrapyd import website
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import formatFileSize

from coinspider.daemon.gate.browsers import wants_html
from coinspider.daemon.gate.sessions import logout_token
from coinspider.daemon.jobs import TAIL_BYTES as OTHERS_BYTES
from coinspider.daemon.jobs import find_tail
from coinspider.daemon.views.view import NotFound, render, send_head
from coinspider.text import visible

TAIL_BYTES = 256 * 1024
_PARTS = 3  # project/spider/job.log
_BAD = (" ERROR: ", " CRITICAL: ", "Traceback ")
_DOUBTFUL = " WARNING: "


class Entry(NamedTuple):
    """A file or a folder; ``size`` is in words."""

    name: str
    address: str
    size: str
    modified_at: datetime


class Folder(website.DirectoryLister):
    """A folder of logs, the newest first."""

    def render(self, txrequest: Any) -> Any:
        if not wants_html(txrequest):
            return super().render(txrequest)
        entries = sorted(_entries(self.path), key=lambda entry: entry.modified_at, reverse=True)
        return _page(txrequest, "logs.html", entries=entries)


class Logs(website.File):
    """scrapyd's own listing of files as pages, and the logs of other nodes' jobs."""

    childNotFound = NotFound()

    def getChild(self, path: bytes, txrequest: Any) -> Any:
        """Other nodes' logs are in the database, even those of nodes that are gone."""
        parts = [part.decode("utf-8", "replace") for part in (path, *txrequest.postpath)]
        found = self.child(path)
        for part in parts[1:]:
            found = found.child(part) if found is not None else None
        if len(parts) == _PARTS and parts[-1].endswith(".log") and not (found and found.exists()):
            txrequest.postpath = []
            return LogTail(parts[0], parts[1], parts[2].removesuffix(".log"))
        return super().getChild(path, txrequest)

    def directoryListing(self) -> Folder:
        return Folder(
            self.path,
            self.listNames(),
            self.contentTypes,
            self.contentEncodings,
            self.defaultType,
        )

    def render_GET(self, txrequest: Any) -> Any:
        if not (wants_page(txrequest) and self.path.endswith(".log") and self.isfile()):
            return super().render_GET(txrequest)
        size, tail = _tail(self.path)
        whole = size <= TAIL_BYTES
        return log_page(txrequest, tail, size, "" if whole else "These are its last lines.")


class LogTail(Resource):
    """The end of a job's log, as its node last sent it."""

    isLeaf = True

    def __init__(self, project: str, spider: str, job: str):
        super().__init__()
        self.names = (project, spider, job)

    def render_GET(self, txrequest: Any) -> int:
        deferToThread(find_tail, *self.names).addBoth(self._send, txrequest)
        return NOT_DONE_YET

    def _send(self, found: Any, txrequest: Any) -> None:
        if not txrequest.channel:  # the client has not waited for it
            return
        txrequest.write(_answer(txrequest, *found) if isinstance(found, tuple) else
                        NotFound().render(txrequest))  # fmt: skip
        txrequest.finish()


def _answer(txrequest: Any, node: str, tail: str) -> bytes:
    notice = f"The last {OTHERS_BYTES} bytes at most, from {node}:"
    if wants_page(txrequest):
        return log_page(txrequest, tail, len(tail.encode()), notice)
    txrequest.setHeader("Content-Type", "text/plain; charset=utf-8")
    return f"{notice}\n\n{tail}".encode()


def wants_page(txrequest: Any) -> bool:
    """Whether a person asks, and not for the file itself."""
    return wants_html(txrequest) and b"raw" not in txrequest.args


def log_page(txrequest: Any, text: str, size: int, notice: str) -> bytes:
    """A log, whose file has ``size`` bytes, or its end; the ``notice`` says so."""
    lines = [(visible(line), _kind(line)) for line in text.splitlines()]
    return _page(txrequest, "log.html", lines=lines, size=formatFileSize(size), notice=notice)


def _entries(folder: str) -> list[Entry]:
    found = []
    with os.scandir(folder) as files:
        for file in files:
            size = "" if file.is_dir() else formatFileSize(file.stat().st_size)
            modified = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            slash = "/" if file.is_dir() else ""
            found.append(Entry(f"{file.name}{slash}", f"{quote(file.name)}{slash}", size, modified))
    return found


def _tail(path: str) -> tuple[int, str]:
    """The file's size, and its last lines."""
    with Path(path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        data = file.read(TAIL_BYTES)
    text = data.decode("utf-8", "replace")
    return size, text if size <= TAIL_BYTES else text.partition("\n")[2]


def _kind(line: str) -> str:
    if any(sign in line[:200] for sign in _BAD):
        return "bad"
    return "other" if _DOUBTFUL in line[:200] else ""


def _page(txrequest: Any, template: str, **values: Any) -> bytes:
    path = unquote(txrequest.path.decode("latin-1"))
    send_head(txrequest, 200)
    page = render(
        template,
        section="logs/",
        parts=path.strip("/").split("/"),
        root="../" * (txrequest.path.count(b"/") - 1),
        logout=logout_token(txrequest),
        **values,
    ).encode()
    txrequest.setHeader("Content-Length", str(len(page)))
    return page
