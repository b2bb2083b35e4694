"""The security headers of every response, whatever the resource."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

# The one script of scrapyd's pages, at the button that cancels a job.
# https://github.com/scrapy/scrapyd/blob/1.6.0/scrapyd/website.py
_CONFIRM = "return confirm('Are you sure?');"


def source_of(text: str) -> str:
    """The hash by which a policy names an inline style or script."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def policy(**sources: str) -> str:
    """A Content-Security-Policy that allows only what is named."""
    named = "".join(f"{name.replace('_', '-')} {source}; " for name, source in sources.items())
    return (
        f"default-src 'none'; {named}"
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )  # fmt: skip


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
# scrapyd's own resources allow all web pages to read them.
_CORS = ("Origin", "Methods", "Headers")


def set_headers(txrequest: Any) -> None:
    """Set before the resource, which may change them."""
    for name, value in HEADERS.items():
        txrequest.setHeader(name, value)


def set_cors(txrequest: Any, origin: str | None) -> None:
    """Set after the resource: only pages of this origin may read the response."""
    headers = txrequest.responseHeaders
    methods = headers.getRawHeaders("Access-Control-Allow-Methods", ["GET, HEAD, POST, OPTIONS"])
    for name in _CORS:
        headers.removeHeader(f"Access-Control-Allow-{name}")
    if origin:
        txrequest.setHeader("Access-Control-Allow-Origin", origin)
        txrequest.setHeader("Access-Control-Allow-Methods", methods[0])
        txrequest.setHeader("Access-Control-Allow-Headers", "Authorization, X-Requested-With")
        txrequest.setHeader("Vary", "Origin")
