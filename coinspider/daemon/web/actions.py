"""The buttons of the pages: each calls one of scrapyd's endpoints and returns to its page."""

from typing import Any

from twisted.web import error

from coinspider.daemon.gate.sessions import TOKEN
from coinspider.daemon.web.templating import render
from coinspider.daemon.web.view import send_head

# By the form's field ``action``; the other fields are those of the endpoint.
ENDPOINTS = {
    "run": b"runschedule.json",
    "pause": b"pauseschedule.json",
    "resume": b"resumeschedule.json",
    "again": b"schedule.json",
    "cancel": b"cancel.json",
}


def possible_actions(root: Any) -> set[str]:
    """Those whose endpoint is in ``scrapyd.conf``."""
    return {name for name, path in ENDPOINTS.items() if path in root.children}


def act(root: Any, txrequest: Any, back: str) -> bytes:
    """Do what the form asks for, and go back; the gate has already checked its token."""
    txrequest.args.pop(TOKEN.encode(), None)  # of a program, which the gate does not ask for it
    name = txrequest.args.pop(b"action", [b""])[0].decode("utf-8", "replace")
    if name not in possible_actions(root):
        return _problem(txrequest, f"there is no action {name[:40]}")
    try:
        root.children[ENDPOINTS[name]].render_POST(txrequest)
    except error.Error as problem:
        message = problem.message or b""
        return _problem(txrequest, message.decode("utf-8", "replace"))
    txrequest.setResponseCode(303)
    txrequest.setHeader("Location", back)
    return b""


def _problem(txrequest: Any, message: str) -> bytes:
    send_head(txrequest, 409)
    return render("error.html", section="crawls", status=409, message=message).encode()
