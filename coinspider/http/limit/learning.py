"""Learns the size and the period of an API's limit from refusals, headers and accepted calls.

The model: a limiter is a window of ``calls`` in ``period`` seconds (fixed or sliding), or a bucket
that refills call by call at a ``rate``. A bucket is empty when a call is refused; with
``Retry-After``, it has one call again at the end of the wait. What passes between two such moments,
it has gained.

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

from math import floor
from typing import NamedTuple

from coinspider.http.limit.headers import HeaderLimit
from coinspider.http.limit.state import NEVER, ConfiguredLimit, LimitState, count_since

# Seconds. Such a window may begin by the clock, and then in the middle of what was measured.
_BY_THE_CLOCK = (60.0, 300.0, 900.0, 3600.0)
# The periods that are tried, in seconds, if neither the API nor the settings give one.
_RUNGS = (1.0, 6.0, 60.0, 360.0, 3600.0)
# How many times more or fewer calls than configured still make the configured period likely.
_LIKELY = 2
# A rate that led to a refusal was too high by at least this share.
_LESS = 0.98
# A rate that was measured from fewer calls is tried upward after this number of calls.
ROUGH_CALLS = 10
# Of a call that it may have gained between two refusals, besides those that passed.
_PART = 0.25
# Two bursts are compared if one took longer than the other by this factor.
_LONGER = 1.1
_ROUNDING = 0.25  # seconds, of two Retry-After
# Only one refusal in this time is explained by something else.
_DOUBT_SECONDS = 600.0
# The longest period that is learned, with the rounding of Retry-After.
PERIOD_MAX = 3601.0  # seconds
# A limit has proved right when this number of its periods' calls passed without a refusal.
PROOF = 3
# What lets fewer than this share of its calls pass after a wait is not a window.
_WINDOW_SHARE = 0.8
_PATIENCE_MIN, _PATIENCE_MAX = 600.0, 86_400.0  # seconds
# A limit is tried upward no sooner than after this number of periods.
_PATIENCE_PERIODS = 10


def passed(state: LimitState, now: float, age: float = 0.0) -> None:
    """Note that a call that began ``age`` seconds ago was not refused."""
    if now - age < state.refused_at:  # it was already under way
        _add_late(state)
        return
    if not state.run_passed:
        state.run_start = now
    state.age, state.answered_at = age, now
    state.run_passed += 1
    state.since_passed += 1
    state.in_a_row = 0
    state.is_proved |= state.run_passed >= PROOF * state.calls > 0
    if state.source == "learned" and now >= state.probe_at:
        _probe(state, now)


class Refusal(NamedTuple):
    """How many seconds to wait after a call that began ``age`` seconds ago, if the API says so."""

    age: float
    wait: float | None
    why: str = ""
    is_sure: bool = True
    """Whether it can't be a fault of the server."""


def refused(state: LimitState, now: float, refusal: Refusal, configured: ConfiguredLimit) -> None:
    """Note that a call was refused just now."""
    age, wait, why, is_sure = refusal
    if now - age < state.refused_at:  # it was already under way when another one was refused
        _block(state, now + (wait or 0.0), why)
        return
    state.age, state.answered_at = age, now
    state.in_a_row += 1
    if not _is_of_another_limit(state, wait) and (is_sure or not _doubt(state, now)):
        _learn(state, now, wait, configured)
    _be_patient(state, now)
    _block(state, max(_free_at(state, now, wait), now + _least_wait(state)), why)
    state.refused_at, state.run_passed = now, 0


def adopt_headers(state: LimitState, now: float, limit: HeaderLimit) -> None:
    """Adopt what a response says; if no call remains, none goes before the reset."""
    if limit.remaining == 0 and limit.reset:
        wait = min(limit.reset, PERIOD_MAX)
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


def _learn(state: LimitState, now: float, wait: float | None, configured: ConfiguredLimit) -> None:
    if state.source == "headers" and not _contradicts_headers(state, now):
        return
    if state.run_passed == 0:
        _wait_longer(state, now, wait)
    elif state.rate:
        _learn_of_bucket(state, now, wait, configured)
    elif state.source == "learned":
        _learn_of_window(state, now, wait, configured)
    else:
        _become_window(state, now, wait, configured)


def _learn_of_bucket(
    state: LimitState, now: float, wait: float | None, configured: ConfiguredLimit
) -> None:
    if not _explains(state.rate, wait):
        _become_window(state, now, wait, configured)
    elif is_raised(state) and state.since_full:
        state.calls, state.rate = state.proven_calls, state.proven_rate
        _go_on(state, now, wait)
    else:
        state.calls = min(state.calls, state.proven_calls)
        _correct_bucket(state, now, wait)


