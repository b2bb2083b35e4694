"""Sessions by cookie, and the tokens of their forms."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from secrets import token_bytes, token_urlsafe

from coinspider.daemon.gate.browsers import TxRequest, set_cookie
from coinspider.daemon.gate.passwords import Account

DURATION = 12 * 3600.0  # seconds from the log-in
SESSIONS_MAX = 1000
TOKEN = "token"  # noqa: S105 (the name of the form's field)


class Sessions:
    """Kept in memory: a restart of scrapyd logs everyone out."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._key = token_bytes(32)
        # By digest, so that the time of a lookup reveals nothing about the ids.
        self._open: OrderedDict[str, tuple[Account, float]] = OrderedDict()

    def open(self, account: Account) -> str:
        """A new session's id."""
        session = token_urlsafe(32)
        self._open[self._digest(session)] = account, self._now() + DURATION
        if len(self._open) > SESSIONS_MAX:
            self._open.popitem(last=False)
        return session

    def account(self, session: str) -> Account | None:
        """Whose it is, while it is open."""
        account, end = self._open.get(self._digest(session), (None, 0.0))
        return account if end > self._now() else None

    def close(self, session: str) -> None:
        self._open.pop(self._digest(session), None)

    def token(self, session: str) -> str:
        """The value of the field ``token`` in forms of this session."""
        return self._digest(f"form of {session}")

    def _digest(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), sha256).hexdigest()


def cookie_name(txrequest: TxRequest) -> str:
    """One name for each scrapyd of a machine, because cookies are shared by all ports of a host."""
    return f"coinspider_{getattr(txrequest.getHost(), 'port', 'socket')}"


def session_id(txrequest: TxRequest) -> str:
    """The session named in a request, open or not; empty if there is none."""
    cookie = txrequest.getCookie(cookie_name(txrequest).encode()) or b""
    return cookie.decode("ascii", "replace")


def set_session(txrequest: TxRequest, session: str) -> None:
    """The client's cookie."""
    set_cookie(txrequest, cookie_name(txrequest), session)


def form_token(txrequest: TxRequest) -> str:
    """For a hidden field ``token`` in each form that changes something.

    Not in a thread, and before the response begins: clients without a session get the cookie of one
    that is not logged in.
    """
    session = session_id(txrequest) or txrequest.form_session
    if not session:
        session = txrequest.form_session = token_urlsafe(32)
        set_session(txrequest, session)
    return str(txrequest.site.gate.sessions.token(session))


def logout_token(txrequest: TxRequest) -> str:
    """The token of the form that ends the request's session; empty if it has none."""
    gate, session = txrequest.site.gate, session_id(txrequest)
    return str(gate.sessions.token(session)) if gate.sessions.account(session) else ""
