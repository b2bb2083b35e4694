"""Learns the size and the period of an API's limit from refusals, headers and accepted calls.

The model: a limiter is a window of ``calls`` in ``period`` seconds (fixed or sliding), or a bucket
that refills call by call at a ``rate``.

1. The first refusal tells the size: what had passed. With ``Retry-After`` it tells the period too:
   from the first of these calls to the end of the wait. Without, a configured period is believed,
   and if there is none 1, 8 and 64 seconds are tried, then twice as long each time.
2. A refusal of the first call after a wait tells that the wait, and so the period, was too short.
3. A refusal after a few calls, where a window would have let all of them pass, tells of a bucket:
   its rate is what passed per second since the refusal before.
4. Any other refusal corrects the size and the period as the first one gave them.
5. After a time without refusals the limit is raised by a tenth, to find one that has risen. Each
   time that this was refused it waits twice as long, up to a day.
6. What the API tells in headers is believed instead, and nothing is tried.

Functions of a :class:`~coinspider.http.limit.state.LimitState`; no input or output.
"""

from math import floor
from typing import NamedTuple

from coinspider.http.limit.counting import count_since
from coinspider.http.limit.headers import HeaderLimit
from coinspider.http.limit.state import NEVER, LimitState, ToldLimit

# Seconds. Such a window may begin by the clock, and then in the middle of what was measured.
_BY_THE_CLOCK = (60.0, 300.0, 900.0, 3600.0)
_LADDER = 8.0
_LADDER_END = 60.0
_PATIENCE_MIN, _PATIENCE_MAX = 600.0, 86_400.0  # seconds
# A window that gives back less than this share of its calls is none.
_WINDOW_SHARE = 0.8


def passed(state: LimitState, now: float, age: float = 0.0) -> None:
    """Note that a call that began ``age`` seconds ago was not refused."""
    if not state.run_passed:
        state.run_start = now - age
    state.run_passed += 1
    state.in_a_row = 0
    if state.source == "learned" and now >= state.probe_at:
        _probe(state, now)


class Refusal(NamedTuple):
    """How many seconds to wait after a call that began ``age`` seconds ago, if the API says so."""

    age: float
    wait: float | None
    why: str = ""


def refused(state: LimitState, now: float, refusal: Refusal, told: ToldLimit) -> None:
    """Note that a call was refused just now."""
    age, wait, why = refusal
    if now - age < state.refused_at:  # it was already under way when another one was refused
        _block(state, now + (wait or 0.0), why)
        return
    count, state.in_a_row = state.run_passed, state.in_a_row + 1
    if state.source != "headers":
        _learn(state, now - age, count, wait, told)
        _be_patient(state, now)
    until = now + wait if wait is not None else state.burst_start + state.period
    if state.rate:
        until = max(until, now + 1 / state.rate)
    _block(state, max(until, now + _least_wait(state)), why)
    state.refused_at, state.run_passed = now, 0


def told_by_headers(state: LimitState, now: float, limit: HeaderLimit) -> None:
    """Adopt what a response says; if no call remains, none goes before the reset."""
    if limit.remaining == 0 and limit.reset:
        _block(state, now + limit.reset, "the API tells that no call is left")
    period = limit.period
    if period is None and limit.calls and limit.remaining == limit.calls - 1:
        period = limit.reset  # of a window that begins with this call
    if limit.calls and period:
        state.calls, state.period, state.rate = limit.calls, period, 0.0
        state.source, state.probe_at = "headers", NEVER


def _learn(state: LimitState, now: float, count: int, wait: float | None, told: ToldLimit) -> None:
    if count == 0 and state.in_a_row > 1:
        _wait_longer(state, now, wait, told)
    elif state.rate:
        _correct_rate(state, now, count)
    elif _is_foreign(state, now, count, wait):
        state.burst_start = now - state.period
    elif state.source == "learned" and 0 < count < state.calls * _WINDOW_SHARE:
        _become_bucket(state, now, count)
    elif state.source == "learned" and count > state.calls and (wait or 0) <= state.period + 1:
        _lower(state, now, wait)
    else:
        _become_window(state, now, count, wait, told)


