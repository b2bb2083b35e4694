"""``/crawls`` and ``/rejected``: the runs, the schedules, the rejected records."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from psycopg import Connection

from coinspider.daemon.schedules.budget_facts import read_plan
from coinspider.daemon.schedules.description import describe
from coinspider.daemon.schedules.service import schedule_service, service_named
from coinspider.daemon.web.actions import act, possible_actions
from coinspider.daemon.web.charts import Bar, BarChart, bar_chart
from coinspider.daemon.web.remedies import remedy
from coinspider.daemon.web.view import Arguments, Body, DatabaseView, number, render
from coinspider.errors import ViewError
from coinspider.store.crawl_queries import (
    count_rejected_reasons,
    list_crawls,
    list_rejected_records,
    read_crawl_arguments,
)

LIMIT = 50
FAILED_JOBS = 20
PLANNED = 20
TEXT_MAX = 2000  # characters
OUTCOMES = ("running", "complete", "failed", "interrupted", "skipped", "died")
_BAD = ("failed", "died")
NO_SCHEDULE = "other"


class Crawls(DatabaseView):
    """The schedules; a page of the runs, each with its share of its schedule's period."""

    section = "crawls"
    has_forms = True

    def prepare(self) -> dict[str, Any]:
        return describe_schedules(self.root) | {
            "actions": possible_actions(self.root),
            "failed_jobs": service_named("launcher", self.root.app).failed_jobs,
            "budgets": _budgets(self.root),
        }

    def answer_error(self, error: ViewError) -> Body:
        failed = service_named("launcher", self.root.app).failed_jobs.newest(FAILED_JOBS)
        return render(
            "error.html", section=self.section, status=error.status, message=str(error),
            failed_jobs=failed,
        )  # fmt: skip

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        known["failed_jobs"] = known["failed_jobs"].without_row(FAILED_JOBS)
        plans = [read_plan(*budget) for budget in known.pop("budgets")]
        page = number(arguments, "page", 1)
        kept = {name: arguments[name] for name in ("schedule", "outcome") if arguments.get(name)}
        if kept.get("outcome", "failed") not in OUTCOMES:
            raise ViewError(400, f"outcome={kept['outcome'][:40]} is none of {', '.join(OUTCOMES)}")
        crawls = list_crawls(
            connected, LIMIT + 1, (page - 1) * LIMIT, outcome=kept.get("outcome"),
            schedule=kept.get("schedule"),
        ).dicts()  # fmt: skip
        more = len(crawls) > LIMIT
        tell(crawls[:LIMIT], self.root, known["periods"])
        sent = read_crawl_arguments(connected, [crawl["id"] for crawl in crawls])
        return render(
            "crawls.html",
            **known, crawls=crawls[:LIMIT], charts=_charts(crawls[:LIMIT]), sent=sent,
            page=page, more=more, arguments=kept, outcomes=OUTCOMES, plans=plans,
        )  # fmt: skip

    def render_POST(self, txrequest: Any) -> bytes:
        return act(self.root, txrequest, "crawls")


class Rejected(DatabaseView):
    """Records with their reasons: all of them, or those of one ``crawl`` or ``reason``."""

    section = "rejected"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        page = number(arguments, "page", 1)
        crawl = number(arguments, "crawl", 1) if arguments.get("crawl") else None
        reason = arguments.get("reason") or None
        kept = {name: arguments[name] for name in ("crawl", "reason") if arguments.get(name)}
        offset = (page - 1) * LIMIT
        records = list_rejected_records(connected, LIMIT + 1, offset, crawl, reason).dicts()
        return render(
            "rejected.html",
            **known, rejected=records[:LIMIT], more=len(records) > LIMIT, page=page, crawl=crawl,
            reason=reason, reasons=count_rejected_reasons(connected, crawl), arguments=kept,
            text_max=TEXT_MAX,
        )  # fmt: skip


def describe_schedules(root: Any) -> dict[str, Any]:
    """The schedules, and their periods in seconds by name; not in a thread."""
    service = schedule_service(root.app)
    return {
        "schedules": [describe(service, name) for name in service.schedules],
        "periods": {
            name: schedule.period.total_seconds() for name, schedule in service.schedules.items()
        },
    }


def _budgets(root: Any) -> list[tuple[Any, ...]]:
    """The arguments of :func:`read_plan` for each active schedule with a budget."""
    service = schedule_service(root.app)
    running, states = service.budgeted(), service.state
    return [(one, running, states[one.name].last_time, PLANNED) for one in running]


def tell(crawls: Iterable[dict[str, Any]], root: Any, periods: Mapping[str, float]) -> None:
    """Add to each crawl what its row lacks: schedule, period, log, remedy."""
    for crawl in crawls:
        name = _schedule(crawl["job"])
        crawl["schedule"] = name if name in periods else NO_SCHEDULE
        crawl["period"] = periods.get(name) if name else None
        crawl["log"] = _log(root, crawl)
        # Its outcome is shown beside it.
        crawl["told"] = (crawl["message"] or "").removeprefix(f"the crawl is {crawl['outcome']}: ")
        crawl["remedy"] = remedy(crawl["message"]) if crawl["outcome"] in _BAD else ""


def _schedule(job: str | None) -> str | None:
    # coins.20261124T140122.123
    return job.rsplit(".", 2)[0] if job else None


def _log(root: Any, crawl: Mapping[str, Any]) -> str | None:
    """The address of its log in this scrapyd; it is deleted after ``jobs_to_keep`` others."""
    if not (crawl["job"] and root.logs_dir):
        return None
    for project in ("coinspider", "default"):
        path = f"{project}/{crawl['spider']}/{crawl['job']}.log"
        if Path(root.logs_dir, path).exists():
            return f"logs/{path}"
    return None


def _charts(crawls: Sequence[Mapping[str, Any]]) -> list[tuple[str, BarChart]]:
    """A chart for each schedule, with its own scale."""
    oldest_first = sorted(crawls, key=itemgetter("schedule", "id"))
    found = []
    for name, group in groupby(oldest_first, itemgetter("schedule")):
        runs = [crawl for crawl in group if crawl["outcome"] != "skipped"]
        bars = [
            Bar(
                crawl["seconds"],
                f"crawl {crawl['id']}: {crawl['seconds']:.1f} s, {crawl['outcome']}",
                crawl["outcome"],
            )
            for crawl in runs
        ]
        if chart := bar_chart(bars, runs[0]["period"] if runs else None):
            found.append((name, chart))
    return found
