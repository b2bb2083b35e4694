"""scrapyd's own site in coinspider's layout: jobs, and logs; programs get scrapyd's own pages."""

import os
import re
from datetime import UTC, datetime
from heapq import nlargest
from html import escape
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from markupsafe import Markup
from scrapyd import Config, website
from twisted.python.failure import Failure
from twisted.python.filepath import InsecurePath
from twisted.web.resource import Resource
from twisted.web.static import Data, formatFileSize

from coinspider.daemon.database import page_workers, send_later, view_error
from coinspider.daemon.gate.browsers import TxRequest, wants_html
from coinspider.daemon.gate.sessions import form_token
from coinspider.daemon.jobs import TAIL_BYTES as OTHERS_BYTES
from coinspider.daemon.jobs import find_tail
from coinspider.daemon.nodes import DATABASE_ERRORS, running_elsewhere, this_node
from coinspider.daemon.protocols import Application, WebRequest
from coinspider.daemon.views.crawls import DONE, act
from coinspider.daemon.views.home import HomePage
from coinspider.daemon.views.view import (
    NotFound,
    error_page,
    root_of,
    send_page,
    token_field,
)
from coinspider.errors import ViewError
from coinspider.text import visible

_ICON = Path(__file__).with_name("templates").joinpath("favicon.svg").read_bytes()
_TABLE = re.compile(r"<table.*</table>", re.DOTALL)
# What the pages' policy forbids; nothing else in scrapyd's rows is affected.
_INLINE = re.compile(r' (style|onsubmit)="[^"]*"')
# A group without a job: its heading alone.
_EMPTY = re.compile(r"(<tbody>\s*<tr>\s*<th[^>]*>[^<]*</th>\s*</tr>)(\s*</tbody>)")
_NONE = r"\1<tr><td class='none' colspan='99'>none</td></tr>\2"


class Webroot(website.Root):
    """Named as ``webroot`` in ``scrapyd.conf``."""

    def __init__(self, config: Config, app: Application):
        super().__init__(config, app)
        self.putChild(b"", HomePage(self))
        self.putChild(b"jobs", Jobs(self))
        self.putChild(b"favicon.svg", Data(_ICON, "image/svg+xml"))
        if self.logs_dir:
            self.putChild(b"logs", Logs(self.logs_dir, "text/plain"))

    def getChild(self, path: bytes, txrequest: TxRequest) -> NotFound:
        return NotFound()


class Jobs(website.Jobs):
    """scrapyd's table of jobs, unchanged for programs, with buttons that the gate accepts."""

    def render_GET(self, txrequest: TxRequest) -> bytes:
        """scrapyd's table, in which texts are already escaped, in a page of ours."""
        self.token = form_token(txrequest)
        done = DONE.get(txrequest.args.get(b"done", [b""])[0].decode("utf-8", "replace"))
        try:
            page = super().render_GET(txrequest)
        except DATABASE_ERRORS as error:
            reason = view_error(error)
            return error_page(txrequest, reason.status, str(reason), section="jobs")
        found = _TABLE.search(page if isinstance(page, str) else page.decode())
        table = _EMPTY.sub(_NONE, _INLINE.sub("", found[0] if found else ""))
        marked = Markup(table)  # noqa: S704
        named = {"section": "jobs", "title": "Jobs", "table": marked, "done": done}
        return send_page(txrequest, "scrapyd.html", **named)

    def render_POST(self, txrequest: TxRequest) -> bytes:
        return act(self.root, txrequest, "jobs")

    def prepare_running(self) -> str:
        """What runs on any node, each with its name."""
        here = [(run, this_node().name) for run in self.root.launcher.processes.values()]
        runs = [*here, *((run, run.node) for run in running_elsewhere())]
        return "\n".join(
            self.prepare_row(
                {
                    "Project": escape(run.project),
                    "Spider": escape(run.spider),
                    "Job": escape(run.job),
                    "PID": f"{run.pid} on {escape(node)}",
                    "Start": website.no_microseconds(run.start_time),
                    "Runtime": website.no_microseconds(datetime.now() - run.start_time),  # noqa: DTZ005
                    "Log": self.html_log_url(run),
                    "Cancel": self.cancel_button(run.project, run.job),
                }
            )
            for run, node in runs
        )

    def cancel_button(self, project: str, job: str) -> str:
        form: str = super().cancel_button(project, job)
        action = '<input type="hidden" name="action" value="cancel">'
        form = form.replace("/cancel.json", "/jobs")
        return form.replace("</form>", f"{token_field(self.token)}{action}</form>")


