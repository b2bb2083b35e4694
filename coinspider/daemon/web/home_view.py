"""The start page: is it running, how old is the data, what failed last, what comes next."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from coinspider.daemon.database import database_url
from coinspider.daemon.schedules.service import service_named
from coinspider.daemon.web import overview
from coinspider.daemon.web.crawl_rows import describe_schedules, tell
from coinspider.daemon.web.remedies import remedy
from coinspider.daemon.web.view import Arguments, Body, DatabaseView, render
from coinspider.errors import NothingCrawledError, ViewError
from coinspider.store.api_usage import ApiUsage, list_api_usage
from coinspider.store.crawl_queries import list_crawls, read_crawl_arguments
from coinspider.store.database_url import describe

# The latest crawls show how things are; older ones are on their own page.
_LOOKED_AT = 300
# Data is late after this many periods of its schedule.
_LATE = 3
_FAILED_JOBS = 20


class Home(DatabaseView):
    """At ``/``, instead of scrapyd's own first page."""

    section = ""

    def prepare(self) -> dict[str, Any]:
        return describe_schedules(self.root) | {
            "projects": self.root.scheduler.list_projects(),
            "failed_jobs": service_named("launcher", self.root.app).failed_jobs,
        }

    def answer_error(self, error: ViewError) -> Body:
        failed = service_named("launcher", self.root.app).failed_jobs.newest(_FAILED_JOBS)
        return render(
            "error.html", section=self.section, status=error.status, message=str(error),
            failed_jobs=failed,
        )  # fmt: skip

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        jobs = overview.as_crawls(known.pop("failed_jobs").without_row(_FAILED_JOBS))
        crawls = [*_crawls(connected), *jobs]
        sources = overview.last_complete(crawls)
        failures = overview.last_failures(crawls, sources)
        tell([*sources, *failures], self.root, known["periods"])
        for failed in failures:
            failed["remedy"] = remedy(failed["message"])
        sources = [source | {"late": _is_late(source)} for source in sources]
        usage = list_api_usage(connected)
        used = [one for number, one in enumerate(usage) if number == 0 or is_in_use(one)]
        return render(
            "home.html",
            **known, running=_running(connected, crawls), sources=sources, failures=failures,
            verdict=overview.verdict(
                crawls, failures, known["schedules"],
                is_late=any(source["late"] for source in sources),
                exhausted=usage[0].exhausted if usage else "",
            ),
            coming=_coming(known["schedules"]), database=describe(database_url()),
            usage=used, unused=len(usage) - len(used),
            today=f"{datetime.now(UTC):%Y-%m-%d}",
        )  # fmt: skip


def is_in_use(one: ApiUsage) -> bool:
    """Whether more than the history of its calls is known; the last one used always counts."""
    return bool(one.calls_this_minute or one.waiting_crawls or one.credits_left is not None)


def _crawls(connected: Connection) -> list[dict[str, Any]]:
    try:
        with connected.transaction():
            crawls = list_crawls(connected, _LOOKED_AT).dicts()
    except NothingCrawledError:
        return []
    return [overview.with_end(crawl) for crawl in crawls]


def _running(connected: Connection, crawls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The crawls that run, with their progress."""
    running = [crawl for crawl in crawls if crawl["outcome"] == "running"]
    if not running:
        return []
    begun = [crawl for crawl in crawls if crawl["id"]]
    sent = read_crawl_arguments(connected, [crawl["id"] for crawl in begun])
    compared = [crawl | {"sent": sent.get(crawl["id"])} for crawl in begun]
    return [
        crawl | {"progress": overview.progress(crawl, compared)}
        for crawl in compared if crawl["outcome"] == "running"
    ]  # fmt: skip


def _is_late(source: Mapping[str, Any]) -> bool:
    age = (datetime.now(UTC) - source["ended_at"]).total_seconds()
    return bool(source["period"]) and age > _LATE * source["period"]


def _coming(schedules: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The schedules that run again, the next one first, and then the paused ones."""
    shown = [s for s in schedules if s["next_time"] or (s["enabled"] and s["paused"])]
    return sorted(shown, key=lambda s: str(s["next_time"] or "z"))
