"""The share of each crawl, where several have the same limit."""

from coinspider.http.limit.counting import used
from coinspider.http.limit.state import GRANT_SECONDS, Grant, Holder, LimitState

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