def _become_window(
    state: LimitState, now: float, count: int, wait: float | None, told: ToldLimit
) -> None:
    start = state.run_start if count else now
    if wait is None:
        period = _untold_period(state, told)
    else:
        period = _common_period(now - start + wait, wait)
        # A window that begins so much later is not a matter of the rounding of Retry-After.
        if (since := now + wait - period) > start + 1:
            count, start = count_since(state, since), since
    state.calls, state.period, state.source = max(1, count), period, "learned"
    state.burst_start = start


def _lower(state: LimitState, now: float, wait: float | None) -> None:
    """Lower the size of the window, which a refusal has shown to be too large."""
    count = count_since(state, now + (wait or state.period) - state.period)
    least = state.calls // 2
    state.calls = count if least < count < state.calls else max(1, int(state.calls * 0.9))
    state.burst_start = now - state.period


def _common_period(longest: float, wait: float) -> float:
    """The period that lies between the wait and the whole time, preferably a minute or an hour.

    ``Retry-After`` has whole seconds, rounded up, so the whole time is up to one too long.
    """
    usual = [p for p in _BY_THE_CLOCK if max(wait, 0.7 * longest) <= p <= longest]
    return usual[-1] if usual else max(float(floor(longest)), 1.0)


def _untold_period(state: LimitState, told: ToldLimit) -> float:
    if state.source:
        return state.period
    return told.period if told.calls else 1.0


def _wait_longer(state: LimitState, now: float, wait: float | None, told: ToldLimit) -> None:
    if wait is not None and not state.rate:
        state.period = max(state.period, _common_period(now - state.burst_start + wait, wait))
    elif state.rate:
        state.rate *= 0.7
    elif told.calls or state.period >= _LADDER_END:
        state.period *= 2
    else:
        state.period *= _LADDER


def _is_foreign(state: LimitState, now: float, count: int, wait: float | None) -> bool:
    """Whether somebody else's calls may explain a refusal; this is believed once."""
    known = state.source == "learned" and state.refused_at < now - 2 * state.period
    if not (known and count and (wait or 0.0) <= state.period + 1):
        return False
    ours = count_since(state, now + (wait or state.period) - state.period)
    return ours < state.calls * _WINDOW_SHARE


def _become_bucket(state: LimitState, now: float, count: int) -> None:
    state.rate = count / max(now - state.refused_at, 0.001)
    state.tokens, state.tokens_at = 0.0, now


def _correct_rate(state: LimitState, now: float, count: int) -> None:
    seconds = max(now - state.refused_at, 0.001)
    if count <= state.calls + 2 and seconds * state.rate > state.calls:
        state.calls = max(1, min(state.calls, count) - 1)  # a full bucket held no more
    elif count > 2:
        state.rate = min(state.rate * 0.95, count / seconds)
    else:
        state.rate *= 0.8
    state.tokens, state.tokens_at = 0.0, now


def _be_patient(state: LimitState, now: float) -> None:
    least = max(_PATIENCE_MIN, 2 * state.period)
    state.patience = min(max(state.patience * 2, least), _PATIENCE_MAX)
    state.probe_at = now + state.patience


def _probe(state: LimitState, now: float) -> None:
    if state.rate:
        state.rate *= 1.1
    else:
        state.calls += max(1, state.calls // 10)
    state.probe_at = now + state.patience


def _least_wait(state: LimitState) -> float:
    """Something, that grows with refusals in a row, whatever the server tells."""
    return min(state.period, 0.1) * 2.0 ** min(state.in_a_row - 1, 12)


def _block(state: LimitState, until: float, why: str) -> None:
    if until > state.blocked_until:
        state.blocked_until, state.why = until, why
