"""The calls that count against a limit just now, and whose turn it is: a value, no input or output.

One crawl alone keeps it in memory; crawls that share a key keep it in the database. Times are
seconds since 1970 of one clock: this machine's, or the database's.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from msgspec import Struct, field

# How long a call may begin after it was granted. One of a crawl that died then counts for a period.
GRANT_SECONDS = 2.0
# For this share of a period a crawl's share of the calls is kept for it, though it asks for none.
_ACTIVE_SHARE = 1 / 3
# How exactly the ends of calls are kept: a share of the period.
RESOLUTION = 0.01
NEVER = 1e12
# While nothing is known of a limit, each call under way may be a refused one.
CAREFUL = 3
_POLL = 0.05  # seconds
_MINUTE = 60.0


class ToldLimit(Struct, frozen=True):
    """What a user or a plan says: ``calls`` in ``period`` seconds; 0 calls where nothing is said.

    A ``firm`` one is never exceeded; one that is not firm is only where learning begins.
    """

    calls: int = 0
    period: float = 60.0
    firm: bool = True


class Ended(Struct):
    """Calls of one crawl that count until a period after ``at``, when the last of them ended."""

    holder: str
    count: int
    first_at: float
    at: float


class Holder(Struct):
    """A crawl: how many calls it may make or has under way, and whether it waits for more."""

    open: int = 0
    until: float = 0.0
    """When the last of them has begun, at the latest."""
    active_until: float = 0.0
    waits: bool = False
    wanted: int = 1


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
    """All that is known of the limit of one API and key; ``calls`` is 0 where that is nothing."""

    calls: int = 0
    period: float = 60.0
    rate: float = 0.0
    """Calls per second, where the limiter gives them back one by one: ``calls`` is the burst."""
    tokens: float = 0.0
    tokens_at: float = 0.0
    source: str = ""
    """How it is known: ``learned`` from refusals, or told by ``headers``."""
    refused_at: float = 0.0
    run_start: float = 0.0
    run_passed: int = 0
    """How many calls have passed since the last refusal, and when the first of them began."""
    burst_start: float = 0.0
    in_a_row: int = 0
    patience: float = 0.0
    probe_at: float = NEVER
    blocked_until: float = 0.0
    why: str = ""
    made: int = 0
    """How many calls were granted, without those that were given back."""
    told: ToldLimit = ToldLimit()
    """What the crawl that asked last was told."""
    exhausted_until: float = 0.0
    """No call goes before that: the credits of the month are used up."""
    exhausted_words: str = ""
    ended: list[Ended] = field(default_factory=list)
    by_second: dict[int, int] = field(default_factory=dict)
    """How many calls ended in each second of the last minute, however short the period is."""
    holders: dict[str, Holder] = field(default_factory=dict)

    def limit_for(self, told: ToldLimit) -> tuple[int, float, float]:
        """Calls, period and rate: the stricter of what is known and of what is firmly told."""
        firm = told.calls if told.firm else 0
        known = self.rate or self.calls / self.period
        if firm and (not self.calls or firm / told.period < known):
            return firm, told.period, 0.0
        return self.calls, self.period, self.rate

    def others(self, holder: str) -> int:
        """How many crawls wait or call beside this one."""
        return sum(name != holder for name in self.holders)

    def is_careful(self) -> bool:
        """Whether the next call may well be refused: the first one after a refusal."""
        return self.in_a_row > 0


def take(state: LimitState, holder: str, now: float, wanted: int, told: ToldLimit) -> Grant:
    """Let up to ``wanted`` calls of a crawl go, or say how long none may."""
    if not state.source:
        state.period = told.period
    state.told = told
    calls, period, rate = state.limit_for(told)
    _forget(state, now, period)
    me = state.holders.setdefault(holder, Holder())
    me.wanted, me.waits = wanted, False
    if me.open:  # a call that takes long may not have come to the API yet
        me.until = max(me.until, now)
    if state.exhausted_until > now:
        return Grant(0, exhausted=_exhausted(state))
    if state.blocked_until > now:
        return _wait(me, now, state.blocked_until - now, state.why)
    at_once = _at_once(state, calls, told)
    if not calls:
        return _grant(state, me, now, Grant(wanted, at_once=at_once))
    if rate:
        return _take_token(state, me, now, at_once)
    return _take_share(state, holder, now, Grant(wanted, at_once=at_once), (calls, period))


def _take_share(
    state: LimitState, holder: str, now: float, asked: Grant, window: tuple[int, float]
) -> Grant:
    """What is free in the window, less what is kept for other crawls."""
    calls, period = window
    since, me = now - period, state.holders[holder]
    free = allowed = calls - _used(state, since)
    why = f"{calls} calls in {period:g} s are used up"
    if others := [name for name in _active(state, now) if name != holder]:
        share = max(1, calls // (len(others) + 1))
        reserved = sum(_reserve(state, name, share, since) for name in others)
        allowed = max(min(free, share - _used(state, since, holder)), free - reserved)
        why += f", shared with {len(others)} other crawl{'s' * (len(others) > 1)} of this key"
    if allowed < 1:
        wait = _POLL if free > 0 else _next_free(state, now, period, 1 - free)
        return _wait(me, now, wait, why)
    batch = min(asked.calls, max(1, calls // 10), allowed)
    return _grant(state, me, now, asked._replace(calls=batch))


def exhaust(state: LimitState, now: float, words: str) -> None:
    """Note that the credits are used up, in the API's words. They come back with the month."""
    month = datetime.fromtimestamp(now, UTC)
    state.exhausted_until = following_month(month).timestamp()
    state.exhausted_words = words


