"""How a crawl ended, read from its stats."""

from typing import NamedTuple

from scrapy.crawler import Crawler
from scrapy.statscollectors import StatsCollector

from coinspider.failure import FAILURE_STAT
from coinspider.paginated_spider import END_STAT, PAGE_STAT, RECORD_STAT

FAILED = 1
INTERRUPTED = 130
_FEED_STAT = "feedexport/success_count"


class Outcome(NamedTuple):
    """The exit status of ``scrapy crawl`` and its last line."""

    status: int
    message: str


def outcome_of(crawler: Crawler) -> Outcome:
    """A crawl is good only if nothing went wrong and the end of the pages was seen."""
    stats = crawler.stats
    done = _done(stats)
    reason = stats.get_value("finish_reason", "it was killed")
    if problem := stats.get_value(FAILURE_STAT):
        return Outcome(FAILED, f"the crawl failed: {problem} ({done})")
    if reason == "shutdown":
        return Outcome(INTERRUPTED, f"the crawl was interrupted ({done})")
    if reason != "finished" or not stats.get_value(END_STAT):
        return Outcome(FAILED, f"the crawl did not reach the last page: {reason} ({done})")
    if problem := _problem(crawler):
        return Outcome(FAILED, f"the crawl failed: {problem}, see the log ({done})")
    return Outcome(0, f"the crawl is complete: {done}")


def _problem(crawler: Crawler) -> str | None:
    """What Scrapy logs, but neither ends the crawl for nor tells in its exit status."""
    get = crawler.stats.get_value
    handled = get("item_scraped_count", 0) + get("item_dropped_count", 0)
    if lost := get(RECORD_STAT, 0) - handled:
        return f"{lost} records were lost on their way"
    if get("spider_exceptions/count"):
        return "the spider raised an exception"
    written = [name for name in crawler.stats.get_stats() if name.startswith(_FEED_STAT)]
    if handled and len(written) < bool(crawler.settings.getdict("FEEDS")):
        return "a feed could not be written"
    return None


def _done(stats: StatsCollector) -> str:
    pages, records = stats.get_value(PAGE_STAT, 0), stats.get_value(RECORD_STAT, 0)
    text = f"{pages} pages, {records} records"
    if stats.get_value("postgres/item_count") is not None:
        refused, stored, new, changed = (
            stats.get_value(f"postgres/{name}_count", 0)
            for name in ("refused", "item", "inserted", "updated")
        )
        text += f", {new} new, {changed} changed, {stored - new - changed - refused} unchanged"
    rejected = stats.get_value("item_dropped_count", 0) + stats.get_value(
        "postgres/refused_count", 0
    )
    return f"{text}, {rejected} rejected"
