"""The outcomes of a schedule's crawls, from the table ``crawl`` and from scrapyd itself."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from coinspider.daemon.crawl_messages import BAD
from coinspider.daemon.database import query
from coinspider.daemon.failed_jobs import FailedJob
from coinspider.daemon.schedules.schedule import Schedule

# Of the others, one that was skipped or interrupted says neither that crawls work nor that not.
COUNTED = ("complete", *BAD)
LOOKED_AT = 20  # runs of a schedule
_JOB_TIME = r"\.\d{8}T\d{6}\.\d+$"
_RUNS = """
SELECT id, job, outcome, coalesce(message, '') AS message, ended_at, lock_name, whole
FROM crawl WHERE job LIKE %(prefix)s AND job ~ %(pattern)s AND outcome = ANY(%(counted)s)
ORDER BY id DESC LIMIT %(limit)s
"""
# A crawl by hand makes the data new as well.
_SUCCESS = """
SELECT ended_at FROM crawl
WHERE lock_name = %(lock_name)s AND whole IS NOT DISTINCT FROM %(whole)s AND outcome = 'complete'
ORDER BY id DESC LIMIT 1
"""


class Run(NamedTuple):
    """A run that has ended; ``crawl`` is its row's id, if it has a row."""

    outcome: str
    message: str
    ended_at: datetime
    job: str
    crawl: int | None = None


class ScheduleRuns(NamedTuple):
    """The last runs of a schedule, the newest first, and the last complete crawl of its data."""

    runs: tuple[Run, ...] = ()
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
    return {schedule.name: _read(schedule.name, without_row) for schedule in schedules}


def _read(name: str, without_row: list[FailedJob]) -> ScheduleRuns:
    escaped = re.sub(r"([\\%_])", r"\\\1", name)
    rows = query(_RUNS, {
        "prefix": f"{escaped}.%", "pattern": f"^{re.escape(name)}{_JOB_TIME}",
        "counted": list(COUNTED), "limit": LOOKED_AT,
    })  # fmt: skip
    runs = [Run(r["outcome"], r["message"], r["ended_at"], r["job"], r["id"]) for r in rows]
    runs += [
        Run(job.outcome, job.message, job.ended_at, job.job)
        for job in without_row
        if job.outcome in BAD and re.fullmatch(re.escape(name) + _JOB_TIME, job.job)
    ]
    runs.sort(key=lambda run: run.ended_at, reverse=True)
    return ScheduleRuns(tuple(runs), _last_success(rows))


def _last_success(rows: list[dict[str, Any]]) -> datetime | None:
    if not rows:
        return None
    found = query(_SUCCESS, {name: rows[0][name] for name in ("lock_name", "whole")})
    return found[0]["ended_at"] if found else None
