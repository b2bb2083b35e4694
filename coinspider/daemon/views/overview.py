"""How crawling stands: what runs, how old the data is, what failed, and what to do about it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, cast

from psycopg import Connection

from coinspider.daemon.jobs import JOB
from coinspider.daemon.nodes import this_node
from coinspider.daemon.outcomes import BAD, Crawl, FailedJob, remedy, told, told_figures
from coinspider.daemon.protocols import Answer, Root
from coinspider.daemon.schedules.service import describe, schedule_service
from coinspider.installation import program_name
from coinspider.store.account import ApiUsage, list_api_usage
from coinspider.store.crawl import read_crawl_arguments, read_crawls, schedule_of
from coinspider.store.fetch import unless_missing

FAILED_JOBS = 20
# The names under which scrapyd has this project.
_PROJECTS = ("coinspider", "default")
# The latest crawls show how things are; older ones are on their own page.
LOOKED_AT = 300
# Data is late after this many periods of its schedule.
_LATE = 3
_BEGIN = "“Run now” on the page of the crawls begins, and so does {} crawl coins."


class Described(NamedTuple):
    """The schedules, and their periods in seconds by name.

    ``intervals`` are without those of budgets, whose runs are as far apart as the calls allow.
    """

    logs_dir: str
    schedules: list[Answer]
    periods: dict[str, float]
    intervals: dict[str, float]


def describe_schedules(root: Root) -> Described:
    """Not in a thread."""
    service = schedule_service(root.app)
    schedules = service.schedules
    periods = {name: schedule.period.total_seconds() for name, schedule in schedules.items()}
    described = [
        describe(service, name) | {"said": schedule.said} for name, schedule in schedules.items()
    ]
    intervals = {name: periods[name] for name in periods if not schedules[name].budget}
    return Described(root.logs_dir, described, periods, intervals)


def tell(crawls: Iterable[Crawl], logs_dir: str, periods: Mapping[str, float]) -> None:
    """Add to each crawl what its row lacks: schedule, period, log, message in parts, remedy."""
    for crawl in crawls:
        crawl["schedule"] = schedule_of(crawl["job"])
        crawl["period"] = periods.get(crawl["schedule"])
        crawl["project"], crawl["log"] = _log(logs_dir, crawl)
        crawl["told"] = told(crawl)
        crawl["figures"] = told_figures(crawl)
        crawl["remedy"] = remedy(crawl) if crawl["outcome"] in BAD else ""


def _log(logs_dir: str, crawl: Crawl) -> tuple[str, str | None]:
    """Its project, and the address of its log, which is deleted after ``jobs_to_keep`` others."""
    names = (crawl["spider"], crawl["job"] or "")
    if not logs_dir or not all(map(JOB.fullmatch, names)):
        return _PROJECTS[0], None
    paths = {name: f"{name}/{crawl['spider']}/{crawl['job']}.log" for name in _PROJECTS}
    here = (name for name, path in paths.items() if Path(logs_dir, path).exists())
    project = next(here, _PROJECTS[0])  # it may be on another node
    return project, f"logs/{paths[project]}"


def jobs_without_row(logs_dir: str) -> list[Crawl]:
    """The latest jobs that ended before they began to crawl, with log and remedy."""
    rows = map(as_crawl, this_node().failed_jobs.without_row(FAILED_JOBS))
    return [row | {"log": _log(logs_dir, row)[1], "remedy": remedy(row)} for row in rows]


def as_crawl(job: FailedJob) -> Crawl:
    return job.as_crawl() | {"currency": job.arguments.get("vs_currency")}


class Headline(NamedTuple):
    """One sentence, and what to do; its ``kind`` is ``good``, ``bad`` or ``other``."""

    kind: str
    text: str
    advice: str = ""


class Remaining(NamedTuple):
    """How many pages a crawl will probably read, and for how many more seconds."""

    pages: int
    seconds: float | None


def with_end(crawl: Crawl) -> Crawl:
    return crawl | {"ended_at": crawl["started_at"] + timedelta(seconds=crawl["seconds"])}


def last_complete(crawls: Iterable[Crawl]) -> list[Crawl]:
    """The last complete crawl of each spider and currency, the newest first."""
    found: dict[tuple[str, str | None], Crawl] = {}
    for crawl in crawls:
        if crawl["outcome"] == "complete":
            found.setdefault((crawl["spider"], crawl["currency"]), crawl)
    return list(found.values())


def last_failures(crawls: Iterable[Crawl], complete: Sequence[Crawl]) -> list[Crawl]:
    """The last failure of each spider and currency, the newest first.

    It is ``healed`` if a later crawl of the same was complete.
    """
    found: dict[tuple[str, str | None], Crawl] = {}
    for crawl in sorted(crawls, key=lambda crawl: crawl["ended_at"], reverse=True):
        if crawl["outcome"] in BAD:
            healed = any(_heals(other, crawl) for other in complete)
            found.setdefault((crawl["spider"], crawl["currency"]), crawl | {"healed": healed})
    return list(found.values())


def progress(crawl: Crawl, earlier: Iterable[Crawl]) -> Remaining | None:
    """By what the API says, or the last complete crawl of the same ``sent`` arguments."""
    same = itemgetter("spider", "currency", "sent")
    alike = (c for c in earlier if c["outcome"] == "complete" and same(c) == same(crawl))
    like = next(alike, None)
    pages = crawl.get("expected_pages") or (like["pages"] if like else 0)
    if pages < max(crawl["pages"], 1):
        return None
    pace = crawl["seconds"] / crawl["pages"] if crawl["pages"] else None
    return Remaining(pages, pace and pace * (pages - crawl["pages"]))


def verdict(
    crawls: Sequence[Crawl],
    failures: Iterable[Crawl],
    schedules: Sequence[Answer],
    *,
    is_late: bool,
    exhausted: str,
) -> Headline:
    """The first that applies."""
    running = any(crawl["outcome"] == "running" for crawl in crawls)
    ended = [crawl for crawl in crawls if crawl["outcome"] not in ("running", "skipped")]
    going = [schedule for schedule in schedules if schedule["enabled"]]
    # The failure of a crawl that nothing repeats is only news until the next crawl.
    newest = max((crawl["ended_at"] for crawl in ended), default=None)
    counted = [f for f in failures if not f["healed"] and (f["period"] or f["ended_at"] == newest)]
    many = f"The last crawls of {len(counted)} sources failed."
    old = "the data will become old."
    warned = [f"{one['name']} {one['warning']}" for one in going if one.get("warning")]
    found = [
        # What to do stands beside each failure.
        (counted, "bad", "The last crawl failed." if len(counted) == 1 else many, ""),
        (
            exhausted,
            "bad",
            "The credits of this month are used up.",
            f"No call goes out until then: {program_name()} budget --resume tries again.",
        ),
        (is_late, "bad", "The data is late.", "The page of the crawls says what runs, and when."),
        (running and not ended, "other", "The first crawl is running.", ""),
        (not ended, "other", "Nothing was crawled yet.", _BEGIN.format(program_name())),
        (not going, "other", f"No schedule is enabled: {old}", "They are in scrapyd.conf."),
        (
            all(one["paused"] for one in going),
            "other",
            f"All schedules are paused: {old}",
            "Resume one on the page of the crawls.",
        ),
        (warned, "other", "; ".join(warned), "Let it run less often, or take a larger plan."),
        (True, "good", "All is well.", ""),
    ]
    return next(Headline(*told) for applies, *told in found if applies)


def _heals(complete: Crawl, failed: Crawl) -> bool:
    return bool(
        complete["spider"] == failed["spider"]
        and failed["currency"] in (None, complete["currency"])
        and complete["ended_at"] > failed["ended_at"]
    )


class Overview(NamedTuple):
    """How crawling stands, and what is used of each API that is in use; ``unused`` are not.

    ``crawls`` are the latest, and ``failed_jobs`` ended before they began to crawl.
    """

    verdict: Headline
    crawls: list[Crawl]
    running: list[Crawl]
    sources: list[Crawl]
    failures: list[Crawl]
    failed_jobs: list[Crawl]
    usage: list[ApiUsage]
    unused: int


def read_overview(connected: Connection, known: Described) -> Overview:
    failed_jobs = jobs_without_row(known.logs_dir)
    found = find_crawls(connected, LOOKED_AT)
    crawls = [*found, *failed_jobs]
    sources = last_complete(crawls)
    failures = last_failures(crawls, sources)
    tell([*sources, *failures], known.logs_dir, known.periods)
    for source in sources:
        source["late"] = _is_late(source)
    usage = list_api_usage(connected)
    used = [one for number, one in enumerate(usage) if number == 0 or is_in_use(one)]
    headline = verdict(
        crawls,
        failures,
        known.schedules,
        is_late=any(source["late"] for source in sources),
        exhausted=usage[0].exhausted if usage else "",
    )
    running = _running(connected, crawls)
    unused = len(usage) - len(used)
    return Overview(headline, found, running, sources, failures, failed_jobs, used, unused)


def is_in_use(one: ApiUsage) -> bool:
    """Whether more than the history of its calls is known; the last one used always counts."""
    return bool(one.calls_this_minute or one.waiting_crawls or one.credits_left is not None)


def find_crawls(connected: Connection, limit: int, offset: int = 0, **which: str) -> list[Crawl]:
    """The newest first; none before the first crawl, which a button of the page may start."""
    rows = unless_missing(connected, lambda: read_crawls(connected, limit, offset, **which).dicts())
    return [with_end(crawl) for crawl in cast(list[Crawl], rows or [])]


def _running(connected: Connection, crawls: Sequence[Crawl]) -> list[Crawl]:
    """The crawls that run, with their progress."""
    running = [crawl for crawl in crawls if crawl["outcome"] == "running"]
    if not running:
        return []
    begun = {crawl["id"]: crawl for crawl in crawls if crawl["id"]}
    sent = read_crawl_arguments(connected, list(begun))
    compared = [crawl | {"sent": sent.get(number)} for number, crawl in begun.items()]
    return [
        crawl | {"progress": progress(crawl, compared)}
        for crawl in compared
        if crawl["outcome"] == "running"
    ]


def _is_late(source: Crawl) -> bool:
    age = (datetime.now(UTC) - source["ended_at"]).total_seconds()
    return bool(source["period"] and age > _LATE * source["period"])
