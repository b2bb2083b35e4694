"""Whose turn it is: how many calls a crawl may make now, or how long it has to wait."""

from coinspider.http.limit import bucket, trials
from coinspider.http.limit.clock import turn_back
from coinspider.http.limit.counting import forget, used
from coinspider.http.limit.month import exhausted_words
from coinspider.http.limit.state import GRANT_SECONDS, Grant, Holder, LimitState, ToldLimit

# For this share of a period a crawl's share of the calls is kept for it, though it asks for none.
_ACTIVE_SHARE = 1 / 3
# While nothing is known of a limit, each call under way may be a refused one.
CAREFUL = 3
# No limit is larger if it is one that can be learned.
_LARGEST = 1000
# A bucket is full after such a pause.
_IDLE_PERIODS = 1.5
_POLL = 0.05  # seconds
# Another crawl may give back a call that was granted a moment ago. (Longer waits are logged.)
_GIVEN_BACK = 0.9  # seconds


def take(state: LimitState, holder: str, now: float, wanted: int, told: ToldLimit) -> Grant:
    """Let up to ``wanted`` calls of a crawl go, or say how long none may."""
    if not state.source:
        state.period = told.period
    state.told = told
    turn_back(state, now)
    calls, period, rate = state.limit_for(told)
    forget(state, now, max([period, *(seconds for _, seconds in state.windows_beside(told))]))
    if not rate and now - state.answered_at > _IDLE_PERIODS * period:
        bucket.note_full(state, now)
    me = state.holders.setdefault(holder, Holder())
    me.wanted, me.waits = wanted, False
    if me.open:  # a call that takes long may not have come to the API yet
        me.until = max(me.until, now)
    at_once = _at_once(state, calls, told, now)
    if closed := _closed(state, me, now, at_once):
        return closed
    if not calls:
        most = _until_trial(state, told, now) or wanted
        return _grant(state, me, now, Grant(min(wanted, most), at_once=at_once))
    return _take_some(state, holder, now, Grant(wanted, at_once=at_once), told)


def _take_some(state: LimitState, holder: str, now: float, asked: Grant, told: ToldLimit) -> Grant:
    """What each of the limits lets go that hold at once."""
    for calls, period in state.windows_beside(told):
        free = calls - used(state, now - period)
        if free < 1:
            wait = _next_free(state, now, period, 1 - free)
            return _wait(state.holders[holder], now, wait, _used_up(calls, period))
        asked = asked._replace(calls=min(asked.calls, free))
    if state.rate:
        return _take_token(state, holder, now, asked)
    return _take_share(state, holder, now, asked, state.limit_for(told)[:2])


def _closed(state: LimitState, me: Holder, now: float, at_once: int) -> Grant | None:
    """Why no crawl may make calls now, or none while another one does."""
    if state.exhausted_until > now:
        return Grant(0, exhausted=exhausted_words(state))
    if state.blocked_until > now:
        return _wait(me, now, state.blocked_until - now, state.why)
    is_shared = at_once == 1 or state.source == "learned"
    if is_shared and at_once <= _others_open(state, me, now):
        return _wait(me, now, _POLL, "a call of another crawl shows whether more may go")
    return None


def _take_share(
    state: LimitState, holder: str, now: float, asked: Grant, window: tuple[int, float]
) -> Grant:
    """What is free in the window, less what is kept for other crawls."""
    calls, period = window
    since, me = now - period, state.holders[holder]
    free = allowed = calls - used(state, since)
    why = _used_up(calls, period)
    if others := [name for name in _active(state, now) if name != holder]:
        share = max(1, calls // (len(others) + 1))
        reserved = sum(_reserve(state, name, share, since) for name in others)
        allowed = max(min(free, share - used(state, since, holder)), free - reserved)
        why += f", shared with {len(others)} other crawl{'s' * (len(others) > 1)} of this key"
    if allowed < 1:
        wait = _POLL if free > 0 else _next_free(state, now, period, 1 - free)
        if _others_open(state, me, now):
            wait = min(wait, _GIVEN_BACK)
        return _wait(me, now, wait, why)
    batch = min(asked.calls, _most(state, now, holder, calls), allowed)
    return _grant(state, me, now, asked._replace(calls=batch))


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


def _most(state: LimitState, now: float, holder: str, calls: int) -> int:
    """How many calls are granted at a time, so that others need not wait for unused ones."""
    return calls if _active(state, now) in ([], [holder]) else max(1, calls // 10)


def _active(state: LimitState, now: float) -> list[str]:
    return [name for name, holder in state.holders.items() if holder.active_until > now]


def _others_open(state: LimitState, me: Holder, now: float) -> int:
    """How many calls other crawls have under way, or may still begin."""
    return sum(h.open for h in state.holders.values() if h is not me and h.until > now)


def _reserve(state: LimitState, name: str, share: int, since: float) -> int:
    """What is kept for another crawl: its share, or as much of it as it can use soon."""
    holder = state.holders[name]
    rest = max(0, share - used(state, since, name))
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


def _take_token(state: LimitState, holder: str, now: float, asked: Grant) -> Grant:
    me = state.holders[holder]
    gained = (now - state.tokens_at) * state.rate
    state.tokens, state.tokens_at = state.tokens + max(0.0, gained), now
    if state.tokens >= state.calls:
        state.tokens = float(state.calls)
        bucket.note_full(state, now)
    if state.tokens < 1 - 1e-6:
        why = f"{60 * state.rate:.3g} calls a minute are used up"
        return _wait(me, now, (1 - state.tokens) / state.rate, why)
    most = _most(state, now, holder, state.calls)
    count = min(asked.calls, max(1, int(state.tokens)), most)
    state.tokens -= count
    return _grant(state, me, now, asked._replace(calls=count))


def _until_trial(state: LimitState, told: ToldLimit, now: float) -> int:
    """How many calls are left until a limit is tried that may be wrong; one at a time from there.

    0 if none is tried: the plan's one until something is learned, or what was learned before it was
    raised.
    """
    if state.source == "learned" and trials.is_raised(state) and not state.rate:
        return max(1, state.proven_calls - used(state, now - state.period))
    if state.source or told.firm or not told.calls:
        return 0
    left = told.calls - used(state, now - told.period)
    if left <= 0 and (left < -told.calls // 10 or state.run_passed > 2 * told.calls):
        return 0
    return max(1, left)


def _at_once(state: LimitState, calls: int, told: ToldLimit, now: float) -> int:
    if state.is_careful() or (_until_trial(state, told, now) == 1):
        return 1
    if state.source == "learned" and state.run_passed < calls:  # it may be a bucket
        return min(CAREFUL, 1 + int(state.age * (state.rate or calls / state.period)))
    is_unknown = not calls and not told.firm and state.run_passed < _LARGEST
    return CAREFUL if is_unknown else 1_000_000


def _grant(state: LimitState, me: Holder, now: float, grant: Grant) -> Grant:
    me.open += grant.calls
    state.made += grant.calls
    me.until = now + GRANT_SECONDS
    me.active_until = max(me.until, now + state.period * _ACTIVE_SHARE)
    return grant


def _used_up(calls: int, period: float) -> str:
    return f"{calls} calls in {period:g} s are used up"


def _wait(me: Holder, now: float, wait: float, why: str) -> Grant:
    me.waits, me.active_until = True, now + wait + GRANT_SECONDS
    return Grant(0, wait, why)
