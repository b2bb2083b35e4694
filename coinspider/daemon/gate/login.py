"""The pages to log in and out, and the response to a denied request."""

import json
import re
from collections.abc import Callable
from math import ceil
from typing import NamedTuple, NoReturn
from urllib.parse import quote

from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource

from coinspider.daemon.gate.browsers import TxRequest, header, prefix_of, wants_html
from coinspider.daemon.gate.gate import Gate
from coinspider.daemon.gate.sessions import form_token, session_id, set_session
from coinspider.errors import RequestDeniedError

_PATH = re.compile(r"/(?![/\\])[!-~]*")
# A strict cookie is not sent when a link on another site is followed, but it is when the page
# reloads itself.
_AGAIN = '<!DOCTYPE html><title>coinspider</title><meta http-equiv="refresh" content="0">'


class Pages(NamedTuple):
    """The views' pages that the gate shows: for an error, and to log in."""

    error: Callable[..., bytes]
    login: Callable[..., bytes]


class Denial(Resource):
    """One line, as JSON if requested; people get a page that says so, or the login page."""

    isLeaf = True

    def __init__(self, denial: RequestDeniedError, pages: Pages):
        super().__init__()
        self.denial, self.pages = denial, pages

    def render(self, txrequest: TxRequest) -> bytes:
        denial = self.denial
        txrequest.setResponseCode(denial.status)
        _set_wait(txrequest, denial)
        if denial.status == 401 and wants_html(txrequest):
            return _page(self.pages, txrequest, 401, "")
        if denial.status == 403 and wants_html(txrequest):
            page = txrequest.path.rpartition(b"/")[2].decode("utf-8", "replace")
            return self.pages.error(
                txrequest, 403, f"{str(denial).capitalize()}.", back=f"./{page}"
            )
        if denial.status == 401:
            txrequest.setHeader("WWW-Authenticate", 'Basic realm="Scrapyd", charset="UTF-8"')
        if txrequest.path.endswith(b".json"):
            txrequest.setHeader("Content-Type", "application/json")
            return json.dumps({"status": "error", "message": str(denial)}).encode() + b"\n"
        txrequest.setHeader("Content-Type", "text/plain; charset=utf-8")
        return f"{denial}\n".encode()


class Login(Resource):
    """``POST`` with ``username`` and ``password`` opens a session and redirects to ``next``."""

    isLeaf = True

    def __init__(self, gate: Gate, pages: Pages):
        super().__init__()
        self.gate, self.pages = gate, pages

    def render_GET(self, txrequest: TxRequest) -> bytes:
        return _page(self.pages, txrequest, 200, "")

    def render_POST(self, txrequest: TxRequest) -> bytes:
        username, password, target = (
            txrequest.args.get(name, [b""])[0] for name in (b"username", b"password", b"next")
        )
        assert self.gate.credentials
        try:
            account = self.gate.credentials.check(txrequest, username, password)
        except RequestDeniedError as denial:
            asked = target.decode("ascii", "replace")
            _set_wait(txrequest, denial)
            return _page(self.pages, txrequest, denial.status, str(denial), asked)
        set_session(txrequest, self.gate.sessions.open(account))
        return _go(txrequest, target.decode("ascii", "replace"))


class Logout(Resource):
    """``POST`` ends the session."""

    isLeaf = True

    def __init__(self, gate: Gate):
        super().__init__()
        self.gate = gate

    def render_HEAD(self, txrequest: TxRequest) -> NoReturn:
        # Twisted's would call the render_GET that is not there.
        raise UnsupportedMethod([b"POST"])

    def render_POST(self, txrequest: TxRequest) -> bytes:
        self.gate.sessions.close(session_id(txrequest))
        return _go(txrequest, f"{prefix_of(txrequest)}/login")


def _set_wait(txrequest: TxRequest, denial: RequestDeniedError) -> None:
    if denial.retry_after:
        txrequest.setHeader("Retry-After", str(ceil(denial.retry_after)))


def _page(
    pages: Pages, txrequest: TxRequest, status: int, message: str, target: str | None = None
) -> bytes:
    if header(txrequest, "Sec-Fetch-Site") in ("cross-site", "same-site"):
        txrequest.setResponseCode(status)
        txrequest.setHeader("Content-Type", "text/html; charset=utf-8")
        return _AGAIN.encode()
    prefix = prefix_of(txrequest)
    if target is None:
        asked = quote(txrequest.uri.decode("latin-1"), safe="/?=&%+,;:@~!$'()*-._")
        target = f"{prefix}/" if txrequest.path == b"/login" else f"{prefix}{asked}"
    return pages.login(
        txrequest,
        status,
        action=f"{prefix}/login",
        message=message,
        target=target,
        token=form_token(txrequest),
    )


def _go(txrequest: TxRequest, target: str) -> bytes:
    """A redirect to a page of this scrapyd."""
    home = f"{prefix_of(txrequest)}/"
    path = target if _PATH.fullmatch(target) and target.startswith(home) else home
    txrequest.setResponseCode(303)
    txrequest.setHeader("Location", path)
    return b""
