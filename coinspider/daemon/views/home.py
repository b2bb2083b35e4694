"""The start page: is it running, how old is the data, what failed last, what comes next."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from psycopg import Connection

from coinspider.daemon.crawl_messages import BAD, remedy, remedy_before_start
from coinspider.daemon.database import database_url
from coinspider.daemon.failed_jobs import FailedJob
from coinspider.daemon.nodes import this_node
from coinspider.daemon.views.crawls import (
    FAILED_JOBS,
    describe_schedules,
    error_with_jobs,
    tell,
)
from coinspider.daemon.views.view import Arguments, Body, DatabaseView, render
from coinspider.errors import NothingCrawledError, ViewError
from coinspider.store.account import ApiUsage, list_api_usage
from coinspider.store.crawl import read_crawl_arguments, read_crawls
from coinspider.store.database_url import describe

# The latest crawls show how things are; older ones are on their own page.
_LOOKED_AT = 300
# Data is late after this many periods of its schedule.
_LATE = 3
Crawl = dict[str, Any]


class Verdict(NamedTuple):
    """One sentence; its ``kind`` is ``good``, ``bad`` or ``other``."""

    kind: str
    text: str


class Progress(NamedTuple):
    """How many pages a crawl will probably read, and for how many more seconds."""

    pages: int
    seconds: float | None


def as_crawls(jobs: Iterable[FailedJob]) -> list[Crawl]:
    """Jobs that ended before they began to crawl."""
    return [
        {
            "id": None,
            "spider": job.spider,
            "currency": job.arguments.get("vs_currency"),
            "started_at": job.started_at,
            "ended_at": job.ended_at,
            "seconds": job.seconds,
            "outcome": job.outcome,
            "message": job.message,
            "status": job.exit_status,
            "job": job.job,
        }
        for job in jobs
    ]


def with_end(crawl: Crawl) -> Crawl:
    return crawl | {"ended_at": crawl["started_at"] + timedelta(seconds=crawl["seconds"])}


def last_complete(crawls: Iterable[Crawl]) -> list[Crawl]:
    """The last complete crawl of each spider and currency, the newest first."""
    found: dict[tuple[Any, ...], Crawl] = {}
    for crawl in crawls:
        if crawl["outcome"] == "complete":
            found.setdefault((crawl["spider"], crawl["currency"]), crawl)
    return list(found.values())


def last_failures(crawls: Iterable[Crawl], complete: Sequence[Crawl]) -> list[Crawl]:
    """The last failure of each spider and currency, the newest first.

    It is ``healed`` if a later crawl of the same was complete.
    """
    found: dict[tuple[Any, ...], Crawl] = {}
    for crawl in sorted(crawls, key=lambda crawl: crawl["ended_at"], reverse=True):
        if crawl["outcome"] in BAD:
            healed = any(_heals(other, crawl) for other in complete)
            found.setdefault((crawl["spider"], crawl["currency"]), crawl | {"healed": healed})
    return list(found.values())


def progress(crawl: Crawl, earlier: Iterable[Crawl]) -> Progress | None:
    """By the last complete crawl of the same ``sent`` arguments; none without one."""
    same = ("spider", "currency", "sent")
    like = next(
        (
            c
            for c in earlier
            if c["outcome"] == "complete" and all(c[name] == crawl[name] for name in same)
        ),
        None,
    )
    if not like or like["pages"] < max(crawl["pages"], 1):
        return None
    left = like["pages"] - crawl["pages"]
    pace = crawl["seconds"] / crawl["pages"] if crawl["pages"] else None
    return Progress(like["pages"], pace and pace * left)


def verdict(
    crawls: Sequence[Crawl],
    failures: Iterable[Crawl],
    schedules: Sequence[Mapping[str, Any]],
    *,
    is_late: bool,
    exhausted: str,
) -> Verdict:
    """The first that applies."""
    running = any(crawl["outcome"] == "running" for crawl in crawls)
    ended = [crawl for crawl in crawls if crawl["outcome"] not in ("running", "skipped")]
    going = [schedule for schedule in schedules if schedule["enabled"]]
    # The failure of a crawl that nothing repeats is only news until the next crawl.
    counted = [f for f in failures if not f["healed"] and (f["period"] or f["job"] == _job(ended))]
    many = f"The last crawls of {len(counted)} sources failed."
    found = [
        (counted, "bad", "The last crawl failed." if len(counted) == 1 else many),
        (exhausted, "bad", "The credits of this month are used up."),
        (is_late, "bad", "The data is late."),
        (running and not ended, "other", "The first crawl is running."),
        (not ended, "other", "Nothing was crawled yet."),
        (not going, "other", "No schedule is enabled: the data will become old."),
        (
            all(one["paused"] for one in going),
            "other",
            "All schedules are paused: the data will become old.",
        ),
        (True, "good", "All is well."),
    ]
    return next(Verdict(kind, text) for applies, kind, text in found if applies)


def _heals(complete: Crawl, failed: Crawl) -> bool:
    return bool(
        complete["spider"] == failed["spider"]
        and failed["currency"] in (None, complete["currency"])
        and complete["ended_at"] > failed["ended_at"]
    )


def _job(ended: Iterable[Crawl]) -> Any:
    newest: Crawl = max(ended, key=lambda crawl: crawl["ended_at"], default={"job": None})
    return newest["job"]


class HomePage(DatabaseView):
    """At ``/``, instead of scrapyd's own first page."""

    section = ""

    def prepare(self) -> dict[str, Any]:
        return describe_schedules(self.root) | {
            "projects": self.root.scheduler.list_projects(),
            "failed_jobs": this_node().failed_jobs,
        }

    def answer_error(self, error: ViewError) -> Body:
        return error_with_jobs(self.section, error)

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        jobs = as_crawls(known.pop("failed_jobs").without_row(FAILED_JOBS))
        crawls = [*_crawls(connected), *jobs]
        sources = last_complete(crawls)
        failures = last_failures(crawls, sources)
        tell([*sources, *failures], self.root, known["periods"])
        for failed in failures:
            has_row = failed["id"] is not None
            failed["remedy"] = remedy(failed) if has_row else remedy_before_start(failed["status"])
        sources = [source | {"late": _is_late(source)} for source in sources]
        usage = list_api_usage(connected)
        used = [one for number, one in enumerate(usage) if number == 0 or is_in_use(one)]
        return render(
            "home.html",
            **known,
            running=_running(connected, crawls),
            sources=sources,
            failures=failures,
            verdict=verdict(
                crawls,
                failures,
                known["schedules"],
                is_late=any(source["late"] for source in sources),
                exhausted=usage[0].exhausted if usage else "",
            ),
            coming=_coming(known["schedules"]),
            database=describe(database_url()),
            usage=used,
            unused=len(usage) - len(used),
            today=f"{datetime.now(UTC):%Y-%m-%d}",
        )


