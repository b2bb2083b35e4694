"""What the sandbox does besides serving coins: it counts and refuses calls, and spoils answers.

A call passes with the right key, within its limit and its credits.
"""

import enum
import json
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from math import ceil
from random import Random
from time import monotonic, time
from typing import Any, NamedTuple, Protocol

from twisted.web.http import Request
from twisted.web.resource import Resource

from coinspider.sandbox.other_apis import argument


class Standing(NamedTuple):
    """What a server may say about its limit in the headers of a response."""

    calls: int
    period: float
    remaining: int
    reset: float
    """Seconds until all calls, or more of them, are free again."""


class Limit(Protocol):
    def refused_for(self, now: float) -> float:
        """Count a call; return 0 if it may pass, else the seconds until one may."""

    def standing(self, now: float) -> Standing | None:
        """What is left now; ``None`` if there is no limit."""


class NoLimit:
    def refused_for(self, now: float) -> float:
        return 0.0

    def standing(self, now: float) -> Standing | None:
        return None


class FixedWindow:
    """``calls`` in each window of ``period`` seconds; the first call opens the first window."""

    def __init__(self, calls: int, period: float):
        self.calls, self.period = calls, period
        self.start, self.count = float("-inf"), 0

    def refused_for(self, now: float) -> float:
        if now >= self.start + self.period:
            idle = self.start == float("-inf")
            self.start = now if idle else now - (now - self.start) % self.period
            self.count = 0
        self.count += 1
        return self.start + self.period - now if self.count > self.calls else 0.0

    def standing(self, now: float) -> Standing | None:
        remaining = max(0, self.calls - self.count)
        return Standing(self.calls, self.period, remaining, self.start + self.period - now)


class SlidingWindow:
    """``calls`` in any ``period`` seconds, the refused ones included, as CoinGecko counts."""

    def __init__(self, calls: int, period: float):
        self.calls, self.period = calls, period
        self.times: deque[float] = deque(maxlen=calls)

    def refused_for(self, now: float) -> float:
        refused = len(self.times) == self.calls and now < self.times[0] + self.period
        self.times.append(now)
        return self.times[0] + self.period - now if refused else 0.0

    def standing(self, now: float) -> Standing | None:
        recent = [time for time in self.times if time > now - self.period]
        reset = recent[0] + self.period - now if recent else 0.0
        return Standing(self.calls, self.period, self.calls - len(recent), reset)


class TokenBucket:
    """A bucket of ``calls`` tokens that fills up in ``period`` seconds."""

    def __init__(self, calls: int, period: float):
        self.calls, self.period, self.rate = calls, period, calls / period
        self.tokens, self.seen = float(calls), 0.0

    def refused_for(self, now: float) -> float:
        self.tokens = min(self.calls, self.tokens + (now - self.seen) * self.rate)
        self.seen = now
        if self.tokens < 1:
            return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return 0.0

    def standing(self, now: float) -> Standing | None:
        tokens = min(self.calls, self.tokens + (now - self.seen) * self.rate)
        return Standing(self.calls, self.period, int(tokens), (self.calls - tokens) / self.rate)


LIMITS: dict[str, Callable[[int, float], Limit]] = {
    "fixed-window": FixedWindow,
    "sliding-window": SlidingWindow,
    "token-bucket": TokenBucket,
}


def retry_after(wait: float) -> int:
    """Whole seconds, for the header."""
    return max(1, ceil(wait))


# The IETF's draft, an older form of it, and what many APIs use, with seconds or with a Unix time:
# https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
STYLES = ("none", "ietf", "ratelimit", "x-seconds", "x-epoch")


def limit_headers(style: str, standing: Standing | None, now: float) -> dict[str, str]:
    """The headers of a response at ``now`` (Unix time); none if there is no limit."""
    if standing is None or style == "none":
        return {}
    if style == "ietf":
        return {
            "RateLimit-Policy": f'"default";q={standing.calls};w={standing.period:.0f}',
            "RateLimit": f'"default";r={standing.remaining};t={ceil(standing.reset)}',
        }
    prefix = "RateLimit" if style == "ratelimit" else "X-RateLimit"
    since = now if style == "x-epoch" else 0.0
    return {
        f"{prefix}-Limit": str(standing.calls),
        f"{prefix}-Remaining": str(standing.remaining),
        f"{prefix}-Reset": str(ceil(since + standing.reset)),
    }


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
    keys: Collection[str] = ()
    accounts: Accounts = field(default_factory=Accounts)
    calls_per_minute: int | None = None
    limit_headers: str = "none"
    retry_after: str = "seconds"
    exhausted_status: int = 429
    disguise: bool = False
    latency: float = 0.0
    short_pages: Collection[int] = ()
    moving_rank: bool = False
    churn: float = 0.0
    churn_seed: int = 0
    total: bool = True
    faults: Faults = field(default_factory=Faults)
    bodies: Sequence[bytes] = ()
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


