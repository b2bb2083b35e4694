"""What browsers may do: by which names they reach this scrapyd, and what other sites may ask."""

import ipaddress
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from coinspider.errors import RequestDeniedError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress
    from twisted.web.http_headers import Headers

    from coinspider.daemon.gate.site import GateSite

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE = (b"GET", b"HEAD", b"OPTIONS")
_FILE = b"egg"  # the only parameter that is one
_FOREIGN = ("cross-site", "same-site")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)
# The one script of scrapyd's pages, at the button that cancels a job.
# https://github.com/scrapy/scrapyd/blob/1.6.0/scrapyd/website.py
_CONFIRM = "return confirm('Are you sure?');"
# scrapyd's own resources allow all web pages to read them.
_CORS = ("Origin", "Methods", "Headers")


class TxRequest(Protocol):
    """What is used of Twisted's request, and what :class:`GateRequest` adds."""

    method: bytes
    path: bytes
    uri: bytes
    args: dict[bytes, list[bytes]]
    postpath: list[bytes]
    requestHeaders: "Headers"
    responseHeaders: "Headers"
    site: "GateSite"
    form_session: str

    @property
    def addCookie(self) -> Callable[..., None]: ...
    def getHost(self) -> "IAddress": ...
    def getClientAddress(self) -> "IAddress": ...
    def isSecure(self) -> bool: ...
    def getCookie(self, key: bytes) -> bytes | None: ...
    def setHeader(self, name: str, value: str) -> None: ...
    def setResponseCode(self, code: int) -> None: ...


class AllowedHosts:
    """The loopback names, the address that is bound, and those that are ``named``.

    In DNS rebinding, a page's own name points to 127.0.0.1, and is not among them.
    """

    def __init__(self, bind_address: str, named: Iterable[str] = ()):
        self.named = frozenset(map(normal, named))
        self.names = LOOPBACK | self.named | {normal(bind_address)}

    def allows(self, txrequest: TxRequest) -> bool:
        """Whether the request has one ``Host``, and that is a name of this scrapyd."""
        name = host_name(_host(txrequest))
        # If it is bound to all addresses, the one that the client connected to.
        own = getattr(txrequest.getHost(), "host", "")
        return bool(name) and (name in self.names or name == normal(own))

    def owns(self, origin: str, txrequest: TxRequest) -> bool:
        """Whether this origin is this scrapyd."""
        _, _, netloc = origin.partition("://")
        if not netloc:
            return False
        return netloc.lower() == _host(txrequest).lower() or host_name(netloc) in self.named


def normal(name: str) -> str:
    """A host's name or address, normalised for comparison."""
    name = name.strip().lower().removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def host_name(host: str) -> str:
    """The name in ``name:port``; empty where it is none."""
    found = _HOST.fullmatch(host)
    return normal(found[1]) if found else ""


def _host(txrequest: TxRequest) -> str:
    hosts = header_values(txrequest, "Host")
    return hosts[0] if len(hosts) == 1 else ""


class Origins:
    """Distinguishes this scrapyd's own pages from others'.

    Another site may only link to a page, unless its origin is ``named`` in ``cors_origins``.
    Programs send no such headers, and are not affected.
    """

    def __init__(self, hosts: AllowedHosts, named: Iterable[str] = ()):
        self.hosts, self.named = hosts, frozenset(named)

    def check(self, txrequest: TxRequest) -> None:
        """Raises :exc:`RequestDeniedError` for requests of foreign pages."""
        if self.named_origin(txrequest) or not self._is_foreign(txrequest):
            return
        if not _is_followed_link(txrequest):
            raise RequestDeniedError(403, "a page of another site may not request this")

    def named_origin(self, txrequest: TxRequest) -> str | None:
        origin = header(txrequest, "Origin")
        return origin if origin in self.named else None

    def _is_foreign(self, txrequest: TxRequest) -> bool:
        origin, site = header(txrequest, "Origin"), header(txrequest, "Sec-Fetch-Site")
        if is_of_other_site(txrequest):
            return True
        if origin == "null":
            # A page with no-referrer also sends it to its own site.
            return site != "same-origin"
        if origin:
            return not self.hosts.owns(origin, txrequest)
        referer = header(txrequest, "Referer")
        if not site and referer and txrequest.method not in SAFE:
            return not self.hosts.owns("/".join(referer.split("/")[:3]), txrequest)
        return False


