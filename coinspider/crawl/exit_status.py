"""How a crawl ended, and the exit status for it."""

from typing import NamedTuple

from scrapy.crawler import Crawler
from scrapy.statscollectors import StatsCollector

from coinspider.crawl.state import crawl_state
from coinspider.stats import ITEM_STAT, RECORD_STAT, figures
from coinspider.text import counted

EXIT_STATUS = {"complete": 0, "failed": 1, "misconfigured": 2, "skipped": 3, "interrupted": 130}
_FEED_STAT = "feedexport/failed_count"


class Outcome(NamedTuple):
    """A word of ``EXIT_STATUS``, and the last line of ``scrapy crawl``."""

    name: str
    message: str

    @property
    def status(self) -> int:
        return EXIT_STATUS[self.name]


def outcome_of(crawler: Crawler) -> Outcome:
    """A crawl is good only if nothing went wrong and the end of the pages was seen."""
    stats, state = crawler.stats, crawl_state(crawler)
    done = _done(stats)
    reason = stats.get_value("finish_reason", "it was killed")
    if state.skipped:
        return Outcome("skipped", state.skipped)
    if state.failure:
        return Outcome("failed", f"the crawl failed: {state.failure} ({done})")
    if reason == "shutdown":
        return Outcome("interrupted", f"the crawl was interrupted ({done})")
    if reason != "finished" or not state.end_reached:
        return Outcome("failed", f"the crawl did not reach the last page: {reason} ({done})")
    if problem := _problem(crawler) or _rejected_share(crawler):
        return Outcome("failed", f"the crawl failed: {problem}, see the log ({done})")
    return Outcome("complete", f"the crawl is complete: {done}")


def _problem(crawler: Crawler) -> str | None:
    """What Scrapy logs, but neither ends the crawl for nor tells in its exit status."""
    get = crawler.stats.get_value
    handled = get("item_scraped_count", 0) + get("item_dropped_count", 0)
    if lost := get(RECORD_STAT, 0) - handled:
        verb = "was" if lost == 1 else "were"
        return f"{counted(lost, 'record')} {verb} lost on their way"
    if get("spider_exceptions/count"):
        return "the spider raised an exception"
    if any(name.startswith(_FEED_STAT) for name in crawler.stats.get_stats()):
        return "a feed could not be written"
    return None


def _rejected_share(crawler: Crawler) -> str | None:
    figure, most = figures(crawler.stats), crawler.settings.getfloat("REJECTED_SHARE_MAX", 1)
    if figure["rejected_count"] <= figure["record_count"] * most:
        return None
    return f"more than REJECTED_SHARE_MAX={most:g} of the records were rejected"


def _done(stats: StatsCollector) -> str:
    figure = figures(stats)
    text = f"{counted(figure['page_count'], 'page')}, {counted(figure['record_count'], 'record')}"
    if stats.get_value(ITEM_STAT) is not None:
        new, changed, unchanged = (
            figure[f"{name}_count"] for name in ("inserted", "updated", "unchanged")
        )
        text += f", {new} new, {changed} changed, {unchanged} unchanged"
    if figure["delisted_count"]:
        text += f", {figure['delisted_count']} delisted"
    return f"{text}, {figure['rejected_count']} rejected"
