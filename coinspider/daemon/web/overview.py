"""What the start page says of crawls and schedules: pure functions of their rows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from coinspider.daemon.crawl_messages import BAD
from coinspider.daemon.failed_jobs import FailedJob

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
            "id": None, "spider": job.spider, "currency": job.arguments.get("vs_currency"),
            "started_at": job.started_at, "ended_at": job.ended_at, "seconds": job.seconds,
            "outcome": job.outcome, "message": job.message, "job": job.job,
        }
        for job in jobs
    ]  # fmt: skip


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
    like = next((c for c in earlier if c["outcome"] == "complete"
                 and all(c[name] == crawl[name] for name in same)), None)  # fmt: skip
    if not like or like["pages"] < max(crawl["pages"], 1):
        return None
    left = like["pages"] - crawl["pages"]
    pace = crawl["seconds"] / crawl["pages"] if crawl["pages"] else None
    return Progress(like["pages"], pace and pace * left)


def verdict(
    crawls: Sequence[Crawl], failures: Iterable[Crawl], schedules: Sequence[Mapping[str, Any]],
    *, is_late: bool, exhausted: str,
) -> Verdict:  # fmt: skip
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
        (all(one["paused"] for one in going), "other",
         "All schedules are paused: the data will become old."),
        (True, "good", "All is well."),
    ]  # fmt: skip
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
