"""Whether something other than the known limit explains a refusal."""

from coinspider.http.limit import bucket, window
from coinspider.http.limit.counting import count_since
from coinspider.http.limit.state import LimitState

# Only one refusal in this time is explained by something else.
_DOUBT_SECONDS = 600.0
# The longest period that is learned, with the rounding of Retry-After.
PERIOD_MAX = 3601.0  # seconds
# A limit has proved right when this number of its periods' calls passed without a refusal.
PROOF = 3
# What lets fewer than this share of its calls pass after a wait is not a window.
_WINDOW_SHARE = 0.8


def is_of_another_limit(state: LimitState, wait: float | None) -> bool:
    """Whether a wait is longer than any that is learned, or than a limit that is well known."""
    if wait is None:
        return False
    return wait > PERIOD_MAX or (state.is_proved and wait > PROOF * state.period + 1)


def doubt(state: LimitState, now: float) -> bool:
    """Whether this is the first refusal for a while that something else may explain."""
    is_first = now - state.doubted_at > max(_DOUBT_SECONDS, 2 * state.period)
    state.doubted_at = now
    return is_first


def contradicts_headers(state: LimitState, now: float) -> bool:
    """Whether fewer calls are allowed than the headers say.

    The first time, somebody else is assumed to have made calls.
    """
    if count_since(state, now - state.period) >= state.calls * _WINDOW_SHARE:
        return False
    if doubt(state, now):
        return False
    state.distrusts_headers, state.source = True, ""
    return True


def is_foreign(state: LimitState, now: float, wait: float | None) -> bool:
    """Whether somebody else's calls may explain a refusal; the next one is not explained so."""
    known = state.source == "learned" and state.refused_at < now - 2 * state.period
    if not known or (wait or 0.0) > state.period + 1:
        return False
    ours = count_since(state, window.began_at(state, now, wait))
    return ours < state.calls * _WINDOW_SHARE and doubt(state, now)


def may_be_bucket(state: LimitState, now: float, wait: float | None) -> bool:
    """Whether fewer calls have passed than the window allows, and it has not proved to be one."""
    is_few = state.run_passed < state.calls * _WINDOW_SHARE
    if state.source != "learned" or not is_few or state.is_proved:
        return False
    return bucket.explains(state.run_passed / max(now - state.refused_at, 0.001), wait)
