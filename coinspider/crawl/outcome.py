"""How a crawl ends: what went wrong, its last lines, its exit status.

A :class:`CrawlOutcome` collects what the parts of a crawl find out, and knows nothing of Scrapy.
The functions at the end connect it with a crawler.
"""

import logging
import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct
from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider
from scrapy.statscollectors import StatsCollector
from scrapy.utils.defer import deferred_from_coro

from coinspider.crawl.reasons import Reason
from coinspider.crawl.target import Ending, Place, Shortage
from coinspider.http.ratelimit import CALLS_STAT, PERIOD_STAT
from coinspider.installation import program
from coinspider.secrets import masked
from coinspider.stats import (
    EMPTY_STAT,
    EXHAUSTED_STAT,
    FAILURE_STAT,
    FOUND_STAT,
    ITEM_STAT,
    LOOKUP_STAT,
    REREAD_STAT,
    SKIPPED_STAT,
    figures,
)
from coinspider.text import counted, readable_seconds, visible

logger = logging.getLogger(__name__)


EXIT_STATUS = {
    "complete": 0,
    "failed": 1,
    "misconfigured": 2,
    "skipped": 3,
    "exhausted": 4,
    "interrupted": 130,
}
# The possible outcomes of a record, each with its column of the table crawl.
SUM = {
    "new": "inserted_count",
    "changed": "updated_count",
    "unchanged": "unchanged_count",
    "older": "older_count",
    "repeated": "repeated_count",
    "rejected": "rejected_count",
    "dropped": "dropped_count",
}
_ALWAYS_TOLD = ("new", "changed", "unchanged")
_FEED_STAT = "feedexport/failed_count"
COINS_TABLE = "full_coin"  # the one that scrapy coins shows
NOT_STORED = "not stored (POSTGRES_ENABLED=0)"


class Outcome(NamedTuple):
    """A word of ``EXIT_STATUS``, the last line of ``scrapy crawl``, and the reason in it."""

    name: str
    message: str
    reason: Reason | None = None
    remarks: tuple[str, ...] = ()
    shortage: Shortage | None = None

    @property
    def status(self) -> int:
        return EXIT_STATUS[self.name]

    @property
    def ending(self) -> Ending:
        """The same for the crawl's row."""
        figures = dict(self.reason.figures) if self.reason else {}
        if self.remarks:
            figures["remarks"] = list(self.remarks)
        if self.shortage:
            figures["shortage"] = self.shortage
        return Ending(self.name, self.message, self.reason.code if self.reason else None, figures)


class Facts(NamedTuple):
    """What Scrapy counted in a crawl, and what its settings allow."""

    finish: str = "finished"
    figures: Mapping[str, int | float] = {}
    handled: int = 0
    """Records that came out of the pipelines, or were dropped by one."""
    found: int = 0
    """Records that came only when they were requested by their keys."""
    has_exceptions: bool = False
    has_failed_feeds: bool = False
    is_stored: bool = False
    must_find: bool = False
    found_share_max: float = 1.0
    rejected_share_max: float = 1.0


