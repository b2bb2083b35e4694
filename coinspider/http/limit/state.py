"""What is known of a limit, as a value.

One crawl alone keeps it in memory; crawls that share a key keep it in the database. Times are
seconds since 1970 of one clock: this machine's, or the database's.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple

from msgspec import DecodeError, Meta, Struct, field, json
from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError

NEVER = 1e12
# How long a call may begin after it was granted. One of a crawl that died then counts for a period.
GRANT_SECONDS = 2.0
# What a state that is read may have.
Number = Annotated[int, Meta(ge=-(10**15), le=10**15)]
Seconds = Annotated[float, Meta(ge=-NEVER, le=NEVER)]
Period = Annotated[float, Meta(ge=1e-3, le=NEVER)]
Date = Annotated[float, Meta(ge=0, le=1e11)]
_RATE_LEAST = 1 / NEVER


class ConfiguredLimit(Struct, frozen=True):
    """What a user or a plan says: ``calls`` in ``period`` seconds; 0 calls where nothing is said.

    A ``firm`` one is never exceeded; one that is not firm is only where learning begins.
    """

    calls: Number = 0
    period: Period = 60.0
    firm: bool = True


def limit_of(setting: str, text: str, to_learn: ConfiguredLimit) -> ConfiguredLimit:
    """A number of calls in the same period, or with ``auto`` the one with which learning begins.

    Raises :exc:`ConfigurationError`.
    """
    if text == "auto":
        return to_learn
    if not text.isdecimal():
        raise ConfigurationError(
            f"{setting}={text} is not a number of calls per minute (0 for no limit, auto to learn"
            " it)"
        )
    return ConfiguredLimit(int(text), to_learn.period)


class EndedCalls(Struct):
    """Calls of one crawl that count until a period after ``at``, when the last of them ended."""

    holder: str
    count: Number
    first_at: Seconds
    at: Seconds


class Holder(Struct):
    """A crawl: how many calls it may make or has under way, and whether it waits for more."""

    open: Number = 0
    until: Seconds = 0.0
    """When the last of them has begun, at the latest."""
    active_until: Seconds = 0.0
    waits: bool = False
    wanted: Number = 1
    changes: Number = 0
    """The number of its last change of the state."""


class Grant(NamedTuple):
    """How many calls may go; where none may, for how many seconds, and why."""

    calls: int
    wait: float = 0.0
    why: str = ""
    exhausted: str = ""
    """Why none may for the rest of the month."""
    at_once: int = 1_000_000
    """How many calls may be under way at a time."""


class LimitState(Struct):
    """All that is known of the limit of one API and key."""

    calls: Number = 0
    """How many calls are allowed in a period, or are in a full bucket; 0 if that is unknown."""
    period: Period = 60.0
    rate: Seconds = 0.0
    """How many calls per second a bucket gains; 0 for a window."""
    tokens: Seconds = 0.0
    """How many calls are left in the bucket at ``tokens_at``."""
    tokens_at: Seconds = 0.0
    source: str = ""
    """``learned`` from refusals, from ``headers``, or empty."""

    in_a_row: Number = 0
    """How many calls were refused, one after the other, since the last one that passed."""
    refused_at: Seconds = 0.0
    run_start: Seconds = 0.0
    """When the first call passed after ``refused_at``."""
    run_passed: Number = 0
    """How many calls have passed since then."""
    burst_start: Seconds = 0.0
    """When the first of the calls passed from which the size was learned."""
    burst_end: Seconds = 0.0
    """When the call after the last of them was refused."""
    burst_passed: Number = 0
    age: Seconds = 0.0
    """How long the last call took, in seconds."""
    answered_at: Seconds = 0.0

    since_at: Seconds = 0.0
    """From when a bucket's rate is measured."""
    since_wait: Seconds = 0.0
    """The ``Retry-After`` of that time, after which it had one call again."""
    since_full: bool = False
    """Whether the bucket was full then, rather than empty."""
    since_passed: Number = 0
    """How many calls have passed since then."""
    is_rough: bool = False
    """Whether the rate was measured from a few calls only."""

    is_proved: bool = False
    """Whether the calls of several periods have passed without a refusal."""
    proven_calls: Number = 0
    """``calls`` before the limit was raised for a trial."""
    proven_rate: Seconds = 0.0
    patience: Seconds = 0.0
    """Seconds until the next trial."""
    probe_at: Seconds = NEVER
    doubted_at: Seconds = 0.0
    """When a refusal was last explained by something other than the limit."""
    distrusts_headers: bool = False
    """Whether refusals contradict the headers."""

    blocked_until: Seconds = 0.0
    """No call goes before that time."""
    why: str = ""
    """Why none goes."""
    seen_at: Seconds = 0.0
    """The clock when it was last read."""
    made: Number = 0
    """How many calls were granted, without those that were given back."""
    configured: ConfiguredLimit = ConfiguredLimit()
    """That of the crawl that asked last."""
    exhausted_until: Date = 0.0
    """No call goes before that: the credits of the month are used up."""
    exhausted_words: str = ""
    ended: list[EndedCalls] = field(default_factory=list)
    by_second: dict[Number, Number] = field(default_factory=dict)
    """How many calls ended in each second of the last minute, however short the period is."""
    holders: dict[str, Holder] = field(default_factory=dict)

    def limit_for(self, configured: ConfiguredLimit) -> tuple[int, float, float]:
        """Calls, period and rate: the stricter of what is known and what is configured as firm."""
        firm = configured.calls if configured.firm else 0
        known = self.rate or self.calls / self.period
        if firm and (not self.calls or firm / configured.period < known):
            return firm, configured.period, 0.0
        return self.calls, self.period, self.rate

    def windows_beside(self, configured: ConfiguredLimit) -> list[tuple[int, float]]:
        """Calls and period of a window that holds as well as what ``limit_for`` returns."""
        known = [(self.calls, self.period)] if self.calls and not self.rate else []
        firm = (
            [(configured.calls, configured.period)] if configured.firm and configured.calls else []
        )
        strictest = self.limit_for(configured)[:2]
        return [window for window in firm + known if window != strictest or self.rate]

    def others(self, holder: str) -> int:
        """How many crawls wait or call beside this one."""
        return sum(name != holder for name in self.holders)

    def is_careful(self) -> bool:
        """Whether the next call may well be refused: the first one after a refusal."""
        return self.in_a_row > 0


