"""``/crawls``: the schedules and the runs."""

from time import time
from typing import Any

from psycopg import Connection

from coinspider.crawl.exit_status import EXIT_STATUS
from coinspider.daemon.schedules.budget_facts import read_plan
from coinspider.daemon.schedules.service import schedule_service, service_named
from coinspider.daemon.web.actions import DONE, act, possible_actions
from coinspider.daemon.web.crawl_rows import (
    add_repeats,
    describe_schedules,
    described_jobs,
    run_charts,
    tell,
)
from coinspider.daemon.web.view import Arguments, Body, DatabaseView, number, render
from coinspider.errors import NothingCrawledError, ViewError
from coinspider.store.crawl_queries import (
    NO_SCHEDULE,
    list_crawls,
    list_latest_runs,
    read_crawl_arguments,
)

LIMIT = 50
FAILED_JOBS = 20
PLANNED = 20
OUTCOMES = ("running", *EXIT_STATUS, "died")
CHARTED = 40  # runs of each schedule


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
        page, budgets = number(arguments, "page", 1), known.pop("budgets")
        kept = {name: arguments[name] for name in ("schedule", "outcome") if arguments.get(name)}
        if kept.get("outcome", "failed") not in OUTCOMES:
            raise ViewError(400, f"outcome={kept['outcome'][:40]} is none of {', '.join(OUTCOMES)}")
        return render(
            "crawls.html", **known | self._runs(connected, kept, page, known),
            page=page, outcomes=OUTCOMES, no_schedule=NO_SCHEDULE, arguments=kept,
            plans=[read_plan(*budget) for budget in budgets],
            done=DONE.get(arguments.get("done", "")), stamp=int(time()),
        )  # fmt: skip

    def _runs(
        self, connected: Connection, kept: Arguments, page: int, known: dict[str, Any]
    ) -> dict[str, Any]:  # fmt: skip
        """What the database has; nothing before the first crawl, which a button may start."""
        failed_jobs, intervals = known["failed_jobs"], known["intervals"]
        try:
            found = list_crawls(connected, LIMIT + 1, (page - 1) * LIMIT, **kept).dicts()
        except NothingCrawledError:
            failed = described_jobs(failed_jobs.newest(FAILED_JOBS), self.root)
            return {"crawls": [], "charts": {}, "more": False, "failed_jobs": failed}
        crawls = found[:LIMIT]
        tell(crawls, self.root, intervals)
        add_repeats(crawls, read_crawl_arguments(connected, [crawl["id"] for crawl in crawls]))
        runs = list_latest_runs(connected, CHARTED).dicts()
        return {
            "crawls": crawls, "charts": run_charts(runs, intervals), "more": len(found) > LIMIT,
            "failed_jobs": described_jobs(failed_jobs.without_row(FAILED_JOBS), self.root),
        }  # fmt: skip

    def render_POST(self, txrequest: Any) -> bytes:
        return act(self.root, txrequest, "crawls")


def _budgets(root: Any) -> list[tuple[Any, ...]]:
    """The arguments of :func:`read_plan` for each active schedule with a budget."""
    service = schedule_service(root.app)
    running, states = service.budgeted(), service.state
    return [(one, running, states[one.name].last_time, PLANNED) for one in running]