def is_of_other_site(txrequest: TxRequest) -> bool:
    """Whether a browser says that a page of another site asks, or has the link to this one."""
    return header(txrequest, "Sec-Fetch-Site") in _FOREIGN


def is_of_browser(txrequest: TxRequest) -> bool:
    return bool(header(txrequest, "Origin") or header(txrequest, "Sec-Fetch-Site"))


def wants_html(txrequest: TxRequest) -> bool:
    """Whether a person will look at the response."""
    return "text/html" in header(txrequest, "Accept")


def check_text(txrequest: TxRequest) -> None:
    """Raises :exc:`RequestDeniedError` for a path, a header or a parameter that is no text.

    Cookies may be those of another program on the same host, and are not looked at.
    """
    for name, values in txrequest.requestHeaders.getAllRawHeaders():
        if name.lower() != b"cookie" and not all(map(_is_text, values)):
            raise RequestDeniedError(400, f"the header {name.decode()} is not text in UTF-8")
    if not all(map(_is_text, txrequest.postpath)):
        raise RequestDeniedError(400, "the path is not text in UTF-8")
    for name, values in txrequest.args.items():
        if not all(map(_is_text, [name] if name == _FILE else [name, *values])):
            raise RequestDeniedError(400, "a parameter is not text in UTF-8, or has a NUL in it")


def _is_text(value: bytes) -> bool:
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False


def header_values(txrequest: TxRequest, name: str) -> list[str]:
    """All values of a request's header."""
    values = txrequest.requestHeaders.getRawHeaders(name.encode(), [])
    return [value.decode("utf-8", "replace") for value in values]


def header(txrequest: TxRequest, name: str) -> str:
    """The value of a request's header; empty if there is none."""
    return next(reversed(header_values(txrequest, name)), "")


def prefix_of(txrequest: TxRequest) -> str:
    """The path under which a proxy serves the pages, without a slash at its end; empty if none.

    The gate has let only that of a trusted proxy through.
    """
    return header(txrequest, txrequest.site.gate.options.prefix_header)


def set_cookie(
    txrequest: TxRequest,
    name: str,
    value: str,
    seconds: int | None = None,
    same_site: str = "strict",
) -> None:
    """One that scripts can't read and other sites' pages can't send; until the browser ends.

    With ``lax`` as ``same_site`` it is sent when a link on another site is followed.
    """
    txrequest.addCookie(
        name,
        value,
        max_age=seconds and str(seconds),
        path=f"{prefix_of(txrequest)}/",
        httpOnly=True,
        sameSite=same_site,
        secure=txrequest.isSecure() or header(txrequest, "X-Forwarded-Proto") == "https",
    )


def _is_followed_link(txrequest: TxRequest) -> bool:
    return (
        txrequest.method in (b"GET", b"HEAD")
        and header(txrequest, "Sec-Fetch-Mode") == "navigate"
        and header(txrequest, "Sec-Fetch-Dest") == "document"
    )


def source_of(text: str) -> str:
    """The hash by which a policy names an inline style or script."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def policy(**sources: str) -> str:
    """A Content-Security-Policy that allows only what is named."""
    named = "".join(f"{name.replace('_', '-')} {source}; " for name, source in sources.items())
    framed = "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    return f"default-src 'none'; {named}{framed}"


HEADERS = {
    "Content-Security-Policy": policy(
        style_src="'unsafe-inline'", script_src=f"'unsafe-hashes' {source_of(_CONFIRM)}"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # With no-referrer a browser would send Origin: null from these pages' own forms.
    # https://fetch.spec.whatwg.org/#append-a-request-origin-header
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "scrapyd",
}


def set_headers(txrequest: TxRequest) -> None:
    """Set before the resource, which may change them."""
    for name, value in HEADERS.items():
        txrequest.setHeader(name, value)


def set_cors(txrequest: TxRequest, origin: str | None) -> None:
    """Set after the resource: only pages of this origin may read the response."""
    for name in _CORS:
        txrequest.responseHeaders.removeHeader(f"Access-Control-Allow-{name}")
    if origin:
        txrequest.setHeader("Access-Control-Allow-Origin", origin)
        txrequest.setHeader("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS")
        txrequest.setHeader("Access-Control-Allow-Headers", "Authorization, X-Requested-With")
        txrequest.setHeader("Vary", "Origin")
