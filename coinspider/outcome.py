"""How a crawl ended, read from its stats."""

from typing import NamedTuple

from scrapy.statscollectors import StatsCollector

from coinspider.failure import FAILURE_STAT
from coinspider.paginated_spider import END_STAT

FAILED = 1
INTERRUPTED = 130


class Outcome(NamedTuple):
    """The exit status of ``scrapy crawl`` and its last line."""

    status: int
    message: str


def outcome_of(stats: StatsCollector) -> Outcome:
    """A crawl is good only if nothing went wrong and the end of the pages was seen."""
    done = _done(stats)
    if problem := stats.get_value(FAILURE_STAT) or _problem(stats):
        return Outcome(FAILED, f"the crawl failed: {problem} ({done})")
    if stats.get_value("finish_reason") == "shutdown":
        return Outcome(INTERRUPTED, f"the crawl was interrupted ({done})")
    if stats.get_value("finish_reason") != "finished" or not stats.get_value(END_STAT):
        reason = stats.get_value("finish_reason", "it was killed")
        return Outcome(FAILED, f"the crawl did not reach the last page: {reason} ({done})")
    return Outcome(0, f"the crawl is complete: {done}")


def _problem(stats: StatsCollector) -> str | None:
    if stats.get_value("spider_exceptions/count"):
        return "the spider raised an exception, see the log"
    if stats.get_value("item_error_count"):
        return "a pipeline raised an exception, see the log"
    if any(name.startswith("feedexport/failed_count") for name in stats.get_stats()):
        return "a feed could not be written, see the log"
    return None


def _done(stats: StatsCollector) -> str:
    pages = stats.get_value("pagination/page_count", 0)
    text = f"{pages} pages, {stats.get_value('item_scraped_count', 0)} records"
    if stats.get_value("postgres/item_count") is not None:
        stored, new, changed = (
            stats.get_value(f"postgres/{name}_count", 0)
            for name in ("item", "inserted", "updated")
        )
        text += f", {new} new, {changed} changed, {stored - new - changed} unchanged"
    return f"{text}, {stats.get_value('coercion/rejected_count', 0)} rejected"