def stored_state(text: str) -> LimitState:
    """The state that some JSON has; a new one, of which nothing is known, if no crawl wrote it."""
    try:
        state = json.decode(text, type=LimitState)
    except (DecodeError, RecursionError):
        return LimitState()
    return state if state.rate == 0 or state.rate >= _RATE_LEAST else LimitState()


# Seconds. Two servers of one database, such as before and after a failover, differ by a little.
_EXACT = 1.0
_TIMES = (
    "tokens_at", "refused_at", "answered_at", "run_start", "burst_start", "burst_end", "since_at",
    "doubted_at",
)  # fmt: skip


def turn_back(state: LimitState, now: float) -> None:
    """Move all that was noted to an earlier time, if the clock has gone back.

    What counts for a minute would otherwise count until the clock is where it was.
    """
    back = state.seen_at - now
    state.seen_at = now
    if back <= _EXACT:
        return
    # What has happened since then was noted by the clock as it is now.
    for name in _TIMES:
        setattr(state, name, _earlier(getattr(state, name), now, back))
    state.blocked_until -= back
    for ended in state.ended:
        ended.at, ended.first_at = (
            _earlier(ended.at, now, back),
            _earlier(ended.first_at, now, back),
        )
    for holder in state.holders.values():
        holder.until = min(holder.until, now + GRANT_SECONDS)
        holder.active_until = min(holder.active_until, now + GRANT_SECONDS)
    state.by_second = {
        int(_earlier(second, now, back)): number for second, number in state.by_second.items()
    }


def _earlier(moment: float, now: float, back: float) -> float:
    return moment - back if moment > now else moment


# How exactly the ends of calls are kept: a share of the period.
_RESOLUTION = 0.01
_MINUTE = 60.0


def end(state: LimitState, holder: str, now: float) -> None:
    """Note that a granted call of a crawl has ended."""
    me = state.holders.setdefault(holder, Holder())
    me.open = max(0, me.open - 1)
    _add(state, holder, now)


