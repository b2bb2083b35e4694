"""Whether a schedule is well: a pure function of its runs and the time."""

from datetime import datetime
from typing import NamedTuple

from coinspider.daemon.alerts.schedule_runs import Run, ScheduleRuns
from coinspider.daemon.crawl_messages import told
from coinspider.daemon.schedules.schedule import Schedule

OK, FAILED, STALE = "ok", "failed", "stale"
MISSED_MAX = 1000
_SAID = {"exhausted": "had no calls left", "misconfigured": "could not begin"}


class Limits(NamedTuple):
    """After how many failures in a row, and how many times due, people are told; 0 for never."""

    failures: int = 1
    periods: int = 3


class Health(NamedTuple):
    """``status`` is ok, failed or stale; ``message`` says why, in one line."""

    status: str
    message: str


def health(
    schedule: Schedule, runs: ScheduleRuns, limits: Limits, now: datetime, watched_since: datetime
) -> Health:
    """``watched_since`` is when the schedule began to run here, or was resumed."""
    last = runs.runs[0] if runs.runs else None
    reason = _reason(last) if last and runs.failures else ""
    success = runs.last_success
    if limits.periods and _is_stale(schedule, success, limits.periods, now, watched_since):
        age = f"since {success:%Y-%m-%d %H:%M} UTC" if success else "yet"
        parts = [f"no complete crawl {age}, though its schedule is {schedule.when}", reason]
        return Health(STALE, "; ".join(filter(None, parts)))
    if limits.failures and runs.failures >= limits.failures:
        return Health(FAILED, reason)
    return Health(OK, f"complete: {last.message}" if last and not runs.failures else "")


def _reason(last: Run) -> str:
    said = _SAID.get(last.outcome, last.outcome)
    return f"the last run {said}: {told(last.message) or 'see its log'}"


def missed_runs(schedule: Schedule, last_success: datetime, now: datetime) -> int:
    """How often it was due since then, up to ``MISSED_MAX``."""
    if schedule.every:
        return min(max((now - last_success) // schedule.period, 0), MISSED_MAX)
    for number, due in enumerate(schedule.times_after(last_success)):
        if due > now or number == MISSED_MAX:
            return number
    return MISSED_MAX


def _is_stale(
    schedule: Schedule,
    success: datetime | None,
    periods: int,
    now: datetime,
    watched_since: datetime,
) -> bool:
    """A scrapyd that was down has old data, and is given one time to make it new."""
    if success is None:
        return missed_runs(schedule, watched_since, now) >= periods
    return (
        missed_runs(schedule, success, now) >= periods
        and missed_runs(schedule, watched_since, now) >= 1
    )
