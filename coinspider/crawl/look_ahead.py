"""Decides whether a crawl requests several pages at once."""

from scrapy.crawler import Crawler

from coinspider.crawl.state import crawl_state
from coinspider.http.limit.state import ToldLimit
from coinspider.http.pagination import IN_SEQUENCE, LookAhead


def choose_look_ahead(crawler: Crawler, told: ToldLimit, latency: float) -> LookAhead:
    """How far to look ahead if a page takes ``latency`` seconds.

    It pays only if latency slows the crawl down, and not the limit. Under a limit, no page past
    those of the last complete crawl is requested ahead, because such a call may be wasted.
    """
    settings = crawler.settings
    ways = settings.getint("LOOKAHEAD_PAGES", 1)
    known = crawl_state(crawler).known_pages if told.calls else None
    is_limited = told.calls and (not known or latency * told.calls < told.period)
    if ways <= 1 or latency < settings.getfloat("LOOKAHEAD_LATENCY") or is_limited:
        return IN_SEQUENCE
    return LookAhead(ways, known)