def count_since(state: LimitState, moment: float) -> int:
    """How many calls of all crawls have ended since then."""
    return sum(ended.count for ended in state.ended if ended.at > moment)


def count_in_minute(state: LimitState, now: float) -> int:
    """How many calls of all crawls have ended in the last minute."""
    return sum(count for second, count in state.by_second.items() if second > now - _MINUTE)


def _add(state: LimitState, holder: str, at: float) -> None:
    state.by_second[int(at)] = state.by_second.get(int(at), 0) + 1
    last = state.ended[-1] if state.ended else None
    if last and last.holder == holder and 0 <= at - last.first_at <= state.period * _RESOLUTION:
        last.count, last.at = last.count + 1, max(last.at, at)
    else:
        state.ended.append(EndedCalls(holder, 1, at, at))


def forget(state: LimitState, now: float, period: float) -> None:
    """Drop what no longer counts, such as the open calls of a crawl that died a period ago."""
    horizon = now - max(period, state.period)
    for name, holder in list(state.holders.items()):
        counts = holder.open and holder.until > horizon
        if not counts and holder.active_until < now:
            del state.holders[name]
    if state.source == "headers" or state.run_passed < state.calls:
        # The period may be longer than is known yet, or headers tell of another one next.
        horizon = min(horizon, now - _MINUTE)
    state.ended = [ended for ended in state.ended if ended.at > horizon]
    if state.by_second and min(state.by_second) <= now - _MINUTE:
        state.by_second = {s: n for s, n in state.by_second.items() if s > now - _MINUTE}


def used(state: LimitState, since: float, holder: str | None = None) -> int:
    """The calls, of one crawl or of all, that are under way or have ended since then."""
    ended = sum(e.count for e in state.ended if e.at > since and holder in (None, e.holder))
    return ended + sum(
        h.open for name, h in state.holders.items() if h.until > since and holder in (None, name)
    )


def exhaust(state: LimitState, now: float, words: str) -> None:
    """Note that the credits are used up, in the API's words. They come back with the month."""
    month = datetime.fromtimestamp(now, UTC)
    state.exhausted_until = following_month(month).timestamp()
    state.exhausted_words = words


def following_month(moment: datetime) -> datetime:
    """The first moment of the next month, in UTC."""
    return (first_of_month(moment) + timedelta(days=32)).replace(day=1)


def first_of_month(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def exhausted_words(state: LimitState) -> str:
    end_of_month = datetime.fromtimestamp(state.exhausted_until, UTC)
    return f"{state.exhausted_words} (no further call until {end_of_month:%Y-%m-%d %H:%M} UTC)"


class MonthlyCredits(NamedTuple):
    """Calls per month, as the settings or a plan say; ``None`` for no limit.

    Those of a setting are firm: they are never exceeded, whatever the API says is left.
    """

    calls: int | None = None
    is_firm: bool = True


def setting_text(settings: BaseSettings, name: str) -> str:
    """A setting as text, from the environment or a number; empty if it is not set."""
    value = settings.get(name)
    return "" if value is None else str(value).strip()


def credits_from_settings(
    settings: BaseSettings, name: str = "RATELIMIT_MONTHLY_CREDITS"
) -> MonthlyCredits | None:
    """A number of calls, 0 for no limit; ``None`` if it is not set.

    Raises :exc:`ConfigurationError`.
    """
    text = setting_text(settings, name)
    if not text:
        return None
    if not text.isdecimal():
        raise ConfigurationError(f"{name}={text} is not a number of calls a month (0 for no limit)")
    return MonthlyCredits(int(text) or None)


def within_credits(grant: Grant, made: int, calls_max: int | None) -> Grant:
    """The part of a grant that does not exceed ``calls_max``; with all of it, ``made`` are made."""
    if not grant.calls or calls_max is None or made <= calls_max:
        return grant
    if (left := grant.calls - (made - calls_max)) > 0:
        return grant._replace(calls=left)
    return Grant(0, exhausted=f"all calls of this month are used up until {next_credits()}")


def next_credits() -> str:
    """When new credits come, in words: ``1 December 2026``."""
    return f"{following_month(datetime.now(UTC)):%-d %B %Y}"