def _learn_of_window(
    state: LimitState, now: float, wait: float | None, configured: ConfiguredLimit
) -> None:
    if is_raised(state):
        state.calls = state.proven_calls
    elif _is_foreign(state, now, wait):
        return
    elif _may_be_bucket(state, now, wait):
        _become_bucket(state, now, wait)
    elif state.run_passed > state.calls and (wait or 0) <= state.period + 1:
        _lower_window(state, now, wait)
    else:
        _become_window(state, now, wait, configured)


def _wait_longer(state: LimitState, now: float, wait: float | None) -> None:
    """Lengthen the wait if no call has passed after the last one; the size is kept."""
    if state.source != "learned" or state.in_a_row == 1:
        return
    if state.rate:
        _slow_bucket(state, wait)
    else:
        _lengthen_window(state, now, wait)


def _free_at(state: LimitState, now: float, wait: float | None) -> float:
    if wait is not None:
        return now + wait
    if state.rate:
        return now + 1 / state.rate
    if state.source:
        return max(now, _window_free_at(state))
    return now + _RUNGS[min(state.in_a_row, len(_RUNGS)) - 1]


def _least_wait(state: LimitState) -> float:
    """A short wait that doubles with each refusal in a row, whatever the server says."""
    return min(state.period, 0.1) * 2.0 ** min(state.in_a_row - 1, 12)


def _block(state: LimitState, until: float, why: str) -> None:
    if until > state.blocked_until:
        state.blocked_until, state.why = until, why


def _become_window(
    state: LimitState, now: float, wait: float | None, configured: ConfiguredLimit
) -> None:
    """Learn from the calls that have passed, and the refusal of the next one."""
    count, start = state.run_passed, state.run_start
    if wait is None:
        period = _period_without_wait(state, configured, now - start)
    else:
        period = _common_period(now - start + wait + state.age, wait)
    # A window that begins so much later is not a matter of the rounding of Retry-After.
    if (since := now + (wait or 0.0) - period) > start + 1:
        count, start = count_since(state, since), since
    state.calls, state.period, state.source = max(1, count), period, "learned"
    state.is_proved, state.is_rough, state.rate = False, False, 0.0
    state.burst_start, state.burst_end, state.burst_passed = start, now, state.calls
    _measure_from(state, now, wait)


def _add_late(state: LimitState) -> None:
    """Count a call that was under way when the first one was refused, and passed."""
    if state.burst_end == state.refused_at and not state.rate:
        state.calls += 1
        state.burst_passed += 1


