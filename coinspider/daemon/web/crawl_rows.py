"""Schedules and runs as their page shows them: what their rows lack."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from coinspider.daemon.api.job_arguments import may_be_sent
from coinspider.daemon.crawl_messages import BAD, told, told_figures
from coinspider.daemon.failed_jobs import FailedJob
from coinspider.daemon.schedules.service import describe, schedule_service
from coinspider.daemon.web.charts import Bar, BarChart, bar_chart
from coinspider.daemon.web.remedies import remedy
from coinspider.store.crawl_queries import schedule_of
from coinspider.text import counted, readable, readable_seconds

_UNIT, _UNITS = re.compile(r"(?<=\d)[smhd]$"), {"s": "s", "m": "min", "h": "h", "d": "d"}
# The names under which scrapyd has this project.
_PROJECTS = ("coinspider", "default")


class RunChart(NamedTuple):
    """The latest runs of a schedule, and all of them in one sentence."""

    schedule: str
    chart: BarChart
    summary: str
    first: datetime
    last: datetime
    marks: Sequence[tuple[float, float, str, str]]


def describe_schedules(root: Any) -> dict[str, Any]:
    """The schedules, and their periods in seconds by name; not in a thread.

    ``intervals`` are without those of budgets, whose runs are as far apart as the calls allow.
    """
    service = schedule_service(root.app)
    schedules = service.schedules
    periods = {name: schedule.period.total_seconds() for name, schedule in schedules.items()}
    return {
        "schedules": [
            describe(service, name) | {"said": when_in_words(schedule.when, schedule.every)}
            for name, schedule in schedules.items()
        ],
        "periods": periods,
        "intervals": {name: periods[name] for name in periods if not schedules[name].budget},
    }


def when_in_words(when: str, every: timedelta | None = None) -> str:
    """A schedule's times as people say them: ``every 3 min`` for ``every 3m``.

    ``every`` is for an account whose calls are not counted.
    """
    kind, _, rest = when.partition(" ")
    if kind == "budget":
        calls = "the month's calls" if rest == "auto" else f"{int(rest):,} calls a month"
        uncounted = (
            f" (every {readable_seconds(every.total_seconds())} if unlimited)" if every else ""
        )
        return f"as often as {calls} allow{uncounted}"
    if kind == "cron":
        *fields, zone = rest.split(" ")
        return f"at {' '.join(fields)} (cron), {zone} time"
    return _UNIT.sub(lambda found: f" {_UNITS[found[0]]}", when)


def tell(crawls: Iterable[dict[str, Any]], root: Any, periods: Mapping[str, float]) -> None:
    """Add to each crawl what its row lacks: schedule, period, log, message in parts, remedy."""
    for crawl in crawls:
        crawl["schedule"] = schedule_of(crawl["job"])
        crawl["period"] = periods.get(crawl["schedule"])
        crawl["project"], crawl["log"] = _log(root, crawl)
        crawl["told"] = told(crawl["message"])
        crawl["figures"] = told_figures(crawl["message"]) or _figures(crawl)
        crawl["remedy"] = remedy(crawl["message"]) if crawl["outcome"] in BAD else ""


def _figures(crawl: Mapping[str, Any]) -> str:
    """Of a crawl that has not said them: it runs, or it died."""
    if not crawl.get("pages"):
        return ""
    parts = [f"{crawl[name]:,} {name}" for name in ("new", "changed", "unchanged")]
    records = f"{crawl['records']:,} record{'' if crawl['records'] == 1 else 's'}"
    return ", ".join([counted(crawl["pages"], "page"), records, *parts])


def _log(root: Any, crawl: Mapping[str, Any]) -> tuple[str, str | None]:
    """Its project, and the address of its log, which is deleted after ``jobs_to_keep`` others."""
    for project in _PROJECTS if crawl["job"] and root.logs_dir else ():
        path = f"{project}/{crawl['spider']}/{crawl['job']}.log"
        if Path(root.logs_dir, path).exists():
            return project, f"logs/{path}"
    elsewhere = f"logs/{_PROJECTS[0]}/{crawl['spider']}/{crawl['job']}.log"
    return _PROJECTS[0], elsewhere if crawl["job"] and root.has_other_logs else None


def described_jobs(jobs: Iterable[FailedJob], root: Any) -> list[dict[str, Any]]:
    """Jobs that ended before they began to crawl, with log and remedy."""
    rows = [job._asdict() | {"outcome": job.outcome} for job in jobs]
    return [
        row | {"log": _log(root, row)[1], "remedy": remedy(row["message"])} for row in rows
    ]  # fmt: skip


def add_repeats(crawls: Iterable[dict[str, Any]], sent: Mapping[int, Mapping[str, str]]) -> None:
    """Add the arguments with which each can be run again; ``None`` where that is not allowed."""
    for crawl in crawls:
        arguments = sent.get(crawl["id"], {})
        crawl["arguments"] = arguments
        crawl["repeat"] = arguments if may_be_sent(arguments) else None


def run_charts(
    runs: Sequence[Mapping[str, Any]], periods: Mapping[str, float]
) -> dict[str, RunChart]:  # fmt: skip
    """A chart for each schedule, with its own scale."""
    by_schedule = groupby(sorted(runs, key=itemgetter("schedule", "id")), itemgetter("schedule"))
    charts = (_run_chart(name, list(group), periods.get(name)) for name, group in by_schedule)
    return {chart.schedule: chart for chart in charts if chart}


def _run_chart(
    name: str, runs: Sequence[Mapping[str, Any]], period: float | None
) -> RunChart | None:  # fmt: skip
    texts = [f"{readable_seconds(run['seconds'])}, {run['outcome']}" for run in runs]
    times = [f"{readable(run['started_at'])} UTC" for run in runs]
    bars = [
        Bar(run["seconds"], f"crawl {run['id']}, {time}: {text}", run["outcome"])
        for run, time, text in zip(runs, times, texts, strict=True)
    ]
    chart = bar_chart(bars, period)
    if not chart:
        return None
    marks = [
        ((bar.x + bar.width / 2) / 1000, bar.y / 1000, time, text)
        for bar, time, text in zip(chart.bars, times, texts, strict=True)
    ]
    return RunChart(
        name, chart, _summary(runs), runs[0]["started_at"], runs[-1]["started_at"], marks
    )  # fmt: skip


def _summary(runs: Sequence[Mapping[str, Any]]) -> str:
    """``12 runs: 11 complete, 1 failed; 2.0 s to 61.0 s, the last 2.6 s``."""
    outcomes = [run["outcome"] for run in runs]
    counts = ", ".join(f"{outcomes.count(name)} {name}" for name in dict.fromkeys(outcomes))
    seconds = [run["seconds"] for run in runs]
    least, most, last = map(readable_seconds, (min(seconds), max(seconds), seconds[-1]))
    spread = f"{least} to {most}, the last {last}" if len(runs) > 1 else last
    return f"{counted(len(runs), 'run')}: {counts}; {spread}"
