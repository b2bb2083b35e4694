"""A page inside scrapyd: from the database, in a thread, by a template, to HTML or a file."""

import re
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import psycopg
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from scrapy.utils.project import get_project_settings
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource

from coinspider.daemon.database import (
    page_connection,
    page_workers,
    send_later,
    view_error,
)
from coinspider.daemon.gate.browsers import (
    TxRequest,
    policy,
    source_of,
    wants_html,
)
from coinspider.daemon.gate.sessions import form_token, logout_token
from coinspider.daemon.protocols import Root, WebRequest
from coinspider.daemon.views.cells import age, all_digits, amount, cell, change, due, time, until
from coinspider.daemon.views.preferences import (
    PREFERENCES,
    STARS,
    given_list,
    keep_preference,
    shows_logos,
    watch_list,
    watcher,
)
from coinspider.errors import (
    ViewError,
)
from coinspider.export.feeds import write_csv
from coinspider.installation import program_name
from coinspider.store.fetch import Listing
from coinspider.store.tables import list_watched, watch
from coinspider.text import exact, exact_json, readable, readable_seconds, visible

WATCHED = "coins?watched=1"
VIEWS = {
    "": "Overview",
    "coins": "Coins",
    WATCHED: "Watch list",
    "crawls": "Crawls",
    "rejected": "Rejected",
    "table/": "Tables",
    "jobs": "Jobs",
    "logs/": "Logs",
}
_TEMPLATES = Path(__file__).with_name("templates")
STYLE = _TEMPLATES.joinpath("style.css").read_text()
# Without it nothing but convenience is missing.
SCRIPT = _TEMPLATES.joinpath("script.js").read_text()
# Hosts from which a browser may load coins' logos, and so tell them who looks at what: it does so
# only after a click.
_SETTINGS = get_project_settings()
LOGO_HOSTS = tuple(_SETTINGS.get("VIEW_LOGO_HOSTS").replace(",", " ").split())
_POLICIES = [
    policy(
        style_src=source_of(STYLE),
        script_src=source_of(SCRIPT),
        connect_src="'self'",
        img_src=" ".join(["'self'", *(f"https://{host}" for host in hosts)]),
    )
    for hosts in ((), LOGO_HOSTS)
]
HTML = "text/html; charset=utf-8"
NOT_FOUND = "There is no such page."
BROKEN = "The page can't be made: see scrapyd's log."
NUMBER_MAX = 1_000_000_000
_RETRY_AFTER = "5"  # seconds
# All values of checkboxes with the same name count.
_LISTS = ("columns",)
WITH_WATCH_LIST = ("", "coins")  # sections whose pages know it
Arguments = Mapping[str, str]
Body = str | bytes
Frame = dict[str, object]
"""What the templates of all views need: section, way to the root, tokens of log-out and forms."""
View = Callable[[psycopg.Connection, Arguments, Frame], Body]
"""Makes a body. Raises :exc:`ViewError`, and :exc:`ConfigurationError` for a bad argument."""
Found = tuple[int, Body]
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


_ADDRESS = re.compile(r"https?://(?:[^/\s]*@)?([\w[][^/\s?#]*)(\S*)")


def brief(text: str) -> str:
    """A sentence with what says whose they are in place of its addresses."""
    return _ADDRESS.sub(lambda found: found[1] + found[2][len(found[2].rstrip(":;,.)")) :], text)


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
    "brief": brief,
    "readable": readable,
    "exact": exact,
    "visible": visible,
    "hue": hue,
    "duration": readable_seconds,
    "host": lambda address: urlsplit(address).hostname or address,
    "combine": lambda first, second: {**second, **first},
    "age": age,
    "quoted": partial(quote, safe=""),
}
environment.globals |= {
    "navigation": VIEWS,
    "logo_hosts": LOGO_HOSTS,
    "style": STYLE,
    "script": SCRIPT,
    "link": link,
    "token_field": token_field,
    "root": "",
    "section": None,
    "logout": "",
    "watcher": "",
    "program": program_name,
    "cell": cell,
    "amount": amount,
    "change": change,
    "time": time,
    "until": until,
    "due": due,
    "all_digits": all_digits,
}


def render(template: str, **values: object) -> str:
    return environment.get_template(template).render(values)