TAIL_BYTES = 256 * 1024
LATEST = 30  # logs on the first page
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

    def render(self, txrequest: TxRequest) -> bytes:
        if not wants_html(txrequest):
            page: bytes = super().render(txrequest)
            return page
        folder, newest = Path(self.path), attrgetter("modified_at")
        entries = sorted((_entry(each, folder) for each in folder.iterdir()), key=newest)[::-1]
        is_root = len(_parts(txrequest)) == 1
        logs = folder.glob("*/*/*.log") if is_root else ()
        latest = nlargest(LATEST, (_entry(log, folder) for log in logs), key=newest)
        return _log_page(txrequest, "logs.html", entries=entries, latest=latest)


class Logs(website.File):
    """scrapyd's own folders of files as pages, and the logs of other nodes' jobs."""

    childNotFound = NotFound()

    def getChild(self, path: bytes, txrequest: TxRequest) -> Resource:
        """Other nodes' logs are in the database, even those of nodes that are gone."""
        parts = [part.decode("utf-8", "replace") for part in (path, *txrequest.postpath)]
        try:
            found = self.child(path)
            for part in parts[1:]:
                found = found.child(part) if found is not None else None
        except InsecurePath:
            return NotFound()
        if len(parts) == _PARTS and parts[-1].endswith(".log") and not (found and found.exists()):
            txrequest.postpath = []
            return LogTail(parts[0], parts[1], parts[2].removesuffix(".log"))
        child: Resource = super().getChild(path, txrequest)
        return child

    def redirect(self, txrequest: TxRequest) -> bytes:
        """To the folder with a slash at its end, by a relative address, as all links are."""
        name = txrequest.uri.partition(b"?")[0].rpartition(b"/")[2]
        txrequest.setResponseCode(302)
        txrequest.setHeader("Location", f"{name.decode('latin-1')}/")
        return b""

    def directoryListing(self) -> Folder:
        return Folder(
            self.path,
            self.listNames(),
            self.contentTypes,
            self.contentEncodings,
            self.defaultType,
        )

    def render_GET(self, txrequest: TxRequest) -> bytes | int:
        if not (wants_page(txrequest) and self.path.endswith(".log") and self.isfile()):
            file: bytes | int = super().render_GET(txrequest)
            return file
        size, tail = _tail(self.path)
        whole = size <= TAIL_BYTES
        return log_page(txrequest, tail, size, "" if whole else "These are its last lines.")


class LogTail(Resource):
    """The end of a job's log, as its node last sent it."""

    isLeaf = True

    def __init__(self, project: str, spider: str, job: str):
        super().__init__()
        self.names = (project, spider, job)

    def render_GET(self, txrequest: WebRequest) -> int | bytes:
        def answer(found: tuple[str, str] | Failure | None) -> bytes:
            if isinstance(found, Failure):
                reason = view_error(found.value)
                return error_page(txrequest, reason.status, str(reason), section="logs/")
            if found is None:
                return NotFound().render(txrequest)
            node, tail = found
            notice = f"The last {OTHERS_BYTES} bytes at most, from {node}:"
            if wants_page(txrequest):
                return log_page(txrequest, tail, len(tail.encode()), notice)
            txrequest.setHeader("Content-Type", "text/plain; charset=utf-8")
            return f"{notice}\n\n{tail}".encode()

        try:  # not in the threads of the heartbeat, which many requests would keep waiting
            found = page_workers().run(self.names, find_tail, *self.names)
        except ViewError as error:
            return error_page(txrequest, error.status, str(error))
        return send_later(found, txrequest, answer)


def wants_page(txrequest: TxRequest) -> bool:
    """Whether a person asks, and not for the file itself."""
    return wants_html(txrequest) and b"raw" not in txrequest.args


def log_page(txrequest: TxRequest, text: str, size: int, notice: str) -> bytes:
    """A log, whose file has ``size`` bytes, or its end; the ``notice`` says so."""
    lines = [(visible(line), _kind(line)) for line in text.splitlines()]
    return _log_page(txrequest, "log.html", lines=lines, size=formatFileSize(size), notice=notice)


def _entry(file: Path, folder: Path) -> Entry:
    status, name = file.stat(), file.relative_to(folder).as_posix()
    is_folder = file.is_dir()
    slash, size = ("/", "") if is_folder else ("", formatFileSize(status.st_size))
    changed_at = datetime.fromtimestamp(status.st_mtime, UTC)
    return Entry(f"{name}{slash}", f"{quote(name)}{slash}", size, changed_at)


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


def _log_page(txrequest: TxRequest, template: str, **values: object) -> bytes:
    told = {"parts": _parts(txrequest), "root": root_of(txrequest)}
    return send_page(txrequest, template, section="logs/", **told, **values)


def _parts(txrequest: TxRequest) -> list[str]:
    return unquote(txrequest.path.decode("latin-1")).strip("/").split("/")
