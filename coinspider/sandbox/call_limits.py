"""Rate limits as servers count them, and the headers in which they tell them."""

from collections import deque
from collections.abc import Callable
from math import ceil
from typing import NamedTuple, Protocol


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