def send_head(txrequest: TxRequest, status: int, content_type: str = HTML) -> None:
    txrequest.setResponseCode(status)
    txrequest.setHeader("Content-Type", content_type)
    if status == 503:
        txrequest.setHeader("Retry-After", _RETRY_AFTER)
    txrequest.setHeader("Content-Security-Policy", _POLICIES[shows_logos(txrequest)])


def send_page(txrequest: TxRequest, template: str, **values: object) -> bytes:
    """A page that is not from the database."""
    send_head(txrequest, 200)
    page = render(template, logout=logout_token(txrequest), **values).encode()
    txrequest.setHeader("Content-Length", str(len(page)))
    return page


def error_page(txrequest: TxRequest, status: int, message: str, **values: object) -> bytes:
    """For a person; its links lead home from any address."""
    send_head(txrequest, status)
    told = {"status": status, "message": message, "root": root_of(txrequest)}
    return render("error.html", **told, **values).encode()


def root_of(txrequest: TxRequest) -> str:
    """From a page below the first level, the way home."""
    return "../" * (txrequest.path.count(b"/") - 1)


def login_page(txrequest: TxRequest, status: int, **values: object) -> bytes:
    send_head(txrequest, status)
    return render("login.html", **values).encode()


class NotFound(Resource):
    """Where nothing is: a page for people, one line for programs."""

    isLeaf = True

    def render(self, txrequest: TxRequest) -> bytes:
        if wants_html(txrequest):
            return error_page(txrequest, 404, NOT_FOUND)
        txrequest.setResponseCode(404)
        txrequest.setHeader("Content-Type", "text/plain; charset=utf-8")
        return f"{NOT_FOUND}\n".encode()


def as_json(**fields: object) -> bytes:
    return exact_json(fields) + b"\n"


def as_csv(listing: Listing) -> bytes:
    """With all digits; names can't become formulas in a spreadsheet."""
    file = StringIO()
    write_csv(file, listing.columns, listing.rows)
    return file.getvalue().encode()


class Format(NamedTuple):
    """How an answer is sent: its type, its name as a file, and an error in the same form."""

    content_type: str
    file_name: str | None = None
    error: Callable[[ViewError, Frame], Body] = lambda error, frame: render(
        "error.html", **frame, status=error.status, message=str(error)
    )


PAGE = Format(HTML)
JSON = Format(
    "application/json", None, lambda error, _: as_json(status="error", message=str(error))
)
CSV = "text/csv; charset=utf-8"


