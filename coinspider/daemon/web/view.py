"""Pages inside scrapyd: reads the database in a thread, and responds with HTML or a file."""

from typing import Any, ClassVar

import psycopg
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from coinspider.daemon.database import database_url, page_connection, page_workers
from coinspider.daemon.gate.sessions import form_token, logout_token
from coinspider.daemon.web.templating import POLICY, Arguments, link, render
from coinspider.errors import (
    ConfigurationError,
    DatabaseUnreachableError,
    NothingCrawledError,
    ViewError,
)
from coinspider.store.database_url import describe

__all__ = ["Arguments", "Body", "DatabaseView", "link", "number", "render"]

log = Logger()
NUMBER_MAX = 1_000_000_000
# All values of checkboxes with the same name count.
_LISTS = ("columns",)
HTML = "text/html; charset=utf-8"
BROKEN = "The page can't be made: see scrapyd's log."
Body = str | bytes


class DatabaseView(Resource):
    """``GET`` reads the database in a thread, and responds with the result of :meth:`answer`."""

    isLeaf = True
    section: ClassVar[str | None] = None
    """Which of :data:`VIEWS` it belongs to."""
    has_forms: ClassVar[bool] = False
    """Whether it has buttons that change something, which need a token."""
    content_type: ClassVar[str] = HTML
    file_name: ClassVar[str | None] = None

    def __init__(self, root: Any):
        super().__init__()
        self.root = root

    def prepare(self) -> dict[str, Any]:
        """What is known without the database; runs outside the thread."""
        return {}

    def answer(self, connected: psycopg.Connection, arguments: Arguments, **known: Any) -> Body:
        """The body. Raises :exc:`ViewError`, and :exc:`ConfigurationError` for a bad argument."""
        raise NotImplementedError

    def answer_error(self, error: ViewError) -> Body:
        return render(
            "error.html", section=self.section, status=error.status, message=str(error)
        )  # fmt: skip

    def render_GET(self, txrequest: Any) -> int:
        known = self.prepare() | {"section": self.section, "logout": logout_token(txrequest)}
        if self.has_forms:
            known["token"] = form_token(txrequest)
        arguments, below = _arguments(txrequest), txrequest.postpath
        asked = (type(self), *below, *sorted(arguments.items()), repr(known))
        try:
            answer = page_workers().run(asked, self._answer, below, arguments, known)
        except ViewError as error:
            answer = succeed((error.status, self.answer_error(error)))
        self.respond(answer, txrequest)
        return NOT_DONE_YET

    def respond(self, answer: Deferred[Any], txrequest: Any) -> None:
        """Send what the thread gives, or a page that says why there is nothing."""
        answer.addBoth(self._send, txrequest)
        # If that page can't be made either, the client must not wait for ever.
        answer.addErrback(txrequest.processingFailed)

    def _answer(
        self, below: list[bytes], arguments: Arguments, known: dict[str, Any]
    ) -> tuple[int, Body]:
        try:
            if below:
                raise ViewError(404, "There is no such page.")
            with page_connection() as connected:
                return 200, self.answer(connected, arguments, **known)
        except Exception as error:
            reason = _view_error(error)
            return reason.status, reason.page or self.answer_error(reason)

    def _send(self, result: Any, txrequest: Any) -> None:
        if not txrequest.channel:  # the client has not waited
            return
        if isinstance(result, Failure):
            log.failure("A page can't be made", failure=result)
            result = 500, self.answer_error(ViewError(500, BROKEN))
        status, body = result
        is_page = self.file_name is None or status != 200
        send_head(txrequest, status, HTML if is_page and self.file_name else self.content_type)
        if not is_page:
            txrequest.setHeader("Content-Disposition", f'attachment; filename="{self.file_name}"')
        txrequest.write(body if isinstance(body, bytes) else body.encode())
        txrequest.finish()


def send_head(txrequest: Any, status: int, content_type: str = HTML) -> None:
    txrequest.setResponseCode(status)
    txrequest.setHeader("Content-Type", content_type)
    txrequest.setHeader("Content-Security-Policy", POLICY)


def number(arguments: Arguments, name: str, default: int, greatest: int = NUMBER_MAX) -> int:
    """An argument from 1 to ``greatest``. Raises :exc:`ViewError`."""
    text = arguments.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 11 and 1 <= int(text) <= greatest):
        raise ViewError(400, f"{name}={text[:40]} is not a number from 1 to {greatest}")
    return int(text)


def _arguments(txrequest: Any) -> dict[str, str]:
    found = {
        name.decode("utf-8", "replace"): [value.decode("utf-8", "replace") for value in values]
        for name, values in txrequest.args.items()
    }
    return {
        name: ",".join(values) if name in _LISTS else values[-1] for name, values in found.items()
    }


def _view_error(error: Exception) -> ViewError:
    match error:
        case ViewError():
            return error
        case NothingCrawledError():
            return ViewError(404, f"There is nothing to see: {error}")
        case ConfigurationError() | psycopg.DataError():
            return ViewError(400, str(error))
        case DatabaseUnreachableError() | psycopg.Error():
            return ViewError(
            503, f"The database can't be asked ({type(error).__name__}): it is"
            f" {describe(database_url())}. Is PostgreSQL running, and is DATABASE_URL right?",
        )  # fmt: skip
    raise error