class CrawlOutcome(Struct):
    """What the parts of a crawl find out about its end, in any order."""

    reads_pages: bool = False
    """Whether its spider reads a list to its end."""
    reason: Reason | None = None
    """Why it ends early: the first reason, from which later ones often follow."""
    end_reached: bool = False
    """Whether the end of the list was seen."""
    remarks: tuple[str, ...] = ()
    """What to say besides, also about a complete crawl."""
    shortage: Shortage | None = None
    """How the list contradicts its total."""
    foreign_items: tuple[str, ...] = ()
    """The types of items from pipelines that can't be stored."""
    rejection_reasons: tuple[str, ...] = ()
    """The first different reasons."""
    set_aside_reasons: tuple[str, ...] = ()
    """The first different reasons for which only a field was set aside."""
    place: Place | None = None
    """Where the rows go; ``None`` while nothing is stored."""
    next_since: str | None = None
    """The value with which an incremental source asks in the next crawl."""

    def note(self, reason: Reason) -> bool:
        """Keep the first reason, but one that ends a crawl without a failure above all others.

        It may hold words of the API.
        """
        is_first = self.reason is None or reason.code in _NO_FAILURE
        if is_first:
            self.reason = reason.masked()
        return is_first

    def remark(self, text: str) -> None:
        self.remarks = (*self.remarks, masked(text))

    def conclude(self, facts: Facts) -> Outcome:
        """A crawl is complete only if nothing went wrong and the end of the list was seen."""
        done = _done(facts.figures, facts.is_stored)
        reason = self.reason or self._unfinished(facts.finish) or self._problem(facts)
        if reason is None:
            message = f"the crawl is complete: {done}{self._remarks}"
            return Outcome("complete", message, remarks=self.remarks, shortage=self.shortage)
        words = visible(reason.message)
        if reason.code in ("skipped", "exhausted"):
            return Outcome(reason.code, words, reason)
        if reason.code == "interrupted":
            return Outcome("interrupted", f"{words} ({done})", reason)
        if reason.code != "not_finished":
            words = f"the crawl failed: {words}{self._remarks}"
        return Outcome("failed", f"{words} ({done})", reason, self.remarks, self.shortage)

    @property
    def _remarks(self) -> str:
        return "".join(f"; {remark}" for remark in self.remarks)

    def _unfinished(self, finish: str) -> Reason | None:
        if finish == "shutdown":
            return Reason("interrupted")
        if finish != "finished" or not self.end_reached:
            why = "no page showed its end" if finish == "finished" else finish
            return Reason("not_finished", {"why": why})
        return None

    def _problem(self, facts: Facts) -> Reason | None:
        """What Scrapy logs without ending the crawl or changing its exit status."""
        found = (judge(facts) for judge in (_lost, _unread, self._difference, _unfit))
        return next(filter(None, found), None)

    def _difference(self, facts: Facts) -> Reason | None:
        """A problem, if the outcomes don't add up to the number of records on the pages."""
        figure = facts.figures
        parts = {word: figure[column] for word, column in SUM.items()}
        missing = figure["record_count"] - sum(parts.values())
        if not (self.place and missing):
            return None
        said = " + ".join(f"{count} {word}" for word, count in parts.items() if count)
        foreign = ", ".join(self.foreign_items)
        why = f"; a pipeline gave {foreign}, which can't be stored" if foreign else ""
        return Reason(
            "records_uncounted",
            {
                "why": f"the {figure['record_count']} records on the pages are not the sum of"
                f" {said or 'nothing'}: {abs(missing)}"
                f" {'are missing' if missing > 0 else 'too many'}{why}"
            },
        )


def _lost(facts: Facts) -> Reason | None:
    """Records that came to no end, or an exception."""
    if lost := int(facts.figures["record_count"]) - facts.handled:
        were = "was" if lost == 1 else "were"
        return Reason("records_lost", {"lost": f"{counted(lost, 'record')} {were}"})
    return Reason("spider_exception") if facts.has_exceptions else None


def _unread(facts: Facts) -> Reason | None:
    """A list without records, or one that left out too many of those that were known."""
    records = int(facts.figures["record_count"])
    if facts.must_find and not records:
        return Reason("no_records")
    if facts.found > records * (most := facts.found_share_max):
        figures = {"found": counted(facts.found, "record"), "most": f"{most:g}"}
        return Reason("found_by_key", figures)
    return None


def _unfit(facts: Facts) -> Reason | None:
    """A feed that failed, or too many records that were rejected."""
    if facts.has_failed_feeds:
        return Reason("feed_failed", {"why": "a feed could not be written, see the log"})
    share_max = facts.rejected_share_max
    if facts.figures["rejected_count"] > facts.figures["record_count"] * share_max:
        return Reason("rejected_share", {"most": f"{share_max:g}"})
    return None


_NO_FAILURE = ("skipped", "exhausted")


