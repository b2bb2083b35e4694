"""How a crawl ended, and the exit status for it."""

from collections.abc import Mapping
from typing import NamedTuple

from scrapy.crawler import Crawler
from scrapy.statscollectors import StatsCollector

from coinspider.crawl.spider_base import PaginatedSpider
from coinspider.crawl.state import CrawlState, crawl_state
from coinspider.stats import FOUND_STAT, ITEM_STAT, RECORD_STAT, figures
from coinspider.text import counted

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


class Outcome(NamedTuple):
    """A word of ``EXIT_STATUS``, and the last line of ``scrapy crawl``."""

    name: str
    message: str

    @property
    def status(self) -> int:
        return EXIT_STATUS[self.name]


def outcome_of(crawler: Crawler) -> Outcome:
    """A crawl is complete only if nothing went wrong and the end of the list was seen."""
    stats, state = crawler.stats, crawl_state(crawler)
    done = _done(stats)
    reason = stats.get_value("finish_reason", "it was killed")
    if broken_off := _broken_off(state, reason, done):
        return broken_off
    if not isinstance(crawler.spider, PaginatedSpider):
        return _outcome_of_other(crawler)
    if reason != "finished" or not state.end_reached:
        return Outcome("failed", f"the crawl did not reach the last page: {reason} ({done})")
    if problem := _problem(crawler) or _rejected_share(crawler):
        message = f"the crawl failed: {problem}, see the log{_remarks(state)} ({done})"
        return Outcome("failed", message)
    return Outcome("complete", f"the crawl is complete: {done}{_remarks(state)}")


def _remarks(state: CrawlState) -> str:
    return "".join(f"; {remark}" for remark in state.remarks)


def _broken_off(state: CrawlState, reason: str, done: str) -> Outcome | None:
    """How the crawl ended early, if it did."""
    if state.skipped:
        return Outcome("skipped", state.skipped)
    if state.exhausted:
        return Outcome("exhausted", f"no calls are left for this crawl: {state.exhausted}")
    if state.failure:
        return Outcome("failed", f"the crawl failed: {state.failure}{_remarks(state)} ({done})")
    if reason == "shutdown":
        return Outcome("interrupted", f"the crawl was interrupted ({done})")
    return None


def _outcome_of_other(crawler: Crawler) -> Outcome:
    """The outcome of a spider that doesn't read a list of pages, and so may end anywhere."""
    get = crawler.stats.get_value
    reason, done = get("finish_reason"), counted(get("item_scraped_count", 0), "item")
    if reason != "finished":
        return Outcome("failed", f"the crawl ended early: {reason} ({done})")
    if get("spider_exceptions/count"):
        return Outcome("failed", f"the spider raised an exception, see the log ({done})")
    return Outcome("complete", f"the crawl finished: {done}")


def _problem(crawler: Crawler) -> str | None:
    """What Scrapy logs without ending the crawl or changing its exit status."""
    get = crawler.stats.get_value
    handled = get("item_scraped_count", 0) + get("item_dropped_count", 0)
    if lost := get(RECORD_STAT, 0) - handled:
        verb = "was" if lost == 1 else "were"
        return f"{counted(lost, 'record')} {verb} lost on their way"
    if get("spider_exceptions/count"):
        return "the spider raised an exception"
    if getattr(crawler.spider, "must_find", False) and not get(RECORD_STAT):
        return "no page held any record"
    if doubt := _shortage(crawler) or (crawl_state(crawler).place and _difference(crawler)):
        return doubt
    if any(name.startswith(_FEED_STAT) for name in crawler.stats.get_stats()):
        return "a feed could not be written"
    return None


def _shortage(crawler: Crawler) -> str | None:
    """A problem, if too many known records came only when they were requested by their keys."""
    get, share_max = crawler.stats.get_value, crawler.settings.getfloat("DELISTED_SHARE_MAX")
    found = get(FOUND_STAT, 0)
    if found <= get(RECORD_STAT, 0) * share_max:
        return None
    return f"the list is incomplete: {counted(found, 'record')} came only when requested by key"


def _difference(crawler: Crawler) -> str | None:
    """A problem, if the outcomes don't add up to the number of records on the pages."""
    figure = figures(crawler.stats)
    parts = {word: figure[column] for word, column in SUM.items()}
    missing = figure["record_count"] - sum(parts.values())
    if not missing:
        return None
    counted = " + ".join(f"{count} {word}" for word, count in parts.items() if count)
    foreign = ", ".join(crawl_state(crawler).foreign_items)
    why = f"; a pipeline gave {foreign}, which can't be stored" if foreign else ""
    return (
        f"the {figure['record_count']} records on the pages are not the sum of"
        f" {counted or 'nothing'}: {abs(missing)} {'are missing' if missing > 0 else 'too many'}"
        f"{why}"
    )


def _rejected_share(crawler: Crawler) -> str | None:
    figure, most = figures(crawler.stats), crawler.settings.getfloat("REJECTED_SHARE_MAX", 1)
    if figure["rejected_count"] <= figure["record_count"] * most:
        return None
    return f"more than REJECTED_SHARE_MAX={most:g} of the records were rejected"


def _done(stats: StatsCollector) -> str:
    figure = figures(stats)
    text = f"{counted(figure['page_count'], 'page')}, {counted(figure['record_count'], 'record')}"
    if stats.get_value(ITEM_STAT) is not None:
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
