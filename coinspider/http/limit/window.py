"""Learns the size and the period of a window, fixed or sliding."""

from math import floor

from coinspider.http.limit import bucket
from coinspider.http.limit.counting import count_since
from coinspider.http.limit.state import LimitState, ToldLimit

# Seconds. Such a window may begin by the clock, and then in the middle of what was measured.
_BY_THE_CLOCK = (60.0, 300.0, 900.0, 3600.0)
# The periods that are tried, in seconds, if neither the API nor the settings give one.
_RUNGS = (1.0, 6.0, 60.0, 360.0, 3600.0)
# How many times more or fewer calls than configured still make the configured period likely.
_LIKELY = 2


def become(state: LimitState, now: float, wait: float | None, told: ToldLimit) -> None:
    """Learn from the calls that have passed, and the refusal of the next one."""
    count, start = state.run_passed, state.run_start
    if wait is None:
        period = _untold_period(state, told, now - start)
    else:
        period = _common_period(now - start + wait + state.age, wait)
    # A window that begins so much later is not a matter of the rounding of Retry-After.
    if (since := now + (wait or 0.0) - period) > start + 1:
        count, start = count_since(state, since), since
    state.calls, state.period, state.source = max(1, count), period, "learned"
    state.is_proved, state.is_rough, state.rate = False, False, 0.0
    state.burst_start, state.burst_end, state.burst_passed = start, now, state.calls
    bucket.measure_from(state, now, wait)


def add_late(state: LimitState) -> None:
    """Count a call that was under way when the first one was refused, and passed."""
    if state.burst_end == state.refused_at and not state.rate:
        state.calls += 1
        state.burst_passed += 1


def lower(state: LimitState, now: float, wait: float | None) -> None:
    """Lower the size, which a refusal has shown to be too large."""
    if bucket.become_by_two_bursts(state, now, wait):
        return
    count = count_since(state, began_at(state, now, wait))
    least = state.calls // 2
    less = state.calls - max(1, state.calls // 20)
    state.calls = count if least < count < state.calls else max(1, less)


def wait_longer(state: LimitState, now: float, wait: float | None) -> None:
    """Lengthen the period: a call after the wait was refused."""
    if wait is not None:
        longest = now - state.burst_start + wait
        found = _usual_periods(longest, wait) or [longest]  # the rounded one was too short
        state.period = max(state.period, found[-1])
        return
    longer = [period for period in _RUNGS if period > state.period]
    state.period = longer[0] if longer else 2 * state.period


def began_at(state: LimitState, now: float, wait: float | None) -> float:
    """The latest moment at which the window can have begun in which a call was refused."""
    if wait is None:
        return now - state.period
    return now + max(0.0, wait - 1) - state.period  # rounded up to a second


def free_at(state: LimitState) -> float:
    """When the next call may pass, if the API does not say.

    A sliding window may count refused calls as well. Then it takes a call longer for each of them.
    """
    calls = (state.burst_end - state.burst_start) / max(1, state.calls)
    return state.burst_start + state.period + state.in_a_row * calls + state.age


def rung(number: int) -> float:
    """How long to wait after that number of refusals in a row, if nothing is known."""
    return _RUNGS[min(number, len(_RUNGS)) - 1]


def _common_period(longest: float, wait: float) -> float:
    """The period that lies between the wait and the whole time.

    ``Retry-After`` has whole seconds, rounded up, so the whole time is up to one too long.
    """
    return (_usual_periods(longest, wait) or [max(float(floor(longest)), 1.0)])[-1]


def _usual_periods(longest: float, wait: float) -> list[float]:
    return [p for p in _BY_THE_CLOCK if max(wait, 0.7 * longest) <= p <= longest]


def _untold_period(state: LimitState, told: ToldLimit, seconds: float) -> float:
    """The likely period if the limit was met after that time."""
    if state.source:
        return state.period
    if told.calls / _LIKELY <= state.run_passed <= told.calls * _LIKELY:
        return told.period
    return next((rung for rung in _RUNGS[:3] if rung > seconds), _RUNGS[0])