def _done(figure: Mapping[str, int | float], is_stored: bool) -> str:
    text = f"{counted(figure['page_count'], 'page')}, {counted(figure['record_count'], 'record')}"
    if is_stored:
        text += f", {sum_in_words(figure)}"
    if figure["delisted_count"]:
        text += f", {figure['delisted_count']} delisted"
    return f"{text}, {figure['rejected_count']} rejected"


def sum_in_words(figure: Mapping[str, int | float], form: str = "") -> str:
    """``3 new, 0 changed, 7 unchanged, 1 older``, without the rejected ones."""
    return ", ".join(
        f"{figure[column]:{form}} {word}"
        for word, column in SUM.items()
        if word in _ALWAYS_TOLD or (figure[column] and word != "rejected")
    )


def crawl_outcome(crawler: Crawler) -> CrawlOutcome:
    """That of the crawler's spider; of Scrapy's own kinds of spiders, made when it is needed.

    A crawler whose spider could not be made has one, too.
    """
    holder = crawler.spider or crawler
    if not hasattr(holder, "outcome"):
        setattr(holder, "outcome", CrawlOutcome())  # noqa: B010 (Scrapy's classes declare no such thing)
    outcome: CrawlOutcome = getattr(holder, "outcome")  # noqa: B009
    return outcome


def note_failure(crawler: Crawler, reason: Reason) -> CloseSpider:
    """Log and record why the crawl fails; return the exception that ends it, for the caller to
    raise.
    """
    words = visible(reason.masked().message)
    logger.error(words, extra={"spider": crawler.spider})
    if crawl_outcome(crawler).note(reason):
        crawler.stats.set_value(FAILURE_STAT, words)
    return CloseSpider(reason.finish)


def note_exhausted(crawler: Crawler, message: str) -> CloseSpider:
    """Log and record that the month's calls are used up; return the exception that says so."""
    if not crawler.stats.get_value(EXHAUSTED_STAT):
        logger.error(message, extra={"spider": crawler.spider})
        crawler.stats.set_value(EXHAUSTED_STAT, masked(message))
        crawl_outcome(crawler).note(Reason("exhausted", {"why": message}))
    return CloseSpider("exhausted")


def note_skip(crawler: Crawler, reason: Reason) -> CloseSpider:
    """Log and record why the crawl does not begin; return the exception that ends it."""
    logger.warning(reason.message, extra={"spider": crawler.spider})
    crawler.stats.set_value(SKIPPED_STAT, reason.message)
    crawl_outcome(crawler).note(reason)
    return CloseSpider(reason.finish)


def fail_crawl(crawler: Crawler, reason: Reason) -> None:
    """Log and record why the crawl fails, and end it.

    For code whose ``CloseSpider`` Scrapy would ignore, such as ``process_item``.
    """
    note_failure(crawler, reason)
    if crawler.engine.spider is not None:
        # Awaiting it here would wait for the very item that is being processed.
        deferred_from_coro(crawler.engine.close_spider_async(reason=reason.finish))


def outcome_of(crawler: Crawler) -> Outcome:
    """How the crawl ended, as far as is known."""
    get, outcome = crawler.stats.get_value, crawl_outcome(crawler)
    finish = get("finish_reason", "it was killed")
    if not outcome.reads_pages:
        return _outcome_of_other(crawler.stats, outcome, finish)
    share = crawler.settings.getfloat
    return outcome.conclude(
        Facts(
            finish,
            figures(crawler.stats),
            handled=get("item_scraped_count", 0) + get("item_dropped_count", 0),
            found=get(FOUND_STAT, 0),
            has_exceptions=bool(get("spider_exceptions/count")),
            has_failed_feeds=any(n.startswith(_FEED_STAT) for n in crawler.stats.get_stats()),
            is_stored=get(ITEM_STAT) is not None,
            must_find=getattr(crawler.spider, "must_find", False),
            found_share_max=share("DELISTED_SHARE_MAX"),
            rejected_share_max=share("REJECTED_SHARE_MAX", 1),
        )
    )


