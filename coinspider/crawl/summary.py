"""What a crawl did, in a few lines at its end."""

import shlex
from collections.abc import Iterator

from scrapy.crawler import Crawler
from scrapy.statscollectors import StatsCollector

from coinspider.crawl.exit_status import sum_in_words
from coinspider.crawl.spider_base import PaginatedSpider
from coinspider.crawl.state import crawl_state
from coinspider.http.ratelimit import CALLS_STAT, PERIOD_STAT
from coinspider.stats import EMPTY_STAT, LOOKUP_STAT, REREAD_STAT, figures
from coinspider.text import counted, program, readable_seconds, without_password

COINS_TABLE = "full_coin"  # the one that scrapy coins shows
NOT_STORED = "not stored (POSTGRES_ENABLED=0)"


def summary(crawler: Crawler) -> list[str]:
    """The lines; none for a crawl that read no page."""
    if not isinstance(crawler.spider, PaginatedSpider) or not figures(crawler.stats)["page_count"]:
        return []
    return [f"  {name:<9} {text}" for name, text in _lines(crawler, crawler.spider)]


def _lines(crawler: Crawler, spider: PaginatedSpider) -> Iterator[tuple[str, str]]:
    yield from _of_records(crawler)
    yield from _of_pages(crawler)
    if table := spider.item_class.table if spider.item_class else spider.table:
        yield "rows", _rows(crawler, table)
    if feeds := crawler.settings.getdict("FEEDS"):
        yield "feed", ", ".join(map(without_password, map(str, feeds)))


def _of_records(crawler: Crawler) -> Iterator[tuple[str, str]]:
    figure, state = figures(crawler.stats), crawl_state(crawler)
    yield "records", f"{figure['record_count']:,}: {sum_in_words(figure, ',')}"
    if figure["set_aside_count"]:
        reasons = "; ".join(state.set_aside_reasons)
        yield "set aside", f"{figure['set_aside_count']:,} fields: {reasons}"
    if figure["future_count"]:
        yield "future", f"{figure['future_count']:,} rows dated more than a day ahead"
    if figure["delisted_count"]:
        yield "delisted", f"{figure['delisted_count']:,}"
    reasons = "; ".join(state.rejection_reasons)
    yield "rejected", f"{figure['rejected_count']:,}" + (f": {reasons}" if reasons else "")


def _of_pages(crawler: Crawler) -> Iterator[tuple[str, str]]:
    figure, stats = figures(crawler.stats), crawler.stats
    seconds = stats.get_value("elapsed_time_seconds") or 0.0
    refused = counted(figure["refused_count"], "call")
    yield "pages", f"{figure['page_count']:,} in {readable_seconds(seconds)}, {refused} refused"
    others = sum(stats.get_value(stat, 0) for stat in (EMPTY_STAT, REREAD_STAT, LOOKUP_STAT))
    yield "limit", _limit(stats, figure["page_count"] + others, seconds)


def _rows(crawler: Crawler, table: str) -> str:
    place = crawl_state(crawler).place
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
        return "none"
    ideal = (calls - 1) // limit * period
    share = f", {seconds / ideal:.2f} times the least it allows" if ideal else ""
    return f"{limit} calls in {period:g} s{share}"
