"""The start page: how the market stands, how old the data is, what failed, what comes next."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import NamedTuple, cast

from psycopg import Connection, sql

from coinspider.daemon.database import database_url
from coinspider.daemon.nodes import this_node
from coinspider.daemon.outcomes import BAD, Crawl, FailedJob
from coinspider.daemon.protocols import Answer, Root
from coinspider.daemon.views.choice import read_choice
from coinspider.daemon.views.coins import LISTS, count_coins
from coinspider.daemon.views.crawls import (
    FAILED_JOBS,
    WITH_JOBS,
    Described,
    describe_schedules,
    tell,
)
from coinspider.daemon.views.view import Arguments, DatabaseView, Frame, Memory, View, render
from coinspider.errors import NothingCrawledError
from coinspider.store.account import ApiUsage, list_api_usage
from coinspider.store.crawl import read_crawl_arguments, read_crawls
from coinspider.store.database_url import describe
from coinspider.store.fetch import fetch_listing
from coinspider.text import short

# The latest crawls show how things are; older ones are on their own page.
_LOOKED_AT = 300
# Data is late after this many periods of its schedule.
_LATE = 3


class Headline(NamedTuple):
    """One sentence; its ``kind`` is ``good``, ``bad`` or ``other``."""

    kind: str
    text: str


class MarketLink(NamedTuple):
    """A figure of the market, and the list of the coins behind it."""

    figure: object
    text: str
    query: Mapping[str, str]


class Remaining(NamedTuple):
    """How many pages a crawl will probably read, and for how many more seconds."""

    pages: int
    seconds: float | None


def as_crawls(jobs: Iterable[FailedJob]) -> list[Crawl]:
    """Jobs that ended before they began to crawl."""
    return [job.as_crawl() | {"currency": job.arguments.get("vs_currency")} for job in jobs]


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
    return next(Headline(kind, text) for applies, kind, text in found if applies)


def _heals(complete: Crawl, failed: Crawl) -> bool:
    return bool(
        complete["spider"] == failed["spider"]
        and failed["currency"] in (None, complete["currency"])
        and complete["ended_at"] > failed["ended_at"]
    )


def _prepare(root: Root) -> View:
    projects = root.scheduler.list_projects()
    return partial(_home, describe_schedules(root), projects)


# What is counted in the currency with most coins, and the filters of the page of the coins for it.
_MARKET: Mapping[str, Mapping[str, str]] = {
    "coins": {},
    "gainers in 24h": {"change_min": "0.01", **LISTS["Gainers"]},
    "losers in 24h": {"change_max": "-0.01", **LISTS["Losers"]},
    "new in 7 days": LISTS["New"],
    "delisted": {"listed": "delisted"},
}
# A wrapped coin has no rank of its own, and its cap is that of another coin.
_CAP = """
SELECT sum(market_cap) AS cap FROM full_coin
WHERE vs_currency = %(currency)s AND delisted_at IS NULL AND market_cap_rank IS NOT NULL
"""


_markets: Memory[tuple[str, list[MarketLink]]] = Memory(5.0)  # seconds


def read_market(connected: Connection, watched: Sequence[str]) -> tuple[str, list[MarketLink]]:
    """The currency and its figures; none if no coins were crawled."""
    try:
        with connected.transaction():
            currency, found = _markets.get(database_url(), lambda: _figures(connected))
    except NothingCrawledError:
        return "", []
    on_list = MarketLink(f"{len(watched):,}", "on your watch list", LISTS["Watch list"])
    return currency, [*found, *([on_list] if watched else [])]


def _figures(connected: Connection) -> tuple[str, list[MarketLink]]:
    """Each is counted over all coins, which takes as long as a page."""
    counts = count_coins(connected, read_choice({}))
    currency = max(counts, key=counts.__getitem__, default="")
    [(cap,)] = fetch_listing(connected, sql.SQL(_CAP), {"currency": currency}).rows
    found = [MarketLink(short(cap), "market cap", {"sort": "-market_cap"})] if cap else []
    for text, query in _MARKET.items() if currency else ():
        choice = read_choice({**query, "currency": currency})
        count = count_coins(connected, choice).get(currency, 0)
        found.append(MarketLink(f"{count:,}", text, query))
    return currency, found


def _home(
    known: Described,
    projects: list[str],
    connected: Connection,
    _: Arguments,
    frame: Frame,
) -> str:
    currency, market = read_market(connected, cast(Sequence[str], frame["watched"]))
    crawls = [*_crawls(connected), *as_crawls(this_node().failed_jobs.without_row(FAILED_JOBS))]
    sources = last_complete(crawls)
    failures = last_failures(crawls, sources)
    tell([*sources, *failures], known.logs_dir, known.periods)
    for source in sources:
        source["late"] = _is_late(source)
    usage = list_api_usage(connected)
    used = [one for number, one in enumerate(usage) if number == 0 or is_in_use(one)]
    return render(
        "home.html",
        **frame,
        market=market,
        currency=currency,
        projects=projects,
        schedules=known.schedules,
        running=_running(connected, crawls),
        sources=sources,
        failures=failures,
        verdict=verdict(
            crawls,
            failures,
            known.schedules,
            is_late=any(source["late"] for source in sources),
            exhausted=usage[0].exhausted if usage else "",
        ),
        coming=_coming(known.schedules),
        database=describe(database_url()),
        usage=used,
        unused=len(usage) - len(used),
        today=f"{datetime.now(UTC):%Y-%m-%d}",
    )


# At ``/``, instead of scrapyd's own first page.
HomePage = partial(DatabaseView, prepare=_prepare, section="", form=WITH_JOBS)


def is_in_use(one: ApiUsage) -> bool:
    """Whether more than the history of its calls is known; the last one used always counts."""
    return bool(one.calls_this_minute or one.waiting_crawls or one.credits_left is not None)


def _crawls(connected: Connection) -> list[Crawl]:
    try:
        with connected.transaction():
            crawls = cast(list[Crawl], read_crawls(connected, _LOOKED_AT).dicts())
    except NothingCrawledError:
        return []
    return [with_end(crawl) for crawl in crawls]


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


def _coming(schedules: Sequence[Answer]) -> list[Answer]:
    """The schedules that run again, the next one first, and then the paused ones."""
    shown = [s for s in schedules if s["next_time"] or (s["enabled"] and s["paused"])]
    return sorted(shown, key=lambda s: str(s["next_time"] or "z"))
