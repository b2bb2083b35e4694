"""The calls that count against a limit just now."""

from coinspider.http.limit.state import Ended, Holder, LimitState

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
        state.ended.append(Ended(holder, 1, at, at))


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