class DatabaseView(Resource):
    """``GET`` reads the database in a thread, and sends what the ``answer`` makes of it.

    ``prepare`` gives the answer, with all that is known without the database; it runs outside the
    thread. ``section`` is which of :data:`VIEWS` it belongs to. A view that ``has_forms`` has
    buttons that change something, which need a token; those of coins know the watch list, and
    ``POST`` changes that of an account.
    """

    isLeaf = True

    def __init__(
        self,
        root: Root,
        prepare: Callable[[Root], View],
        section: str | None = None,
        form: Format = PAGE,
        has_forms: bool = False,
    ):
        super().__init__()
        self.root, self.prepare, self.section, self.form = root, prepare, section, form
        self.has_forms, self.has_stars = has_forms, section in WITH_WATCH_LIST

    def render_GET(self, txrequest: WebRequest) -> int | bytes:
        arguments = _arguments(txrequest)
        frame = self._frame(txrequest)
        if self.has_stars and arguments.keys() & PREFERENCES:
            if "logos" in arguments or not frame["watcher"]:
                keep_preference(txrequest, arguments)
            return _lead_back(txrequest, arguments)
        answer = self.prepare(self.root)
        asked = (repr(answer), *txrequest.postpath, *sorted(arguments.items()), repr(frame))
        return self.respond(self._ask(asked, answer, txrequest, frame), txrequest, frame)

    def render_POST(self, txrequest: WebRequest) -> int | bytes:
        """Watch a coin or no longer, by a form whose token the gate has checked; see the page."""
        arguments, frame = _arguments(txrequest), self._frame(txrequest)
        if not (frame.get("watcher") and arguments.keys() & STARS):
            raise UnsupportedMethod([b"GET", b"HEAD"])
        found = self._ask(object(), _change_watch_list, txrequest, frame)
        found.addCallback(
            lambda told: (303, _lead_back(txrequest, arguments)) if told[0] == 200 else told
        )
        return self.respond(found, txrequest, frame)

    def _frame(self, txrequest: WebRequest) -> Frame:
        frame: Frame = {
            "section": self.section,
            "root": root_of(txrequest),
            "logout": logout_token(txrequest),
        }
        if self.has_stars:
            frame["watcher"] = watcher(txrequest)
            frame["watched"] = watch_list(txrequest)
            frame["logos"] = shows_logos(txrequest)
        if self.has_forms or frame.get("watcher"):
            frame["token"] = form_token(txrequest)
        return frame

    def _ask(
        self, asked: Hashable, answer: View, txrequest: WebRequest, frame: Frame
    ) -> Deferred[Found]:
        """What a thread finds, for all who have ``asked`` for the same meanwhile."""
        arguments = _arguments(txrequest)
        try:
            workers = page_workers(is_whole="all" in arguments)
            return workers.run(asked, self._answer, answer, txrequest.postpath, arguments, frame)
        except ViewError as error:
            return succeed((error.status, self.form.error(error, frame)))

    def respond(self, found: Deferred[Found], txrequest: WebRequest, frame: Frame) -> int:
        """Send what the thread gives, or a page that says why there is nothing."""

        def body(result: Found | Failure) -> bytes:
            if isinstance(result, Failure):
                log.failure("A page can't be made", failure=result)
                result = 500, self.form.error(ViewError(500, BROKEN), frame)
            return self._body(*result, txrequest)

        return send_later(found, txrequest, body)

    def _answer(
        self, answer: View, below: list[bytes], arguments: Arguments, frame: Frame
    ) -> Found:
        try:
            if below:
                raise ViewError(404, NOT_FOUND)
            with page_connection() as connected:
                if name := frame.get("watcher"):
                    frame = frame | {"watched": list_watched(connected, str(name))}
                return 200, answer(connected, arguments, frame)
        except Exception as error:
            reason = view_error(error)
            return reason.status, reason.page or self.form.error(reason, frame)

    def _body(self, status: int, body: Body, txrequest: WebRequest) -> bytes:
        file_name = self.form.file_name if status == 200 else None
        is_error_page = self.form.file_name and not file_name
        send_head(txrequest, status, HTML if is_error_page else self.form.content_type)
        if file_name:
            txrequest.setHeader("Content-Disposition", f'attachment; filename="{file_name}"')
        return body if isinstance(body, bytes) else body.encode()


def _change_watch_list(connected: psycopg.Connection, arguments: Arguments, frame: Frame) -> Body:
    added = [*given_list(arguments), *filter(None, [arguments.get("star")])]
    watch(connected, str(frame["watcher"]), added, arguments.get("unstar"))
    return b""


def _lead_back(txrequest: TxRequest, arguments: Arguments) -> bytes:
    """To the page on which something was chosen."""
    txrequest.setResponseCode(303)
    same = link(arguments, watch=None, token=None, **dict.fromkeys(PREFERENCES))
    # "?" alone leads some programs to the address that they come from.
    name = txrequest.path.rpartition(b"/")[2].decode() or "./"
    txrequest.setHeader("Location", f"{name}{same}")
    return b""


def page_of(
    answer: View, section: str | None = None, form: Format = PAGE
) -> Callable[[Root], DatabaseView]:
    """A view whose answer needs nothing but the database."""
    return partial(DatabaseView, prepare=lambda _: answer, section=section, form=form)


def number(arguments: Arguments, name: str, default: int, greatest: int = NUMBER_MAX) -> int:
    """An argument from 1 to ``greatest``. Raises :exc:`ViewError`."""
    text = arguments.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 11 and 1 <= int(text) <= greatest):
        raise ViewError(400, f"{name}={text[:40]} is not a number from 1 to {greatest}")
    return int(text)


def _arguments(txrequest: TxRequest) -> dict[str, str]:
    found = {
        name.decode("utf-8", "replace"): [value.decode("utf-8", "replace") for value in values]
        for name, values in txrequest.args.items()
    }
    return {
        name: ",".join(values) if name in _LISTS else values[-1] for name, values in found.items()
    }
