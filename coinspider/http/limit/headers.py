"""The numbers and times in headers, in the forms in which APIs write them."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from scrapy.http import Response

# 2001 as a Unix time in seconds, and the same in milliseconds: no wait is that long.
_EPOCH, _EPOCH_MILLISECONDS = 1e9, 1e12

# Seconds between two clocks that are right: Date has no fractions, and a response takes its time.
_SAME_CLOCK = 3.0
_HEADER_MAX = 500  # bytes


def text_of(response: Response, header: str) -> str:
    """All headers of a name, separated by commas; empty if there is none.

    No more than the longest that means something: some of these are read in more than one pass.
    """
    return b", ".join(response.headers.getlist(header))[:_HEADER_MAX].decode("latin-1").strip()


def clock_of(response: Response, now: datetime) -> datetime:
    """What the server's clock says, to which its times refer.

    This machine's is more exact, unless ``Date`` shows that they differ.
    """
    try:
        date = parsedate_to_datetime(text_of(response, "Date"))
    except ValueError:
        return now
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return now if abs((date - now).total_seconds()) < _SAME_CLOCK else date


def count_of(text: str | None) -> int | None:
    """A whole number; ``None`` if it is none, or absurdly long."""
    return int(text) if text and text.strip().isdecimal() and len(text) < 16 else None


def seconds_of(text: str | None) -> float | None:
    """A number that is not negative; ``None`` if it is none."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def seconds_until(text: str, now: datetime) -> float | None:
    """A number of seconds, or the time until a Unix time or a date; ``None`` if it is neither."""
    number = seconds_of(text)
    if number is None:
        moment = _moment(text)
    elif number < _EPOCH:
        return number
    else:
        moment = number / 1000 if number >= _EPOCH_MILLISECONDS else number
    return None if moment is None else max(0.0, moment - now.timestamp())


def _moment(text: str) -> float | None:
    """A date in the form of ISO 8601 or of HTTP, as a Unix time."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(ValueError):
            moment = parse(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None


_PREFIXES = ("X-RateLimit", "RateLimit", "X-Rate-Limit")
_KONG = {"Second": 1.0, "Minute": 60.0, "Hour": 3600.0, "Day": 86_400.0}
_PAIR = r'(?i)([a-z]+)="?([\w.-]+)"?'


class HeaderLimit(NamedTuple):
    """``None`` for what the headers don't say."""

    calls: int | None = None
    remaining: int | None = None
    reset: float | None = None
    """Seconds until more calls are free."""
    period: float | None = None
    """Seconds."""


def limit_in_headers(response: Response, now: datetime) -> HeaderLimit | None:
    """The limit in a response's headers; if there are several, the one with the fewest calls left.

    ``now`` is this machine's clock; ``None`` without such headers.
    """
    # Scrapy has each word of a header's name begin in upper case.
    if not any(b"Rate" in name for name in response.headers):
        return None
    found = [*_structured(response), *_separate(response, clock_of(response, now))]
    found = [limit for limit in found if limit != HeaderLimit()]
    return min(found, key=_urgency) if found else None


def _urgency(limit: HeaderLimit) -> tuple[float, float]:
    remaining = float("inf") if limit.remaining is None else limit.remaining
    return remaining, -(limit.reset or limit.period or 0.0)


def _structured(response: Response) -> list[HeaderLimit]:
    """``"name";r=29;t=31`` with the policy ``"name";q=30;w=60``; or ``limit=30, remaining=29``."""
    field, policy = text_of(response, "RateLimit"), text_of(response, "RateLimit-Policy")
    policies = {_name(item): _parameters(item) for item in policy.split(",")}
    # A quota may count things other than requests, such as bytes.
    others = {
        name for name, policy in policies.items() if policy.get("qu", "requests") != "requests"
    }
    if "remaining=" in field.lower():
        only = next(iter(policies.values()), {})
        return [_limit({"w": only.get("w", "")} | _parameters(field))]
    return [
        _limit(policies.get(_name(item), {}) | _parameters(item))
        for item in field.split(",")
        if _name(item) not in others
    ]


def _name(item: str) -> str:
    return item.partition(";")[0].strip().strip('"')


def _parameters(item: str) -> dict[str, str]:
    return {name.lower(): value for name, value in re.findall(_PAIR, item)}


def _limit(values: dict[str, str]) -> HeaderLimit:
    return HeaderLimit(
        count_of(values.get("q") or values.get("limit")),
        count_of(values.get("r") or values.get("remaining")),
        seconds_of(values.get("t") or values.get("reset")),
        seconds_of(values.get("w")),
    )


def _separate(response: Response, now: datetime) -> list[HeaderLimit]:
    """A header for each value: of one limit, or of several with their windows in seconds."""
    policy = _by_window(text_of(response, "RateLimit-Policy"))
    return [limit for prefix in _PREFIXES for limit in _prefixed(response, prefix, policy, now)]


def _prefixed(
    response: Response, prefix: str, policy: Mapping[float | None, int], now: datetime
) -> Iterator[HeaderLimit]:
    calls = _by_window(text_of(response, f"{prefix}-Limit"))
    remaining = _by_window(text_of(response, f"{prefix}-Remaining"))
    reset = seconds_of(text_of(response, f"{prefix}-Reset-After"))
    if reset is None:
        reset = seconds_until(text_of(response, f"{prefix}-Reset"), now)
    if calls or remaining:
        only = calls.get(None)
        period = _window_of(only, {**policy, **calls})
        yield HeaderLimit(only, remaining.get(None), reset, period)
    for window in filter(None, remaining):
        yield HeaderLimit(calls.get(window), remaining[window], None, window)
    for name, seconds in _KONG.items():
        if (of_name := count_of(text_of(response, f"{prefix}-Limit-{name}"))) is not None:
            left = count_of(text_of(response, f"{prefix}-Remaining-{name}"))
            yield HeaderLimit(of_name, left, None, seconds)


def _by_window(text: str) -> dict[float | None, int]:
    """``100, 10;w=1``: calls by their window in seconds; by ``None`` if no window is given."""
    found: dict[float | None, int] = {}
    for item in text.split(","):
        parameters = _parameters(item)
        if (count := count_of(item.partition(";")[0])) is not None:
            found.setdefault(seconds_of(parameters.get("w") or parameters.get("window")), count)
    return found


def _window_of(calls: int | None, windows: Mapping[float | None, int]) -> float | None:
    """The window with this number of calls; else the only one there is."""
    known = [window for window in windows if window]
    same = [window for window in known if windows[window] == calls]
    return same[0] if same else known[0] if len(known) == 1 else None
