"""Who is logged in by a cookie, and the token that their forms bring along."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from secrets import token_bytes, token_urlsafe
from typing import Any

DURATION = 12 * 3600.0  # seconds from the log-in
SESSIONS_MAX = 1000
TOKEN = "token"  # noqa: S105 (the name of the form's field)


class Sessions:
    """Kept in memory: a restart of scrapyd logs everyone out."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._key = token_bytes(32)
        # By digest, so that a look-up tells nothing of the ids by its time.
        self._ends: OrderedDict[str, float] = OrderedDict()

    def open(self) -> str:
        """A new session's id."""
        session = token_urlsafe(32)
        self._ends[self._digest(session)] = self._now() + DURATION
        if len(self._ends) > SESSIONS_MAX:
            self._ends.popitem(last=False)
        return session

    def is_open(self, session: str) -> bool:
        return self._ends.get(self._digest(session), 0.0) > self._now()

    def close(self, session: str) -> None:
        self._ends.pop(self._digest(session), None)

    def token(self, session: str) -> str:
        """What a form of this session has in its field ``token``."""
        return self._digest(f"form of {session}")

    def _digest(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), sha256).hexdigest()


def cookie_name(txrequest: Any) -> str:
    """One for each scrapyd of a machine: a cookie is for all ports of its host."""
    return f"coinspider_{getattr(txrequest.getHost(), 'port', 'socket')}"


def session_id(txrequest: Any) -> str:
    """The session that a request names; empty where it names none, whether or not it is open."""
    cookie: bytes = txrequest.getCookie(cookie_name(txrequest).encode()) or b""
    return cookie.decode("ascii", "replace")


def set_session(txrequest: Any, session: str) -> None:
    """The client's cookie, which no script reads and no other site's page sends along."""
    is_secure = txrequest.isSecure() or txrequest.getHeader("X-Forwarded-Proto") == "https"
    txrequest.addCookie(
        cookie_name(txrequest), session, path="/", httpOnly=True, sameSite="strict",
        secure=is_secure,
    )  # fmt: skip


def form_token(txrequest: Any) -> str:
    """For a hidden field ``token`` in each form that changes something.

    Not in a thread, and before the answer begins: who has no session gets the cookie of one that
    nobody is logged in by.
    """
    session = session_id(txrequest) or txrequest.form_session
    if not session:
        session = txrequest.form_session = token_urlsafe(32)
        set_session(txrequest, session)
    return str(txrequest.site.gate.sessions.token(session))