def _outcome_of_other(stats: StatsCollector, outcome: CrawlOutcome, finish: str) -> Outcome:
    """The outcome of a spider that doesn't read a list of pages, and so may end anywhere."""
    done = counted(stats.get_value("item_scraped_count", 0), "item")
    if outcome.reason:
        words = visible(outcome.reason.message)
        return Outcome("failed", f"the crawl failed: {words} ({done})", outcome.reason)
    if finish == "shutdown":
        return Outcome("interrupted", f"the crawl was interrupted ({done})", Reason("interrupted"))
    if finish != "finished":
        return Outcome("failed", f"the crawl ended early: {finish} ({done})")
    if stats.get_value("spider_exceptions/count"):
        return Outcome("failed", f"the spider raised an exception, see the log ({done})")
    return Outcome("complete", f"the crawl finished: {done}")


def summary(crawler: Crawler) -> list[str]:
    """The lines; none for a crawl that read no page."""
    if not crawl_outcome(crawler).reads_pages or not figures(crawler.stats)["page_count"]:
        return []
    return [f"  {name:<9} {text}" for name, text in _lines(crawler)]


def _lines(crawler: Crawler) -> Iterator[tuple[str, str]]:
    yield from _of_records(crawler)
    yield from _of_pages(crawler)
    item_class = getattr(crawler.spider, "item_class", None)
    if table := item_class.table if item_class else getattr(crawler.spider, "table", None):
        yield "rows", _rows(crawler, table)
    if feeds := crawler.settings.getdict("FEEDS"):
        yield "feed", ", ".join(map(masked, map(str, feeds)))


def _of_records(crawler: Crawler) -> Iterator[tuple[str, str]]:
    figure, outcome = figures(crawler.stats), crawl_outcome(crawler)
    yield "records", f"{figure['record_count']:,}: {sum_in_words(figure, ',')}"
    if figure["set_aside_count"]:
        reasons = "; ".join(outcome.set_aside_reasons)
        yield "set aside", f"{figure['set_aside_count']:,} fields: {reasons}"
    if figure["future_count"]:
        yield "future", f"{figure['future_count']:,} rows dated more than a day ahead"
    if figure["delisted_count"]:
        yield "delisted", f"{figure['delisted_count']:,}"
    advice = getattr(crawler.spider, "rejection_advice", "")
    reasons = "; ".join((*outcome.rejection_reasons, *filter(None, [advice])))
    rejected = figure["rejected_count"]
    yield "rejected", f"{rejected:,}: {reasons}" if rejected else "0"


def _of_pages(crawler: Crawler) -> Iterator[tuple[str, str]]:
    figure, stats = figures(crawler.stats), crawler.stats
    seconds = stats.get_value("elapsed_time_seconds") or 0.0
    refused = counted(figure["refused_count"], "call")
    yield "pages", f"{figure['page_count']:,} in {readable_seconds(seconds)}, {refused} refused"
    others = sum(stats.get_value(stat, 0) for stat in (EMPTY_STAT, REREAD_STAT, LOOKUP_STAT))
    yield "limit", _limit(stats, figure["page_count"] + others, seconds)


def _rows(crawler: Crawler, table: str) -> str:
    place = crawl_outcome(crawler).place
    return f"{table} in {place.text}: {_looks(table, place.options)}" if place else NOT_STORED


def _looks(table: str, options: str) -> str:
    """The commands that show the rows, as the user would type them here."""
    scrapy = program()
    if table == COINS_TABLE:
        return f"{scrapy} coins{options}, {scrapy} psql{options}"
    select = f'SELECT * FROM "{table}" LIMIT 20'  # noqa: S608 (to be shown)
    return f"{scrapy} psql{options} -c {shlex.quote(select)}"


def _limit(stats: StatsCollector, calls: float, seconds: float) -> str:
    limit, period = stats.get_value(CALLS_STAT, 0), stats.get_value(PERIOD_STAT, 60.0)
    if not limit:
        return "not known, though calls were refused" if figures(stats)["refused_count"] else "none"
    ideal = (calls - 1) // limit * period
    share = f", {seconds / ideal:.2f} times the least it allows" if ideal else ""
    return f"{limit} calls in {period:g} s{share}"
