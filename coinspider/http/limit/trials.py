"""Tries whether a limit has become higher: raises it by a tenth, and waits for a refusal."""

from coinspider.http.limit import bucket
from coinspider.http.limit.state import LimitState

_PATIENCE_MIN, _PATIENCE_MAX = 600.0, 86_400.0  # seconds
# A limit is tried upward no sooner than after this number of periods.
_PATIENCE_PERIODS = 10


def be_patient(state: LimitState, now: float) -> None:
    """Set when the limit is raised next, after a refusal."""
    state.proven_calls, state.proven_rate = state.calls, state.rate
    if state.source != "learned":
        return
    if state.is_rough:
        state.probe_at = now + bucket.ROUGH_CALLS / state.rate
        return
    least = max(_PATIENCE_MIN, _PATIENCE_PERIODS * state.period)
    state.patience = min(max(state.patience * 2, least), _PATIENCE_MAX)
    state.probe_at = now + state.patience


def probe(state: LimitState, now: float) -> None:
    """Raise the limit, which has been kept for long enough without a refusal."""
    state.proven_calls, state.proven_rate = state.calls, state.rate
    state.rate *= 1.1
    if state.is_rough:
        state.probe_at = now + bucket.ROUGH_CALLS / state.rate
        return
    state.calls += max(1, state.calls // 10)
    state.probe_at = now + state.patience


def is_raised(state: LimitState) -> bool:
    """Whether the limit is a trial."""
    return state.calls > state.proven_calls or state.rate > state.proven_rate