def is_in_use(one: ApiUsage) -> bool:
    """Whether more than the history of its calls is known; the last one used always counts."""
    return bool(one.calls_this_minute or one.waiting_crawls or one.credits_left is not None)


def _crawls(connected: Connection) -> list[dict[str, Any]]:
    try:
        with connected.transaction():
            crawls = read_crawls(connected, _LOOKED_AT).dicts()
    except NothingCrawledError:
        return []
    return [with_end(crawl) for crawl in crawls]


def _running(connected: Connection, crawls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The crawls that run, with their progress."""
    running = [crawl for crawl in crawls if crawl["outcome"] == "running"]
    if not running:
        return []
    begun = [crawl for crawl in crawls if crawl["id"]]
    sent = read_crawl_arguments(connected, [crawl["id"] for crawl in begun])
    compared = [crawl | {"sent": sent.get(crawl["id"])} for crawl in begun]
    return [
        crawl | {"progress": progress(crawl, compared)}
        for crawl in compared
        if crawl["outcome"] == "running"
    ]


def _is_late(source: Mapping[str, Any]) -> bool:
    age = (datetime.now(UTC) - source["ended_at"]).total_seconds()
    return bool(source["period"]) and age > _LATE * source["period"]


def _coming(schedules: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The schedules that run again, the next one first, and then the paused ones."""
    shown = [s for s in schedules if s["next_time"] or (s["enabled"] and s["paused"])]
    return sorted(shown, key=lambda s: str(s["next_time"] or "z"))
