"""The share of each crawl, where several have the same limit."""

from collections.abc import Callable
from time import monotonic, time
from typing import Protocol

from scrapy.settings import BaseSettings

from coinspider.http.limit import learning
from coinspider.http.limit.state import (
    GRANT_SECONDS,
    ConfiguredLimit,
    Grant,
    Holder,
    LimitState,
    exhausted_words,
    forget,
    limit_of,
    turn_back,
    used,
    within_credits,
)
from coinspider.setting_kinds import number

# For this share of a period a crawl's share of the calls is kept for it, though it asks for none.
_ACTIVE_SHARE = 1 / 3
# Another crawl may give back a call that was granted a moment ago. (Longer waits are logged.)
_GIVEN_BACK = 0.9  # seconds
POLL = 0.05  # seconds


def take_share(
    state: LimitState, holder: str, now: float, asked: Grant, window: tuple[int, float]
) -> Grant:
    """What is free in the window, less what is kept for other crawls."""
    calls, period = window
    since, me = now - period, state.holders[holder]
    free = allowed = calls - used(state, since)
    why = used_up(calls, period)
    if others := [name for name in _active(state, now) if name != holder]:
        share = max(1, calls // (len(others) + 1))
        reserved = sum(_reserve(state, name, share, since) for name in others)
        allowed = max(min(free, share - used(state, since, holder)), free - reserved)
        why += f", shared with {len(others)} other crawl{'s' * (len(others) > 1)} of this key"
    if allowed < 1:
        wait = POLL if free > 0 else next_free(state, now, period, 1 - free)
        if others_open(state, me, now):
            wait = min(wait, _GIVEN_BACK)
        return let_wait(me, now, wait, why)
    batch = min(asked.calls, at_a_time(state, now, holder, calls), allowed)
    return grant_calls(state, me, now, asked._replace(calls=batch))


def at_a_time(state: LimitState, now: float, holder: str, calls: int) -> int:
    """How many calls are granted at a time, so that others need not wait for unused ones."""
    return calls if _active(state, now) in ([], [holder]) else max(1, calls // 10)


def _active(state: LimitState, now: float) -> list[str]:
    return [name for name, holder in state.holders.items() if holder.active_until > now]


def others_open(state: LimitState, me: Holder, now: float) -> int:
    """How many calls other crawls have under way, or may still begin."""
    return sum(h.open for h in state.holders.values() if h is not me and h.until > now)


def _reserve(state: LimitState, name: str, share: int, since: float) -> int:
    """What is kept for another crawl: its share, or as much of it as it can use soon."""
    holder = state.holders[name]
    rest = max(0, share - used(state, since, name))
    return rest if holder.waits else min(rest, 2 * holder.wanted)


def next_free(state: LimitState, now: float, period: float, needed: int) -> float:
    """Seconds until ``needed`` of the calls count no more; soon where one may be given back."""
    over = [(ended.at, ended.count) for ended in state.ended]
    over += [(h.until, h.open) for h in state.holders.values() if h.until <= now]
    for at, count in sorted(over):
        needed -= count if at > now - period else 0
        if needed <= 0:
            return max(POLL / 10, at + period - now)
    return POLL


def grant_calls(state: LimitState, me: Holder, now: float, grant: Grant) -> Grant:
    me.open += grant.calls
    state.made += grant.calls
    me.until = now + GRANT_SECONDS
    me.active_until = max(me.until, now + state.period * _ACTIVE_SHARE)
    return grant


def used_up(calls: int, period: float) -> str:
    return f"{calls} calls in {period:g} s are used up"


def let_wait(me: Holder, now: float, wait: float, why: str) -> Grant:
    me.waits, me.active_until = True, now + wait + GRANT_SECONDS
    return Grant(0, wait, why)


# While nothing is known of a limit, each call under way may be a refused one.
CAREFUL = 3
# No limit is larger if it is one that can be learned.
_LARGEST = 1000
# A bucket is full after such a pause.
_IDLE_PERIODS = 1.5


def take(
    state: LimitState, holder: str, now: float, wanted: int, configured: ConfiguredLimit
) -> Grant:
    """Let up to ``wanted`` calls of a crawl go, or say how long none may."""
    if not state.source:
        state.period = configured.period
    state.configured = configured
    turn_back(state, now)
    calls, period, rate = state.limit_for(configured)
    forget(state, now, max([period, *(seconds for _, seconds in state.windows_beside(configured))]))
    if not rate and now - state.answered_at > _IDLE_PERIODS * period:
        learning.note_full(state, now)
    me = state.holders.setdefault(holder, Holder())
    me.wanted, me.waits = wanted, False
    if me.open:  # a call that takes long may not have come to the API yet
        me.until = max(me.until, now)
    at_once = _at_once(state, calls, configured, now)
    if closed := _closed(state, me, now, at_once):
        return closed
    if not calls:
        most = _until_trial(state, configured, now) or wanted
        return grant_calls(state, me, now, Grant(min(wanted, most), at_once=at_once))
    return _take_some(state, holder, now, Grant(wanted, at_once=at_once), configured)


def _take_some(
    state: LimitState, holder: str, now: float, asked: Grant, configured: ConfiguredLimit
) -> Grant:
    """What each of the limits lets go that hold at once."""
    for calls, period in state.windows_beside(configured):
        free = calls - used(state, now - period)
        if free < 1:
            wait = next_free(state, now, period, 1 - free)
            return let_wait(state.holders[holder], now, wait, used_up(calls, period))
        asked = asked._replace(calls=min(asked.calls, free))
    if state.rate:
        return _take_token(state, holder, now, asked)
    return take_share(state, holder, now, asked, state.limit_for(configured)[:2])


def _closed(state: LimitState, me: Holder, now: float, at_once: int) -> Grant | None:
    """Why no crawl may make calls now, or none while another one does."""
    if state.exhausted_until > now:
        return Grant(0, exhausted=exhausted_words(state))
    if state.blocked_until > now:
        return let_wait(me, now, state.blocked_until - now, state.why)
    is_shared = at_once == 1 or state.source == "learned"
    if is_shared and at_once <= others_open(state, me, now):
        return let_wait(me, now, POLL, "a call of another crawl shows whether more may go")
    return None


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


def _take_token(state: LimitState, holder: str, now: float, asked: Grant) -> Grant:
    me = state.holders[holder]
    gained = (now - state.tokens_at) * state.rate
    state.tokens, state.tokens_at = state.tokens + max(0.0, gained), now
    if state.tokens >= state.calls:
        state.tokens = float(state.calls)
        learning.note_full(state, now)
    if state.tokens < 1 - 1e-6:
        why = f"{60 * state.rate:.3g} calls a minute are used up"
        return let_wait(me, now, (1 - state.tokens) / state.rate, why)
    most = at_a_time(state, now, holder, state.calls)
    count = min(asked.calls, max(1, int(state.tokens)), most)
    state.tokens -= count
    return grant_calls(state, me, now, asked._replace(calls=count))


def _until_trial(state: LimitState, configured: ConfiguredLimit, now: float) -> int:
    """How many calls are left until a limit is tried that may be wrong; one at a time from there.

    0 if none is tried: the plan's one until something is learned, or what was learned before it was
    raised.
    """
    if state.source == "learned" and learning.is_raised(state) and not state.rate:
        return max(1, state.proven_calls - used(state, now - state.period))
    if state.source or configured.firm or not configured.calls:
        return 0
    left = configured.calls - used(state, now - configured.period)
    if left <= 0 and (left < -configured.calls // 10 or state.run_passed > 2 * configured.calls):
        return 0
    return max(1, left)


def _at_once(state: LimitState, calls: int, configured: ConfiguredLimit, now: float) -> int:
    if state.is_careful() or (_until_trial(state, configured, now) == 1):
        return 1
    if state.source == "learned" and state.run_passed < calls:  # it may be a bucket
        return min(CAREFUL, 1 + int(state.age * (state.rate or calls / state.period)))
    is_unknown = not calls and not configured.firm and state.run_passed < _LARGEST
    return CAREFUL if is_unknown else 1_000_000


Change = Callable[[LimitState, float], None]
"""What is learned from a call: a function of the state and the time at which it ended."""


class CallLimit(Protocol):
    """The limit of one API and key, for one crawl.

    Implementations keep a :class:`LimitState` that nothing else changes. ``note`` remembers an
    event until the next ``take``, which applies it first. ``holder`` is the crawl's name in the
    state.
    """

    holder: str
    state: LimitState
    """As it was last seen."""
    calls_max: int | None
    """No call is granted once this many are made in the month; ``None`` for no such limit."""

    @property
    def credits_left(self) -> int | None:
        """How many calls of the month are left, as far as that is known."""

    async def take(self, wanted: int) -> Grant:
        """Permission for up to ``wanted`` calls, or how long to wait for it."""

    def note(self, change: Change) -> None:
        """Remember an event that happened just now, without waiting."""


class LocalLimit:
    """A limit that no other crawl shares."""

    holder = ""

    def __init__(self, configured: ConfiguredLimit, clock: Callable[[], float] | None = None):
        self.configured, self.state = configured, LimitState(period=configured.period)
        self.calls_max: int | None = None
        self.clock = clock or _steady_clock()

    @property
    def credits_left(self) -> int | None:
        return None if self.calls_max is None else self.calls_max - self.state.made

    async def take(self, wanted: int) -> Grant:
        grant = take(self.state, self.holder, self.clock(), 1, self.configured)
        left = within_credits(grant, self.state.made, self.calls_max)
        if unused := grant.calls - left.calls:
            give_back(self.state, self.holder, unused)
        return left

    def note(self, change: Change) -> None:
        change(self.state, self.clock())


def _steady_clock() -> Callable[[], float]:
    """Unix time that never goes back."""
    began = time() - monotonic()
    return lambda: began + monotonic()


def limit_from_settings(settings: BaseSettings) -> ConfiguredLimit:
    """``RATELIMIT_CALLS`` (a number, or ``auto``) in ``RATELIMIT_PERIOD`` seconds.

    It is firm unless ``RATELIMIT_FIRM`` is off. Raises :exc:`ConfigurationError`.
    """
    text = str(settings.get("RATELIMIT_CALLS") or 0)
    period = number(settings, "RATELIMIT_PERIOD") if "RATELIMIT_PERIOD" in settings else 60.0
    limit = limit_of("API_RATE_LIMIT", text, ConfiguredLimit(0, period, firm=False))
    is_firm = limit.firm and settings.getbool("RATELIMIT_FIRM", True)
    return ConfiguredLimit(limit.calls, period, is_firm)
