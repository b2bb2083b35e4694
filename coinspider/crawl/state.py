"""What the parts of a crawl must know about each other while it runs."""

from typing import Any
from weakref import WeakKeyDictionary

from msgspec import Struct, field
from scrapy.crawler import Crawler
from scrapy.statscollectors import StatsCollector

from coinspider.crawl.evidence import PageLog
from coinspider.crawl.reasons import Reason
from coinspider.crawl.target import Place
from coinspider.records.keys import SeenKeys
from coinspider.stats import STATE_STATS


class CrawlState(Struct):
    """Made once per crawl; ask :func:`crawl_state` for it.

    Each field that people may want to read is mirrored into the stat that ``STATE_STATS`` names.
    Nothing reads it back from there.
    """

    stats: StatsCollector
    pages: PageLog = field(default_factory=PageLog)
    """What was seen of the list."""
    end_reached: bool = False
    """Whether the end of the list was seen."""
    known_pages: int | None = None
    """How many pages with records the last complete crawl of the same list had."""
    known_calls: int | None = None
    """How many calls the last complete crawls of the same list usually took."""
    expected_pages: int | None = None
    """How many pages the API itself announces."""
    since: str | None = None
    """The value with which an incremental source asks in this crawl."""
    next_since: str | None = None
    """The value for the next crawl."""
    place: Place | None = None
    """Where the rows go; ``None`` while nothing is stored."""
    reason: Reason | None = None
    """Why the crawl fails: the first reason, from which later ones often follow."""
    failure: str | None = None
    """The same in words."""
    exhausted: str | None = None
    """Why there is no call left for the crawl in this month."""
    skipped: str | None = None
    """Why the crawl did not begin."""
    rejection_reasons: tuple[str, ...] = ()
    """The first different reasons."""
    set_aside_reasons: tuple[str, ...] = ()
    """The first different reasons for which only a field was set aside."""
    remarks: tuple[str, ...] = ()
    """What to say about a crawl that is nevertheless complete."""
    foreign_items: tuple[str, ...] = ()
    """The types of items from pipelines that can't be stored."""
    lookup_ignored: bool = False
    """Whether the API returned records other than those requested by their keys."""
    gone: set[Any] = field(default_factory=set)
    """The keys of known records that the API does not have, as a call has shown."""
    seen: SeenKeys = field(default_factory=SeenKeys)
    """The keys of all records on the pages, whatever their outcome."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if value not in (None, False, ()) and name in STATE_STATS:
            # Tools around scrapyd can't read True: https://github.com/my8100/logparser
            mirrored = int(value) if isinstance(value, bool) else value
            self.stats.set_value(STATE_STATS[name], mirrored)


assert STATE_STATS.keys() <= set(CrawlState.__struct_fields__)
_states: WeakKeyDictionary[Crawler, CrawlState] = WeakKeyDictionary()


def crawl_state(crawler: Crawler) -> CrawlState:
    """The state of this crawler's crawl."""
    if (state := _states.get(crawler)) is None:
        state = _states[crawler] = CrawlState(crawler.stats)
    return state
