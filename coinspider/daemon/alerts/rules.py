"""Whether a schedule is well, by the outcomes of its crawls."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, cast

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from coinspider.daemon.database import query
from coinspider.daemon.outcomes import BAD, Crawl, FailedJob, told
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.store.schema import CRAWL

# Skipped and interrupted runs say nothing about health.
COUNTED = ("complete", *BAD)
LOOKED_AT = 20  # runs of a schedule
_JOB_TIME = r"\.\d{8}T\d{6}\.\d+$"
_RUNS = f"""
SELECT id, job, outcome, coalesce(message, '') AS message, reason, reason_figures, ended_at,
       lock_name
FROM {CRAWL.sound} WHERE job LIKE %(prefix)s AND job ~ %(pattern)s AND outcome = ANY(%(counted)s)
    AND ended_at IS NOT NULL
    AND (%(arguments)s::jsonb IS NULL OR arguments = %(arguments)s)
ORDER BY id DESC LIMIT %(limit)s
"""  # noqa: S608
# A crawl by hand makes the data new as well, if it read the whole list or the same part of it. The
# parts of a budget are those of its own jobs: another schedule's do not stand for them.
_SUCCESS = f"""
SELECT ended_at FROM {CRAWL.sound}
WHERE lock_name = %(lock_name)s AND outcome = 'complete'
    AND (whole OR arguments = %(arguments)s
         OR %(arguments)s::jsonb IS NULL AND job LIKE %(prefix)s AND job ~ %(pattern)s)
ORDER BY id DESC LIMIT 1
"""  # noqa: S608


class EndedRun(NamedTuple):
    """A run that has ended; ``crawl`` is its row's id, if it has a row."""

    outcome: str
    message: str
    ended_at: datetime
    job: str
    crawl: int | None = None


class ScheduleRuns(NamedTuple):
    """The last runs of a schedule, the newest first, and the last complete crawl of its data."""

    runs: tuple[EndedRun, ...] = ()
    last_success: datetime | None = None

    @property
    def failures(self) -> int:
        """How many failed since the last that was complete."""
        for number, run in enumerate(self.runs):
            if run.outcome == "complete":
                return number
        return len(self.runs)


def read_runs(
    schedules: Iterable[Schedule], without_row: list[FailedJob]
) -> dict[str, ScheduleRuns]:
    """By name of the schedule; ``without_row`` are the jobs that the table does not know.

    For threads; raises what :func:`query` does.
    """
    return {schedule.name: _read_runs(schedule, without_row) for schedule in schedules}


def _read_runs(schedule: Schedule, without_row: list[FailedJob]) -> ScheduleRuns:
    """Those with the arguments that the schedule has now; one with a budget has no others."""
    name = schedule.name
    escaped = re.sub(r"([\\%_])", r"\\\1", name)
    given = None if schedule.budget else dict(schedule.arguments)
    arguments = None if given is None else Jsonb(given)
    own: dict[str, object] = {
        "prefix": f"{escaped}.%",
        "pattern": f"^{re.escape(name)}{_JOB_TIME}",
        "arguments": arguments,
    }
    rows = query(_RUNS, own | {"counted": list(COUNTED), "limit": LOOKED_AT})
    runs = [EndedRun(r["outcome"], _said(r), r["ended_at"], r["job"], r["id"]) for r in rows]
    runs += [
        EndedRun(job.outcome, job.message, job.ended_at, job.job)
        for job in without_row
        if job.outcome in BAD
        and re.fullmatch(re.escape(name) + _JOB_TIME, job.job)
        and given in (None, dict(job.arguments))
    ]
    runs.sort(key=lambda run: run.ended_at, reverse=True)
    return ScheduleRuns(tuple(runs), _last_success(rows, own))


def _said(row: DictRow) -> str:
    """Of a complete crawl the whole line, of others the reason."""
    return str(row["message"]) if row["outcome"] == "complete" else told(cast(Crawl, row))


def _last_success(rows: list[DictRow], own: dict[str, object]) -> datetime | None:
    if not rows:
        return None
    found = query(_SUCCESS, own | {"lock_name": rows[0]["lock_name"]})
    return found[0]["ended_at"] if found else None


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


def _reason(last: EndedRun) -> str:
    said = _SAID.get(last.outcome, last.outcome)
    return f"the last run {said}: {last.message or 'see its log'}"


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
    """A scrapyd that was down has old data, and is given one time to make it new.

    Nobody knows the age of data from the future: the clock was set back since.
    """
    if success is None or success > now:
        return missed_runs(schedule, watched_since, now) >= periods
    return (
        missed_runs(schedule, success, now) >= periods
        and missed_runs(schedule, watched_since, now) >= 1
    )
