"""A page inside scrapyd: from the database, in a thread, by a template, to HTML or a file."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import urlencode, urlsplit

import psycopg
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from scrapy.utils.project import get_project_settings
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from coinspider.daemon.database import database_url, page_connection, page_workers
from coinspider.daemon.gate.browsers import TxRequest, policy, source_of, wants_html
from coinspider.daemon.gate.sessions import form_token, logout_token
from coinspider.daemon.views.cells import age, all_digits, amount, cell, change, due, time, until
from coinspider.errors import (
    ConfigurationError,
    DatabaseUnreachableError,
    NothingCrawledError,
    ViewError,
)
from coinspider.store.database_url import describe
from coinspider.text import exact, readable, readable_seconds, visible

VIEWS = {
    "": "Overview",
    "coins": "Coins",
    "crawls": "Crawls",
    "rejected": "Rejected",
    "jobs": "Jobs",
    "logs/": "Logs",
}
_TEMPLATES = Path(__file__).with_name("templates")
STYLE = _TEMPLATES.joinpath("style.css").read_text()
# Without it nothing but convenience is missing.
SCRIPT = _TEMPLATES.joinpath("script.js").read_text()
# Hosts from which coins' logos are shown; without any, nobody else learns who looks at what.
LOGO_HOSTS = tuple(get_project_settings().get("VIEW_LOGO_HOSTS").replace(",", " ").split())
POLICY = policy(
    style_src=source_of(STYLE),
    script_src=source_of(SCRIPT),
    connect_src="'self'",
    img_src=" ".join(["'self'", *(f"https://{host}" for host in LOGO_HOSTS)]),
)
HTML = "text/html; charset=utf-8"
NOT_FOUND = "There is no such page."
BROKEN = "The page can't be made: see scrapyd's log."
NUMBER_MAX = 1_000_000_000
# All values of checkboxes with the same name count.
_LISTS = ("columns",)
MEMORY_SIZE = 256  # answers
Arguments = Mapping[str, str]
Body = str | bytes
T = TypeVar("T")
log = Logger()


def link(arguments: Arguments, **changes: object) -> str:
    """The query of the same page with other arguments; ``None`` removes one."""
    merged = {**arguments, **changes}
    kept = {name: value for name, value in merged.items() if value is not None}
    return "?" + urlencode(kept, safe=",")


def token_field(token: str) -> Markup:
    """The field of each form that changes something: see :func:`form_token`."""
    return Markup('<input type="hidden" name="token" value="{}">').format(token)


def hue(text: str) -> int:
    """A colour for a text, the same each time."""
    return int.from_bytes(sha256(text.encode()).digest()[:2], "big") % 360


environment = Environment(
    loader=PackageLoader("coinspider.daemon.views"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.filters |= {
    "readable": readable,
    "exact": exact,
    "visible": visible,
    "hue": hue,
    "duration": readable_seconds,
    "host": lambda address: urlsplit(address).hostname or address,
    "combine": lambda first, second: {**second, **first},
    "age": age,
}
environment.globals |= {
    "navigation": VIEWS,
    "style": STYLE,
    "script": SCRIPT,
    "link": link,
    "token_field": token_field,
    "logo_hosts": LOGO_HOSTS,
    "root": "",
    "section": None,
    "logout": "",
    "cell": cell,
    "amount": amount,
    "change": change,
    "time": time,
    "until": until,
    "due": due,
    "all_digits": all_digits,
}


def render(template: str, **values: Any) -> str:
    return environment.get_template(template).render(values)


def send_head(txrequest: Any, status: int, content_type: str = HTML) -> None:
    txrequest.setResponseCode(status)
    txrequest.setHeader("Content-Type", content_type)
    txrequest.setHeader("Content-Security-Policy", POLICY)


def error_page(txrequest: Any, status: int, message: str, **values: Any) -> bytes:
    """For a person; its links lead home from any address."""
    send_head(txrequest, status)
    root = "../" * (txrequest.path.count(b"/") - 1)
    return render("error.html", status=status, message=message, root=root, **values).encode()


def login_page(txrequest: TxRequest, status: int, **values: Any) -> bytes:
    send_head(txrequest, status)
    return render("login.html", **values).encode()


class NotFound(Resource):
    """Where nothing is: a page for people, one line for programs."""

    isLeaf = True

    def render(self, txrequest: Any) -> bytes:
        if wants_html(txrequest):
            return error_page(txrequest, 404, NOT_FOUND)
        txrequest.setResponseCode(404)
        txrequest.setHeader("Content-Type", "text/plain; charset=utf-8")
        return f"{NOT_FOUND}\n".encode()


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
        return render("error.html", section=self.section, status=error.status, message=str(error))

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
                raise ViewError(404, NOT_FOUND)
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
                503,
                f"The database can't be asked ({type(error).__name__}): it is"
                f" {describe(database_url())}. Is PostgreSQL running, and is DATABASE_URL right?",
            )
    raise error


class Memory(Generic[T]):
    """Keeps the latest answers for some seconds; for threads."""

    def __init__(self, seconds: float, now: Callable[[], float] = monotonic):
        self.seconds, self._now = seconds, now
        self._kept: OrderedDict[object, tuple[float, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: object, find: Callable[[], T]) -> T:
        """The answer for a key, computed again if it is too old; two threads may do so at once."""
        with self._lock:
            until, kept = self._kept.get(key, (0.0, None))
        if kept is not None and self._now() < until:
            return kept
        found = find()
        with self._lock:
            self._kept[key] = self._now() + self.seconds, found
            self._kept.move_to_end(key)
            if len(self._kept) > MEMORY_SIZE:
                self._kept.popitem(last=False)
        return found
