"""Whose turn it is: how many calls a crawl may make now, or how long it has to wait."""

from coinspider.http.limit import bucket, trials
from coinspider.http.limit.clock import turn_back
from coinspider.http.limit.counting import forget, used
from coinspider.http.limit.month import exhausted_words
from coinspider.http.limit.shares import (
    POLL,
    at_a_time,
    grant_calls,
    let_wait,
    next_free,
    others_open,
    take_share,
    used_up,
)
from coinspider.http.limit.state import Grant, Holder, LimitState, ToldLimit

# While nothing is known of a limit, each call under way may be a refused one.
CAREFUL = 3
# No limit is larger if it is one that can be learned.
_LARGEST = 1000
# A bucket is full after such a pause.
_IDLE_PERIODS = 1.5


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
        return grant_calls(state, me, now, Grant(min(wanted, most), at_once=at_once))
    return _take_some(state, holder, now, Grant(wanted, at_once=at_once), told)


def _take_some(state: LimitState, holder: str, now: float, asked: Grant, told: ToldLimit) -> Grant:
    """What each of the limits lets go that hold at once."""
    for calls, period in state.windows_beside(told):
        free = calls - used(state, now - period)
        if free < 1:
            wait = next_free(state, now, period, 1 - free)
            return let_wait(state.holders[holder], now, wait, used_up(calls, period))
        asked = asked._replace(calls=min(asked.calls, free))
    if state.rate:
        return _take_token(state, holder, now, asked)
    return take_share(state, holder, now, asked, state.limit_for(told)[:2])


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
        bucket.note_full(state, now)
    if state.tokens < 1 - 1e-6:
        why = f"{60 * state.rate:.3g} calls a minute are used up"
        return let_wait(me, now, (1 - state.tokens) / state.rate, why)
    most = at_a_time(state, now, holder, state.calls)
    count = min(asked.calls, max(1, int(state.tokens)), most)
    state.tokens -= count
    return grant_calls(state, me, now, asked._replace(calls=count))


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
