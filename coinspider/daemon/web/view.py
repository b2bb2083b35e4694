"""HTML pages inside scrapyd: a template, and what it shows, read in a thread."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import psycopg
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from coinspider.daemon.database import connection
from coinspider.daemon.gate.headers import policy, source_of
from coinspider.errors import (
    ConfigurationError,
    DatabaseUnreachableError,
    NothingCrawledError,
    ViewError,
)
from coinspider.text import exact, readable

log = Logger()
VIEWS = {"coins": "Coins", "crawls": "Crawls", "rejected": "Rejected records"}
NUMBER_MAX = 1_000_000_000
STYLE = Path(__file__).with_name("templates").joinpath("style.css").read_text()
# Nothing is loaded and no script runs, whatever a coin's name may be.
POLICY = policy(style_src=source_of(STYLE))
Arguments = Mapping[str, str]


def title(column: str) -> str:
    """A column's heading."""
    return column.replace("_", " ").capitalize()


def link(arguments: Arguments, **changes: object) -> str:
    """The query of the same page with other arguments; ``None`` takes one away."""
    merged = {**arguments, **changes}
    return f"?{urlencode({name: value for name, value in merged.items() if value is not None})}"


def token_field(token: str) -> Markup:
    """The field of each form that changes something: see :func:`form_token`."""
    return Markup('<input type="hidden" name="token" value="{}">').format(token)


environment = Environment(
    loader=PackageLoader("coinspider.daemon.web"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
environment.filters |= {"readable": readable, "exact": exact, "title": title}
environment.globals |= {
    "navigation": VIEWS, "style": STYLE, "link": link, "token_field": token_field
}  # fmt: skip


class DatabaseView(Resource):
    """``GET`` asks the database in a thread, and answers with what :meth:`answer` makes of it."""

    isLeaf = True
    content_type: ClassVar[str] = "text/html; charset=utf-8"

    def __init__(self, root: Any):
        super().__init__()
        self.root = root

    def prepare(self) -> dict[str, Any]:
        """What is known without the database; not in a thread."""
        return {}

    def answer(self, connected: psycopg.Connection, arguments: Arguments, **known: Any) -> str:
        """The body. Raises :exc:`ViewError`, and :exc:`ConfigurationError` for a bad argument."""
        raise NotImplementedError

    def answer_error(self, error: ViewError) -> str:
        return render("error.html", status=error.status, message=str(error), failed_jobs=[])

    def render_GET(self, txrequest: Any) -> int:
        arguments = {
            name.decode("utf-8", "replace"): values[-1].decode("utf-8", "replace")
            for name, values in txrequest.args.items()
        }
        known = self.prepare()
        deferToThread(self._answer, txrequest.postpath, arguments, known).addBoth(
            self._send, txrequest
        )
        return NOT_DONE_YET

    def _answer(
        self, below: list[bytes], arguments: Arguments, known: dict[str, Any]
    ) -> tuple[int, str]:
        try:
            if below:
                raise ViewError(404, "There is no such page.")
            with connection() as connected:
                return 200, self.answer(connected, arguments, **known)
        except Exception as error:
            reason = _view_error(error)
            return reason.status, self.answer_error(reason)

    def _send(self, result: Any, txrequest: Any) -> None:
        if not txrequest.channel:  # the client has not waited for it
            return
        if isinstance(result, Failure):
            log.failure("A page can't be made", failure=result)
            result = 500, "the page can't be made: see scrapyd's log\n"
        status, body = result
        txrequest.setResponseCode(status)
        txrequest.setHeader("Content-Type", self.content_type)
        txrequest.setHeader("Content-Security-Policy", POLICY)
        txrequest.write(body.encode())
        txrequest.finish()


def render(template: str, **values: Any) -> str:
    return environment.get_template(template).render(values)


def number(arguments: Arguments, name: str, default: int, greatest: int = NUMBER_MAX) -> int:
    """An argument from 1 to ``greatest``. Raises :exc:`ViewError`."""
    text = arguments.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 11 and 1 <= int(text) <= greatest):
        raise ViewError(400, f"{name}={text[:40]} is not a number from 1 to {greatest}")
    return int(text)


def _view_error(error: Exception) -> ViewError:
    if isinstance(error, ViewError):
        return error
    if isinstance(error, NothingCrawledError):
        return ViewError(404, f"There is nothing to see: {error}")
    if isinstance(error, (ConfigurationError, psycopg.DataError)):
        return ViewError(400, str(error))
    if isinstance(error, (DatabaseUnreachableError, psycopg.Error)):
        return ViewError(503, f"The database can't be asked: {type(error).__name__}")
    raise error
