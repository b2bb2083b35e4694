"""How a crawl ended, and the exit status for it."""

from collections.abc import Mapping
from typing import NamedTuple

from scrapy.crawler import Crawler
from scrapy.statscollectors import StatsCollector

from coinspider.crawl.reasons import Reason
from coinspider.crawl.spider_base import PaginatedSpider
from coinspider.crawl.state import CrawlState, crawl_state
from coinspider.crawl.target import Ending
from coinspider.stats import FOUND_STAT, ITEM_STAT, RECORD_STAT, figures
from coinspider.text import counted, visible

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
    """A word of ``EXIT_STATUS``, the last line of ``scrapy crawl``, and the reason in it."""

    name: str
    message: str
    reason: Reason | None = None
    remarks: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        return EXIT_STATUS[self.name]

    @property
    def ending(self) -> Ending:
        """The same for the crawl's row."""
        figures = dict(self.reason.figures) if self.reason else {}
        if self.remarks:
            figures["remarks"] = list(self.remarks)
        return Ending(self.name, self.message, self.reason.code if self.reason else None, figures)


def outcome_of(crawler: Crawler) -> Outcome:
    """A crawl is complete only if nothing went wrong and the end of the list was seen."""
    stats, state = crawler.stats, crawl_state(crawler)
    finish = stats.get_value("finish_reason", "it was killed")
    is_list = isinstance(crawler.spider, PaginatedSpider)
    done = _done(stats) if is_list else counted(stats.get_value("item_scraped_count", 0), "item")
    if reason := _broken_off(state, finish):
        return _ended(reason, state, done)
    if not is_list:
        return _outcome_of_other(stats, finish, done)
    if finish != "finished" or not state.end_reached:
        return _ended(Reason("not_finished", {"why": finish}), state, done)
    if problem := _problem(crawler) or _rejected_share(crawler):
        return _ended(problem, state, done)
    message = f"the crawl is complete: {done}{_remarks(state)}"
    return Outcome("complete", message, remarks=state.remarks)


def _ended(reason: Reason, state: CrawlState, done: str) -> Outcome:
    """The outcome and the last line for a reason: most are failures."""
    words = visible(reason.message)
    match reason.code:
        case "skipped":
            return Outcome("skipped", words, reason)
        case "exhausted":
            return Outcome("exhausted", words, reason)
        case "interrupted":
            return Outcome("interrupted", f"{words} ({done})", reason)
        case "not_finished":
            return Outcome("failed", f"{words} ({done})", reason)
    message = f"the crawl failed: {words}{_remarks(state)} ({done})"
    return Outcome("failed", message, reason, state.remarks)


def _remarks(state: CrawlState) -> str:
    return "".join(f"; {remark}" for remark in state.remarks)


def _broken_off(state: CrawlState, finish: str) -> Reason | None:
    """Why the crawl ended early, if it did."""
    if state.skipped:
        return Reason("skipped", {"why": state.skipped})
    if state.exhausted:
        return Reason("exhausted", {"why": state.exhausted})
    if state.reason:
        return state.reason
    return Reason("interrupted") if finish == "shutdown" else None


def _outcome_of_other(stats: StatsCollector, finish: str, done: str) -> Outcome:
    """The outcome of a spider that doesn't read a list of pages, and so may end anywhere."""
    if finish != "finished":
        return Outcome("failed", f"the crawl ended early: {finish} ({done})")
    if stats.get_value("spider_exceptions/count"):
        return Outcome("failed", f"the spider raised an exception, see the log ({done})")
    return Outcome("complete", f"the crawl finished: {done}")


def _problem(crawler: Crawler) -> Reason | None:
    """What Scrapy logs without ending the crawl or changing its exit status."""
    get = crawler.stats.get_value
    handled = get("item_scraped_count", 0) + get("item_dropped_count", 0)
    if lost := get(RECORD_STAT, 0) - handled:
        return Reason("records_lost", {"lost": f"{counted(lost, 'record')} {_were(lost)}"})
    if get("spider_exceptions/count"):
        return Reason("spider_exception")
    if getattr(crawler.spider, "must_find", False) and not get(RECORD_STAT):
        return Reason("no_records")
    if doubt := _shortage(crawler) or (crawl_state(crawler).place and _difference(crawler)):
        return doubt
    if any(name.startswith(_FEED_STAT) for name in crawler.stats.get_stats()):
        return Reason("feed_failed", {"why": "a feed could not be written, see the log"})
    return None


def _were(count: float) -> str:
    return "was" if count == 1 else "were"


def _shortage(crawler: Crawler) -> Reason | None:
    """A problem, if too many known records came only when they were requested by their keys."""
    get, share_max = crawler.stats.get_value, crawler.settings.getfloat("DELISTED_SHARE_MAX")
    found = get(FOUND_STAT, 0)
    if found <= get(RECORD_STAT, 0) * share_max:
        return None
    return Reason("found_by_key", {"found": counted(found, "record")})


def _difference(crawler: Crawler) -> Reason | None:
    """A problem, if the outcomes don't add up to the number of records on the pages."""
    figure = figures(crawler.stats)
    parts = {word: figure[column] for word, column in SUM.items()}
    missing = figure["record_count"] - sum(parts.values())
    if not missing:
        return None
    counted = " + ".join(f"{count} {word}" for word, count in parts.items() if count)
    foreign = ", ".join(crawl_state(crawler).foreign_items)
    why = f"; a pipeline gave {foreign}, which can't be stored" if foreign else ""
    text = (
        f"the {figure['record_count']} records on the pages are not the sum of"
        f" {counted or 'nothing'}: {abs(missing)} {'are missing' if missing > 0 else 'too many'}"
        f"{why}"
    )
    return Reason("records_uncounted", {"why": text})


def _rejected_share(crawler: Crawler) -> Reason | None:
    figure, most = figures(crawler.stats), crawler.settings.getfloat("REJECTED_SHARE_MAX", 1)
    if figure["rejected_count"] <= figure["record_count"] * most:
        return None
    return Reason("rejected_share", {"most": f"{most:g}"})


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
