"""``/crawls`` and ``/rejected``: the runs, the schedules, the records that were set aside."""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from coinspider.daemon.schedules.description import describe
from coinspider.daemon.schedules.service import schedule_service, service_named
from coinspider.daemon.web.charts import Bar, bar_chart
from coinspider.daemon.web.view import Arguments, DatabaseView, number, render
from coinspider.errors import ViewError
from coinspider.store.queries import list_crawls, list_rejected_records

LIMIT = 50
NEWEST = 5
FAILED_JOBS = 20
TEXT_MAX = 2000  # characters


class Crawls(DatabaseView):
    """The schedules; a page of the runs, each with its share of its schedule's period."""

    def prepare(self) -> dict[str, Any]:
        service = schedule_service(self.root.app)
        return {
            "failed_jobs": service_named("launcher", self.root.app).failed_jobs,
            "schedules": [describe(service, name) for name in service.schedules],
            "periods": {
                name: schedule.period.total_seconds()
                for name, schedule in service.schedules.items()
            },
        }

    def answer_error(self, error: ViewError) -> str:
        failed = service_named("launcher", self.root.app).failed_jobs.newest(FAILED_JOBS)
        return render("error.html", status=error.status, message=str(error), failed_jobs=failed)

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> str:
        known["failed_jobs"] = known["failed_jobs"].without_row(FAILED_JOBS)
        page = number(arguments, "page", 1)
        crawls = list_crawls(connected, LIMIT + 1, (page - 1) * LIMIT).dicts()
        more = len(crawls) > LIMIT
        for crawl in crawls:
            crawl["period"] = _period(crawl["job"], known["periods"])
        rejected = list_rejected_records(connected, NEWEST).dicts()
        return render(
            "crawls.html",
            crawls=crawls[:LIMIT], chart=_chart(crawls[:LIMIT]), rejected=rejected,
            page=page, more=more, arguments={}, text_max=TEXT_MAX, **known,
        )  # fmt: skip


class Rejected(DatabaseView):
    """Records with their reasons: all of them, or those of one ``crawl``."""

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> str:
        page = number(arguments, "page", 1)
        crawl = number(arguments, "crawl", 1) if arguments.get("crawl") else None
        offset = (page - 1) * LIMIT
        records = list_rejected_records(connected, LIMIT + 1, offset, crawl).dicts()
        return render(
            "rejected.html",
            rejected=records[:LIMIT], more=len(records) > LIMIT, page=page, crawl=crawl,
            arguments={"crawl": crawl} if crawl else {}, text_max=TEXT_MAX,
        )  # fmt: skip


def _period(job: str | None, periods: Mapping[str, float]) -> float | None:
    """The seconds between two runs of the schedule whose job it was."""
    # coins.20261124T140122.123
    return periods.get(job.rsplit(".", 2)[0]) if job else None


def _chart(crawls: list[dict[str, Any]]) -> Any:
    bars = [
        Bar(
            crawl["seconds"],
            f"crawl {crawl['id']}: {crawl['seconds']:.1f} s, {crawl['outcome']}",
            crawl["outcome"],
        )
        for crawl in reversed(crawls)
    ]
    return bar_chart(bars, {crawl["period"] for crawl in crawls if crawl["period"]})
