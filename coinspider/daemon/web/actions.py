"""The buttons of the pages: each calls one of scrapyd's endpoints and returns to its page."""

import re
from collections.abc import Iterator
from typing import Any

from twisted.web import error

from coinspider.daemon.gate.sessions import TOKEN
from coinspider.daemon.web.error_page import error_page

# By the form's field ``action``; the other fields are those of the endpoint.
ENDPOINTS = {
    "run": b"runschedule.json",
    "pause": b"pauseschedule.json",
    "resume": b"resumeschedule.json",
    "again": b"schedule.json",
    "cancel": b"cancel.json",
}
_STARTED = "It was started: its run is shown here as soon as its process has begun to crawl."
DONE = {
    "run": _STARTED,
    "again": _STARTED,
    "pause": "It is paused: no run begins until it is resumed.",
    "resume": "It is resumed.",
    "cancel": "It was told to stop: it stores what it has, and ends.",
}
"""What to say on the page that follows an action."""
# The page's own query, to which the browser returns.
_QUERY = re.compile(r"\?[\w.%=&+-]+", re.ASCII)
_MESSAGE_MAX = 40  # characters of what was sent


def possible_actions(root: Any) -> set[str]:
    """Those whose endpoint is in ``scrapyd.conf``."""
    return {name for name, path in ENDPOINTS.items() if path in root.children}


def act(root: Any, txrequest: Any, page: str) -> bytes:
    """Do what the form asks for, and go back; the gate has already checked its token."""
    txrequest.args.pop(TOKEN.encode(), None)  # of a program, which the gate does not ask for it
    name, back = _field(txrequest, "action"), _field(txrequest, "back")
    query = back if _QUERY.fullmatch(back) else ""
    if name not in possible_actions(root):
        return _problem(txrequest, f"There is no action {name[:_MESSAGE_MAX]}.", page + query)
    try:
        if name != "again" or not _is_repeated(root, txrequest):
            answer = root.children[ENDPOINTS[name]].render_POST(txrequest)
            if not answer.get("prevstate", True):
                return _problem(txrequest, "That job has ended already.", page + query)
    except error.Error as problem:
        message = (problem.message or b"").decode("utf-8", "replace")
        return _problem(txrequest, message, page + query)
    txrequest.setResponseCode(303)
    txrequest.setHeader("Location", f"{page}{query}{'&' if query else '?'}done={name}#done")
    return b""


def _is_repeated(root: Any, txrequest: Any) -> bool:
    """Whether the button was pressed twice: each is for one job, whose id is in the form."""
    job = txrequest.args.get(b"jobid", [b""])[-1].decode("utf-8", "replace")
    return bool(job) and job in _known_jobs(root)


def _known_jobs(root: Any) -> Iterator[str]:
    for queue in root.poller.queues.values():
        yield from (message["_job"] for message in queue.list())
    yield from root.launcher.running_jobs()
    yield from (job.job for job in root.launcher.finished)


def _field(txrequest: Any, name: str) -> str:
    value: bytes = txrequest.args.pop(name.encode(), [b""])[0]
    return value.decode("utf-8", "replace")


def _problem(txrequest: Any, message: str, back: str) -> bytes:
    return error_page(txrequest, 409, message, section="crawls", back=back)
