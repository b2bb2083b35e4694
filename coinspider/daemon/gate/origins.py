"""Which requests other sites' pages may send with a visitor's browser."""

from collections.abc import Iterable
from typing import Any

from coinspider.daemon.gate.hosts import AllowedHosts
from coinspider.errors import RequestDeniedError

SAFE = (b"GET", b"HEAD", b"OPTIONS")
_FOREIGN = ("cross-site", "same-site")


class Origins:
    """Distinguishes this scrapyd's own pages from others'.

    Another site may only link to a page, unless its origin is ``named`` in ``cors_origins``.
    Programs send no such headers, and are not affected.
    """

    def __init__(self, hosts: AllowedHosts, named: Iterable[str] = ()):
        self.hosts, self.named = hosts, frozenset(named)

    def check(self, txrequest: Any) -> None:
        """Raises :exc:`RequestDeniedError` for requests of foreign pages."""
        if self.named_origin(txrequest) or not self._is_foreign(txrequest):
            return
        if not _is_followed_link(txrequest):
            raise RequestDeniedError(403, "a page of another site may not request this")

    def named_origin(self, txrequest: Any) -> str | None:
        origin = header(txrequest, "Origin")
        return origin if origin in self.named else None

    def _is_foreign(self, txrequest: Any) -> bool:
        origin, site = header(txrequest, "Origin"), header(txrequest, "Sec-Fetch-Site")
        if site in _FOREIGN:
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


def is_of_browser(txrequest: Any) -> bool:
    return bool(header(txrequest, "Origin") or header(txrequest, "Sec-Fetch-Site"))


def wants_html(txrequest: Any) -> bool:
    """Whether a person will look at the response."""
    return "text/html" in header(txrequest, "Accept")


def header(txrequest: Any, name: str) -> str:
    """The value of a request's header; empty if there is none."""
    value = txrequest.requestHeaders.getRawHeaders(name, [""])[-1]
    return str(value)


def _is_followed_link(txrequest: Any) -> bool:
    return (
        txrequest.method in (b"GET", b"HEAD")
        and header(txrequest, "Sec-Fetch-Mode") == "navigate"
        and header(txrequest, "Sec-Fetch-Dest") == "document"
    )
