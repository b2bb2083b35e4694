"""Learns the rate of a bucket that refills call by call, and how many calls a full one holds.

It was empty when a call was refused; with ``Retry-After``, it had one call again at the end of the
wait. What passed between two such moments, it had gained.
"""

from coinspider.http.limit.state import LimitState

# A rate that led to a refusal was too high by at least this share.
_LESS = 0.98
# A rate that was measured from fewer calls is tried upward after this number of calls.
ROUGH_CALLS = 10
# Of a call that it may have gained between two refusals, besides those that passed.
_PART = 0.25
# Two bursts are compared if one took longer than the other by this factor.
_LONGER = 1.1
_ROUNDING = 0.25  # seconds, of two Retry-After


def become(state: LimitState, now: float, wait: float | None) -> None:
    """Take for a bucket what was taken for a window, after the refusal of a call."""
    if become_by_two_bursts(state, now, wait):
        return
    if state.since_full:  # but at the last refusal it was empty
        state.since_at, state.since_passed = state.refused_at, state.run_passed
        state.since_full = False
    state.rate = _measured(state, now, wait)
    # Looking for the period has cost refusals enough.
    is_found = wait is not None or state.period <= 1
    state.is_rough = is_found and state.since_passed < ROUGH_CALLS
    # What passed before the first refusal, a full bucket held or gained meanwhile.
    gained = int(state.rate * (state.burst_end - state.burst_start))
    state.calls = max(1, state.calls - gained)
    _empty(state, now, wait)


def become_by_two_bursts(state: LimitState, now: float, wait: float | None) -> bool:
    """The same from two bursts that each began with a full bucket; ``False`` if that is impossible.

    The longer burst has more calls by what the bucket gained in the time that it took longer.
    """
    first, second = state.burst_end - state.burst_start, now - state.since_at
    more = state.since_passed - state.burst_passed
    if not state.since_full or more < 1 or second < _LONGER * first:
        return False
    state.rate = more / (second - first)
    state.calls = max(1, int(state.burst_passed - state.rate * first))
    measure_from(state, now, wait)
    _empty(state, now, wait)
    return True


def explains(rate: float, wait: float | None) -> bool:
    """Whether a bucket with this rate, or one half as high, has a call after a wait."""
    return wait is None or wait <= 2 / rate + 1  # rounded up to a second


def correct(state: LimitState, now: float, wait: float | None) -> None:
    """Lower the rate, or the size if the bucket was full a short time ago."""
    # Another trial costs another refusal, and is worth it only if the rate may be far off.
    state.is_rough = not state.since_full and state.since_passed < ROUGH_CALLS // 2
    seconds = max(now - state.since_at, 0.001)
    if not state.since_full:
        state.rate = min(state.rate * _LESS, _measured(state, now, wait))
    elif seconds * state.rate < state.calls or state.since_passed <= state.calls:
        state.calls = max(1, min(state.calls - 1, int(state.since_passed - seconds * state.rate)))
    else:
        state.rate = min(state.rate * _LESS, (state.since_passed - state.calls) / seconds)
    if state.since_full:
        measure_from(state, now, wait)
    _empty(state, now, wait)


def wait_longer(state: LimitState, wait: float | None) -> None:
    """Lower the rate: a call was refused after the wait that should have been enough."""
    if wait is None:
        state.rate *= 0.7


def note_full(state: LimitState, now: float) -> None:
    """Note that it is full, so that what it gains is lost; and stop raising a rough rate."""
    if state.is_rough and not state.since_full and state.answered_at > state.since_at:
        state.rate = max(state.since_passed / (state.answered_at - state.since_at), 0.001)
    state.is_rough = False
    state.since_at, state.since_passed, state.since_full = now, 0, True


def go_on(state: LimitState, now: float, wait: float | None) -> None:
    """Keep the rate, and note that the bucket is empty."""
    state.is_rough = False
    measure_from(state, now, wait)
    _empty(state, now, wait)


def measure_from(state: LimitState, now: float, wait: float | None) -> None:
    """Measure the rate from now, when the bucket is empty."""
    state.since_at, state.since_wait = now, wait or 0.0
    state.since_passed, state.since_full = 0, False


def _empty(state: LimitState, now: float, wait: float | None) -> None:
    """Note that there is no call in it now, and one after the wait."""
    state.tokens = 0.0 if wait is None else max(0.0, 1 - state.rate * wait)
    state.tokens_at = now


def _measured(state: LimitState, now: float, wait: float | None) -> float:
    """Calls per second since it was empty.

    A slow one is measured from the end of one wait to that of the next. For a fast one, the
    rounding of ``Retry-After`` would matter more.
    """
    seconds = max(now - state.since_at, 0.001)
    # It may have gained part of a call besides.
    if (rate := (state.since_passed + _PART) / seconds) > 1:
        return rate
    exact = seconds + (wait or 0.0) - state.since_wait + _ROUNDING
    return state.since_passed / exact if exact > 0 else rate