def _lower_window(state: LimitState, now: float, wait: float | None) -> None:
    """Lower the size, which a refusal has shown to be too large."""
    if _become_by_two_bursts(state, now, wait):
        return
    count = count_since(state, _began_at(state, now, wait))
    least = state.calls // 2
    less = state.calls - max(1, state.calls // 20)
    state.calls = count if least < count < state.calls else max(1, less)


def _lengthen_window(state: LimitState, now: float, wait: float | None) -> None:
    """Lengthen the period: a call after the wait was refused."""
    if wait is not None:
        longest = now - state.burst_start + wait
        found = _usual_periods(longest, wait) or [longest]  # the rounded one was too short
        state.period = max(state.period, found[-1])
        return
    longer = [period for period in _RUNGS if period > state.period]
    state.period = longer[0] if longer else 2 * state.period


def _began_at(state: LimitState, now: float, wait: float | None) -> float:
    """The latest moment at which the window can have begun in which a call was refused."""
    if wait is None:
        return now - state.period
    return now + max(0.0, wait - 1) - state.period  # rounded up to a second


def _window_free_at(state: LimitState) -> float:
    """When the next call may pass, if the API does not say.

    A sliding window may count refused calls as well. Then it takes a call longer for each of them.
    """
    calls = (state.burst_end - state.burst_start) / max(1, state.calls)
    return state.burst_start + state.period + state.in_a_row * calls + state.age


def _common_period(longest: float, wait: float) -> float:
    """The period that lies between the wait and the whole time.

    ``Retry-After`` has whole seconds, rounded up, so the whole time is up to one too long.
    """
    return (_usual_periods(longest, wait) or [max(float(floor(longest)), 1.0)])[-1]


def _usual_periods(longest: float, wait: float) -> list[float]:
    return [p for p in _BY_THE_CLOCK if max(wait, 0.7 * longest) <= p <= longest]


def _period_without_wait(state: LimitState, configured: ConfiguredLimit, seconds: float) -> float:
    """The likely period if the limit was met after that time."""
    if state.source:
        return state.period
    if configured.calls / _LIKELY <= state.run_passed <= configured.calls * _LIKELY:
        return configured.period
    return next((rung for rung in _RUNGS[:3] if rung > seconds), _RUNGS[0])


def _become_bucket(state: LimitState, now: float, wait: float | None) -> None:
    """Take for a bucket what was taken for a window, after the refusal of a call."""
    if _become_by_two_bursts(state, now, wait):
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


def _become_by_two_bursts(state: LimitState, now: float, wait: float | None) -> bool:
    """The same from two bursts that each began with a full bucket; ``False`` if that is impossible.

    The longer burst has more calls by what the bucket gained in the time that it took longer.
    """
    first, second = state.burst_end - state.burst_start, now - state.since_at
    more = state.since_passed - state.burst_passed
    if not state.since_full or more < 1 or second < _LONGER * first:
        return False
    state.rate = more / (second - first)
    state.calls = max(1, int(state.burst_passed - state.rate * first))
    _measure_from(state, now, wait)
    _empty(state, now, wait)
    return True


def _explains(rate: float, wait: float | None) -> bool:
    """Whether a bucket with this rate, or one half as high, has a call after a wait."""
    return wait is None or wait <= 2 / rate + 1  # rounded up to a second


def _correct_bucket(state: LimitState, now: float, wait: float | None) -> None:
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
        _measure_from(state, now, wait)
    _empty(state, now, wait)


def _slow_bucket(state: LimitState, wait: float | None) -> None:
    """Lower the rate: a call was refused after the wait that should have been enough."""
    if wait is None:
        state.rate *= 0.7


def note_full(state: LimitState, now: float) -> None:
    """Note that it is full, so that what it gains is lost; and stop raising a rough rate."""
    if state.is_rough and not state.since_full and state.answered_at > state.since_at:
        state.rate = max(state.since_passed / (state.answered_at - state.since_at), 0.001)
    state.is_rough = False
    state.since_at, state.since_passed, state.since_full = now, 0, True


def _go_on(state: LimitState, now: float, wait: float | None) -> None:
    """Keep the rate, and note that the bucket is empty."""
    state.is_rough = False
    _measure_from(state, now, wait)
    _empty(state, now, wait)


def _measure_from(state: LimitState, now: float, wait: float | None) -> None:
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


def _is_of_another_limit(state: LimitState, wait: float | None) -> bool:
    """Whether a wait is longer than any that is learned, or than a limit that is well known."""
    if wait is None:
        return False
    return wait > PERIOD_MAX or (state.is_proved and wait > PROOF * state.period + 1)


def _doubt(state: LimitState, now: float) -> bool:
    """Whether this is the first refusal for a while that something else may explain."""
    is_first = now - state.doubted_at > max(_DOUBT_SECONDS, 2 * state.period)
    state.doubted_at = now
    return is_first


def _contradicts_headers(state: LimitState, now: float) -> bool:
    """Whether fewer calls are allowed than the headers say.

    The first time, somebody else is assumed to have made calls.
    """
    if count_since(state, now - state.period) >= state.calls * _WINDOW_SHARE:
        return False
    if _doubt(state, now):
        return False
    state.distrusts_headers, state.source = True, ""
    return True


def _is_foreign(state: LimitState, now: float, wait: float | None) -> bool:
    """Whether somebody else's calls may explain a refusal; the next one is not explained so."""
    known = state.source == "learned" and state.refused_at < now - 2 * state.period
    if not known or (wait or 0.0) > state.period + 1:
        return False
    ours = count_since(state, _began_at(state, now, wait))
    return ours < state.calls * _WINDOW_SHARE and _doubt(state, now)


def _may_be_bucket(state: LimitState, now: float, wait: float | None) -> bool:
    """Whether fewer calls have passed than the window allows, and it has not proved to be one."""
    is_few = state.run_passed < state.calls * _WINDOW_SHARE
    if state.source != "learned" or not is_few or state.is_proved:
        return False
    return _explains(state.run_passed / max(now - state.refused_at, 0.001), wait)


def _be_patient(state: LimitState, now: float) -> None:
    """Set when the limit is raised next, after a refusal."""
    state.proven_calls, state.proven_rate = state.calls, state.rate
    if state.source != "learned":
        return
    if state.is_rough:
        state.probe_at = now + ROUGH_CALLS / state.rate
        return
    least = max(_PATIENCE_MIN, _PATIENCE_PERIODS * state.period)
    state.patience = min(max(state.patience * 2, least), _PATIENCE_MAX)
    state.probe_at = now + state.patience


def _probe(state: LimitState, now: float) -> None:
    """Raise the limit, which has been kept for long enough without a refusal."""
    state.proven_calls, state.proven_rate = state.calls, state.rate
    state.rate *= 1.1
    if state.is_rough:
        state.probe_at = now + ROUGH_CALLS / state.rate
        return
    state.calls += max(1, state.calls // 10)
    state.probe_at = now + state.patience


def is_raised(state: LimitState) -> bool:
    """Whether the limit is a trial."""
    return state.calls > state.proven_calls or state.rate > state.proven_rate