RATE_LIMIT_MESSAGE = (
    "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to"
    " subscribe to our API plans for higher rate limits."
)
# CoinGecko's own message is "You've reached 10,000 calls limit."; other APIs say it like this.
EXHAUSTED_CODE = 10006
EXHAUSTED_MESSAGE = "You've used up the monthly credits of your API key. Please upgrade your plan."


def spend_credit(account: KeyAccount, behaviour: Behaviour) -> None:
    """Count a call of this month, or raise :exc:`AnsweredError` if none is left."""
    if account.is_exhausted:
        raise AnsweredError(behaviour.exhausted_status, EXHAUSTED_CODE, EXHAUSTED_MESSAGE)
    account.used += 1


def check_limit(request: Request, account: KeyAccount, behaviour: Behaviour) -> None:
    """Count a call against the limit, and raise :exc:`AnsweredError` if it is one too many."""
    wait = account.limit.refused_for(monotonic())
    standing = account.limit.standing(monotonic())
    for name, value in limit_headers(behaviour.limit_headers, standing, time()).items():
        request.setHeader(name, value)
    if not wait:
        return
    if behaviour.retry_after == "seconds":
        request.setHeader("Retry-After", str(retry_after(wait)))
    elif behaviour.retry_after == "date":
        request.setHeader("Retry-After", formatdate(ceil(time() + wait), usegmt=True))
    raise AnsweredError(200 if behaviour.disguise else 429, 429, RATE_LIMIT_MESSAGE)


# https://docs.coingecko.com/docs/errors-and-rate-limits (10010, 10011)
_ROOT_URL = "If you are using {} API key, please change your root URL from {} to {}"
_PUBLIC_HOST, _PRO_HOST = "api.coingecko.com", "pro-api.coingecko.com"
_WRONG_HOST = {
    "demo": (10010, _ROOT_URL.format("Pro", _PUBLIC_HOST, _PRO_HOST)),
    "pro": (10011, _ROOT_URL.format("Demo", _PRO_HOST, _PUBLIC_HOST)),
}
# https://www.coingecko.com/en/api/pricing
_ANALYST_CALLS, _ANALYST_CREDITS = 500, 500_000
KEY_HEADERS = {"demo": "x-cg-demo-api-key", "pro": "x-cg-pro-api-key"}


class KeyEndpoint(Resource):
    """``GET /key``: the plan of a Pro key, its limit and its credits.

    A call counts against the limit, and costs no credit.
    https://docs.coingecko.com/reference/api-usage
    """

    isLeaf = True

    def __init__(self, behaviour: Behaviour):
        super().__init__()
        self.behaviour = behaviour
        self.calls: list[tuple[float, int]] = []

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "application/json; charset=utf-8")
        account = self.behaviour.accounts.of(given_key(request))
        try:
            check_limit(request, account, self.behaviour)
            check_key(request, self.behaviour)
            if self.behaviour.plan == "demo":
                raise AnsweredError(401, 10005, "This request is limited to PRO API subscribers")
            body = self._body(account)
        except AnsweredError as error:
            body = error.body()
            request.setResponseCode(error.status)
        self.calls.append((monotonic(), request.code))
        return body.encode()

    def _body(self, account: KeyAccount) -> str:
        """Each figure is a number, whatever the sandbox counts."""
        monthly = _ANALYST_CREDITS if account.credits is None else account.credits
        figures = {
            "rate_limit_request_per_minute": self.behaviour.calls_per_minute or _ANALYST_CALLS,
            "monthly_call_credit": monthly,
            "current_total_monthly_calls": account.used,
            "current_remaining_monthly_calls": max(0, monthly - account.used),
        }
        of_key = {f"api_key_{name}": value for name, value in figures.items()}
        return json.dumps({"plan": "Analyst"} | figures | of_key)


def check_key(request: Request, behaviour: Behaviour) -> None:
    if not behaviour.keys:
        return
    given = _given_keys(request)
    if not given:
        raise AnsweredError(401, 10002, "API Key Missing")
    if given.get(behaviour.plan) in behaviour.keys:
        return
    if behaviour.plan in given:
        raise AnsweredError(401, 10002, "Incorrect API Key")
    raise AnsweredError(400, *_WRONG_HOST[behaviour.plan])


def given_key(request: Request) -> str | None:
    """The key that a call carries, whatever its plan."""
    return next(iter(_given_keys(request).values()), None)


def _given_keys(request: Request) -> dict[str, str]:
    """By plan."""
    keys = {name: _key(request, header) for name, header in KEY_HEADERS.items()}
    return {name: key for name, key in keys.items() if key}


def _key(request: Request, header: str) -> str | None:
    """A key may also travel in the query: ``x_cg_pro_api_key``."""
    key: str | None = request.getHeader(header)
    return key or argument(request, header.replace("-", "_"))
