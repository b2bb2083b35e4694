"""Learns the size and the period of an API's limit from refusals, headers and accepted calls.

The model: a limiter is a window of ``calls`` in ``period`` seconds (fixed or sliding), or a bucket
that refills call by call at a ``rate``.

1. The first refusal gives the size: what had passed. With ``Retry-After`` it gives the period, too:
   from the first of these calls to the end of the wait. Without it, the configured period is used
   if the size is about the configured one; otherwise 1, 6, 60, 360 and 3600 seconds are tried.
2. If the first call after a wait is refused, the wait, and so the period, was too short.
3. If a call is refused after a few that a window would have let pass, the limiter is a bucket:
   its rate is what has passed per second since it was empty.
4. The first refusal that the known limit does not explain is taken for the effect of somebody
   else's calls; the next one within ten minutes is not. In the same way the first 503 is taken for
   a fault.
5. Any other refusal corrects the size and the period.
6. After a time without refusals the limit is raised by a tenth, to find one that has risen. If this
   is refused, it is what it was before, and the next attempt waits twice as long, up to a day.
7. A limit in the API's headers is used as it is, and nothing is tried, unless calls that it allows
   are refused twice.
8. A wait of more than an hour, or one too long for a limit that has proved right, is that of
   another limit, such as a day's. It is waited for, and changes nothing that is known.

Functions of a :class:`~coinspider.http.limit.state.LimitState`; no input or output.
"""

from typing import NamedTuple

from coinspider.http.limit import bucket, doubts, trials, window
from coinspider.http.limit.headers import HeaderLimit
from coinspider.http.limit.state import NEVER, LimitState, ToldLimit


def passed(state: LimitState, now: float, age: float = 0.0) -> None:
    """Note that a call that began ``age`` seconds ago was not refused."""
    if now - age < state.refused_at:  # it was already under way
        window.add_late(state)
        return
    if not state.run_passed:
        state.run_start = now
    state.age, state.answered_at = age, now
    state.run_passed += 1
    state.since_passed += 1
    state.in_a_row = 0
    state.is_proved |= state.run_passed >= doubts.PROOF * state.calls > 0
    if state.source == "learned" and now >= state.probe_at:
        trials.probe(state, now)


class Refusal(NamedTuple):
    """How many seconds to wait after a call that began ``age`` seconds ago, if the API says so."""

    age: float
    wait: float | None
    why: str = ""
    is_sure: bool = True
    """Whether it can't be a fault of the server."""


def refused(state: LimitState, now: float, refusal: Refusal, told: ToldLimit) -> None:
    """Note that a call was refused just now."""
    age, wait, why, is_sure = refusal
    if now - age < state.refused_at:  # it was already under way when another one was refused
        _block(state, now + (wait or 0.0), why)
        return
    state.age, state.answered_at = age, now
    state.in_a_row += 1
    if not doubts.is_of_another_limit(state, wait) and (is_sure or not doubts.doubt(state, now)):
        _learn(state, now, wait, told)
    trials.be_patient(state, now)
    _block(state, max(_free_at(state, now, wait), now + _least_wait(state)), why)
    state.refused_at, state.run_passed = now, 0


def told_by_headers(state: LimitState, now: float, limit: HeaderLimit) -> None:
    """Adopt what a response says; if no call remains, none goes before the reset."""
    if limit.remaining == 0 and limit.reset:
        wait = min(limit.reset, doubts.PERIOD_MAX)
        _block(state, now + wait, "the API says that no call is left")
    period = limit.period
    if period is None and limit.calls and limit.remaining == limit.calls - 1:
        period = limit.reset  # of a window that begins with this call
    if not (limit.calls and period):
        return
    if state.distrusts_headers and limit.calls / period >= state.calls / state.period:
        return
    state.calls, state.period, state.rate = limit.calls, period, 0.0
    state.source, state.probe_at, state.distrusts_headers = "headers", NEVER, False


def _learn(state: LimitState, now: float, wait: float | None, told: ToldLimit) -> None:
    if state.source == "headers" and not doubts.contradicts_headers(state, now):
        return
    if state.run_passed == 0:
        _wait_longer(state, now, wait)
    elif state.rate:
        _learn_of_bucket(state, now, wait, told)
    elif state.source == "learned":
        _learn_of_window(state, now, wait, told)
    else:
        window.become(state, now, wait, told)


def _learn_of_bucket(state: LimitState, now: float, wait: float | None, told: ToldLimit) -> None:
    if not bucket.explains(state.rate, wait):
        window.become(state, now, wait, told)
    elif trials.is_raised(state) and state.since_full:
        state.calls, state.rate = state.proven_calls, state.proven_rate
        bucket.go_on(state, now, wait)
    else:
        state.calls = min(state.calls, state.proven_calls)
        bucket.correct(state, now, wait)


def _learn_of_window(state: LimitState, now: float, wait: float | None, told: ToldLimit) -> None:
    if trials.is_raised(state):
        state.calls = state.proven_calls
    elif doubts.is_foreign(state, now, wait):
        return
    elif doubts.may_be_bucket(state, now, wait):
        bucket.become(state, now, wait)
    elif state.run_passed > state.calls and (wait or 0) <= state.period + 1:
        window.lower(state, now, wait)
    else:
        window.become(state, now, wait, told)


def _wait_longer(state: LimitState, now: float, wait: float | None) -> None:
    """Lengthen the wait if no call has passed after the last one; the size is kept."""
    if state.source != "learned" or state.in_a_row == 1:
        return
    if state.rate:
        bucket.wait_longer(state, wait)
    else:
        window.wait_longer(state, now, wait)


def _free_at(state: LimitState, now: float, wait: float | None) -> float:
    if wait is not None:
        return now + wait
    if state.rate:
        return now + 1 / state.rate
    if state.source:
        return max(now, window.free_at(state))
    return now + window.rung(state.in_a_row)


def _least_wait(state: LimitState) -> float:
    """A short wait that doubles with each refusal in a row, whatever the server says."""
    return min(state.period, 0.1) * 2.0 ** min(state.in_a_row - 1, 12)


def _block(state: LimitState, until: float, why: str) -> None:
    if until > state.blocked_until:
        state.blocked_until, state.why = until, why
