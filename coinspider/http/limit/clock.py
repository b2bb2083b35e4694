"""What happens to a limit if the clock goes back."""

from coinspider.http.limit.state import GRANT_SECONDS, LimitState

# Seconds. Two servers of one database, such as before and after a failover, differ by a little.
_EXACT = 1.0
_TIMES = (
    "tokens_at", "refused_at", "answered_at", "run_start", "burst_start", "burst_end", "since_at",
    "doubted_at",
)  # fmt: skip


def turn_back(state: LimitState, now: float) -> None:
    """Move all that was noted to an earlier time, if the clock has gone back.

    What counts for a minute would otherwise count until the clock is where it was.
    """
    back = state.seen_at - now
    state.seen_at = now
    if back <= _EXACT:
        return
    # What has happened since then was noted by the clock as it is now.
    for name in _TIMES:
        setattr(state, name, _earlier(getattr(state, name), now, back))
    state.blocked_until -= back
    for ended in state.ended:
        ended.at, ended.first_at = (
            _earlier(ended.at, now, back),
            _earlier(ended.first_at, now, back),
        )
    for holder in state.holders.values():
        holder.until = min(holder.until, now + GRANT_SECONDS)
        holder.active_until = min(holder.active_until, now + GRANT_SECONDS)
    state.by_second = {
        int(_earlier(second, now, back)): number for second, number in state.by_second.items()
    }


def _earlier(moment: float, now: float, back: float) -> float:
    return moment - back if moment > now else moment