def following_month(moment: datetime) -> datetime:
    """The first moment of the next month, in UTC."""
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _exhausted(state: LimitState) -> str:
    end_of_month = datetime.fromtimestamp(state.exhausted_until, UTC)
    return f"{state.exhausted_words} (no further call until {end_of_month:%Y-%m-%d %H:%M} UTC)"


def end(state: LimitState, holder: str, now: float) -> None:
    """Note that a granted call of a crawl has ended."""
    me = state.holders.setdefault(holder, Holder())
    me.open = max(0, me.open - 1)
    _add(state, holder, now)


def give_back(state: LimitState, holder: str, unused: int) -> None:
    """Note that a crawl makes no use of some granted calls."""
    if me := state.holders.get(holder):
        me.open = max(0, me.open - unused)
        state.made -= unused
        state.tokens += unused


def leave(state: LimitState, holder: str) -> None:
    """Note that a crawl is over. What it has ended counts on; what it did not use never counts."""
    if me := state.holders.pop(holder, None):
        state.made -= me.open


def count_since(state: LimitState, moment: float) -> int:
    """How many calls of all crawls have ended since then."""
    return sum(ended.count for ended in state.ended if ended.at > moment)


def count_in_minute(state: LimitState, now: float) -> int:
    """How many calls of all crawls have ended in the last minute."""
    return sum(count for second, count in state.by_second.items() if second > now - _MINUTE)


def _add(state: LimitState, holder: str, at: float) -> None:
    state.by_second[int(at)] = state.by_second.get(int(at), 0) + 1
    last = state.ended[-1] if state.ended else None
    if last and last.holder == holder and 0 <= at - last.first_at <= state.period * RESOLUTION:
        last.count, last.at = last.count + 1, max(last.at, at)
    else:
        state.ended.append(Ended(holder, 1, at, at))


def _forget(state: LimitState, now: float, period: float) -> None:
    """Drop what counts no more: also what a crawl that died has left open, a period later."""
    horizon = now - max(period, state.period)
    for name, holder in list(state.holders.items()):
        counts = holder.open and holder.until > horizon
        if not counts and holder.active_until < now:
            del state.holders[name]
    state.ended = [ended for ended in state.ended if ended.at > horizon]
    if state.by_second and min(state.by_second) <= now - _MINUTE:
        state.by_second = {s: n for s, n in state.by_second.items() if s > now - _MINUTE}


def _used(state: LimitState, since: float, holder: str | None = None) -> int:
    """The calls, of one crawl or of all, that are under way or have ended since then."""
    ended = sum(e.count for e in state.ended if e.at > since and holder in (None, e.holder))
    return ended + sum(
        h.open for name, h in state.holders.items() if h.until > since and holder in (None, name)
    )


def _active(state: LimitState, now: float) -> list[str]:
    return [name for name, holder in state.holders.items() if holder.active_until > now]


def _reserve(state: LimitState, name: str, share: int, since: float) -> int:
    """What is kept for another crawl: its share, or as much of it as it can use soon."""
    holder = state.holders[name]
    rest = max(0, share - _used(state, since, name))
    return rest if holder.waits else min(rest, 2 * holder.wanted)


def _next_free(state: LimitState, now: float, period: float, needed: int) -> float:
    """Seconds until ``needed`` of the calls count no more; soon where one may be given back."""
    over = [(ended.at, ended.count) for ended in state.ended]
    over += [(h.until, h.open) for h in state.holders.values() if h.until <= now]
    for at, count in sorted(over):
        needed -= count if at > now - period else 0
        if needed <= 0:
            return max(_POLL / 10, at + period - now)
    return _POLL


def _take_token(state: LimitState, me: Holder, now: float, at_once: int) -> Grant:
    gained = (now - state.tokens_at) * state.rate
    state.tokens = min(float(state.calls), state.tokens + max(0.0, gained))
    state.tokens_at = now
    if state.tokens < 1 - 1e-6:
        why = f"{60 * state.rate:.3g} calls a minute are used up"
        return _wait(me, now, (1 - state.tokens) / state.rate, why)
    count = min(me.wanted, max(1, int(state.tokens)), max(1, state.calls // 10))
    state.tokens -= count
    return _grant(state, me, now, Grant(count, at_once=at_once))


def _at_once(state: LimitState, calls: int, told: ToldLimit) -> int:
    if state.is_careful():
        return 1
    return CAREFUL if not calls and not told.firm else 1_000_000


def _grant(state: LimitState, me: Holder, now: float, grant: Grant) -> Grant:
    me.open += grant.calls
    state.made += grant.calls
    me.until = now + GRANT_SECONDS
    me.active_until = max(me.until, now + state.period * _ACTIVE_SHARE)
    return grant


def _wait(me: Holder, now: float, wait: float, why: str) -> Grant:
    me.waits, me.active_until = True, now + wait + GRANT_SECONDS
    return Grant(0, wait, why)
