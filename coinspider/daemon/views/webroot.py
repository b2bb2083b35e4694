"""scrapyd's own site in coinspider's layout: start page, jobs, logs."""

import re
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from markupsafe import Markup
from scrapyd import Config, website
from twisted.web.static import Data

from coinspider.daemon.gate.sessions import form_token, logout_token
from coinspider.daemon.nodes import running_elsewhere, this_node
from coinspider.daemon.views.crawls import DONE, act
from coinspider.daemon.views.home import HomePage
from coinspider.daemon.views.logs import Logs
from coinspider.daemon.views.view import NotFound, render, send_head, token_field

_ICON = Path(__file__).with_name("templates").joinpath("favicon.svg").read_bytes()
_TABLE = re.compile(r"<table.*</table>", re.DOTALL)
# What the pages' policy forbids; nothing else in scrapyd's rows is affected.
_INLINE = re.compile(r' (style|onsubmit)="[^"]*"')
# A group without a job: its heading alone.
_EMPTY = re.compile(r"(<tbody>\s*<tr>\s*<th[^>]*>[^<]*</th>\s*</tr>)(\s*</tbody>)")


class Webroot(website.Root):
    """Named as ``webroot`` in ``scrapyd.conf``."""

    def __init__(self, config: Config, app: Any):
        super().__init__(config, app)
        self.putChild(b"", HomePage(self))
        self.putChild(b"jobs", Jobs(self))
        self.putChild(b"favicon.svg", Data(_ICON, "image/svg+xml"))
        if self.logs_dir:
            self.putChild(b"logs", Logs(self.logs_dir, "text/plain"))

    def getChild(self, path: bytes, txrequest: Any) -> NotFound:
        return NotFound()


class Jobs(website.Jobs):
    """scrapyd's table of jobs, unchanged for programs, with buttons that the gate accepts."""

    def render_GET(self, txrequest: Any) -> bytes:
        self.token = form_token(txrequest)
        done = DONE.get(txrequest.args.get(b"done", [b""])[0].decode("utf-8", "replace"))
        return _framed(txrequest, super().render_GET(txrequest), "jobs", "Jobs", done)

    def render_POST(self, txrequest: Any) -> bytes:
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


def _framed(txrequest: Any, page: bytes | str, section: str, title: str, done: str | None) -> bytes:
    """The table of one of scrapyd's pages, in which texts are already escaped."""
    text = page if isinstance(page, str) else page.decode()
    found = _TABLE.search(text)
    table = _INLINE.sub("", found[0]) if found else ""
    table = _EMPTY.sub(r"\1<tr><td class='none' colspan='99'>none</td></tr>\2", table)
    send_head(txrequest, 200)
    framed = render(
        "scrapyd.html",
        section=section,
        title=title,
        table=Markup(table),  # noqa: S704
        done=done,
        logout=logout_token(txrequest),
    ).encode()
    txrequest.setHeader("Content-Length", str(len(framed)))
    return framed
