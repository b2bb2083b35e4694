"""What the sandbox does besides serving coins: it counts and refuses calls, and spoils answers."""

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from twisted.web.http import Request

from coinspider.sandbox.call_limits import Limit, NoLimit


@dataclass
class KeyAccount:
    """One key, or all clients without one; ``credits`` is ``None`` if they are not counted."""

    limit: Limit
    credits: int | None = None
    used: int = 0

    @property
    def is_exhausted(self) -> bool:
        return self.credits is not None and self.used >= self.credits

    @property
    def credits_left(self) -> int | None:
        return None if self.credits is None else max(0, self.credits - self.used)


@dataclass
class Accounts:
    """An account for each key, created on its first call."""

    new_limit: Callable[[], Limit] = NoLimit
    credits: int | None = None
    by_key: dict[str | None, KeyAccount] = field(default_factory=dict)

    def of(self, key: str | None) -> KeyAccount:
        if key not in self.by_key:
            self.by_key[key] = KeyAccount(self.new_limit(), self.credits)
        return self.by_key[key]


class Fault(enum.Enum):
    """How a response is spoiled."""

    NONE = "none"
    UNAVAILABLE = "unavailable"
    HTML = "html"
    RESET = "reset"
    TRUNCATED = "truncated"

    def answer(self, request: Request, body: bytes) -> None:
        """Send ``body``, or what is left of it."""
        if self is Fault.RESET:
            request.code = 0
            transport: Any = request.transport
            transport.abortConnection()
            return
        if self in (Fault.UNAVAILABLE, Fault.HTML):
            request.setResponseCode(503 if self is Fault.UNAVAILABLE else 403)
            request.setHeader("Content-Type", "text/html")
            if self is Fault.HTML:
                # A limit of seconds. Without it, a client that learns limits tries longer and
                # longer ones: https://developers.cloudflare.com/changelog (12 March 2026)
                request.setHeader("Retry-After", "1")
            body = b"<html><body>error code: 1015</body></html>" if self is Fault.HTML else b""
        request.setHeader("Content-Length", str(len(body)))
        if self is Fault.TRUNCATED:
            request.write(body[: len(body) // 2])
            # Not the transport, which would wait for a producer that has nothing more to send.
            request.loseConnection()
            return
        request.write(body)
        request.finish()


class Faults:
    """Spoils a ``share`` of the responses (0 to 1), always the same ones."""

    def __init__(self, share: float = 0.0, seed: int = 0):
        self.share, self.random = share, Random(seed)

    def next(self) -> Fault:
        if self.random.random() >= self.share:
            return Fault.NONE
        return self.random.choice([fault for fault in Fault if fault is not Fault.NONE])


@dataclass
class Behaviour:
    """The options of the sandbox, as it uses them."""

    plan: str = "public"
    keys: frozenset[str] = frozenset()
    accounts: Accounts = field(default_factory=Accounts)
    calls_per_minute: int | None = None
    limit_headers: str = "none"
    retry_after: str = "seconds"
    exhausted_status: int = 429
    disguise: bool = False
    latency: float = 0.0
    short_pages: frozenset[int] = frozenset()
    moving_rank: bool = False
    churn: float = 0.0
    churn_seed: int = 0
    total: bool = True
    faults: Faults = field(default_factory=Faults)
    bodies: tuple[bytes, ...] = ()
    token: str | None = None
    links_to: str | None = None
    encoding: str | None = None


class AnsweredError(Exception):
    """An answer that is an error: an HTTP status, CoinGecko's code and its message.

    The shapes of its body are in public reports of the API's clients; the usual one is documented:
    https://docs.coingecko.com/docs/errors-and-rate-limits
    """

    def __init__(self, status: int, code: int, message: str, shape: str = "status"):
        super().__init__(message)
        self.status, self.code, self.shape = status, code, shape

    def body(self) -> str:
        if self.shape == "text":
            return json.dumps({"error": str(self)})
        told = {"status": {"error_code": self.code, "error_message": str(self)}}
        return json.dumps({"error": told} if self.shape == "error" else told)
