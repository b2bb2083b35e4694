"""Looks for known records that a whole crawl did not see, before they are assumed to be gone."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from uuid import uuid4

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import DontCloseSpider

from coinspider.crawl.failure import note_failure
from coinspider.crawl.key_lookup import KeyLookup
from coinspider.crawl.reasons import Reason, database_reason
from coinspider.crawl.state import crawl_state
from coinspider.errors import ConfigurationError
from coinspider.records.keys import Key
from coinspider.store.connection import one_line
from coinspider.store.reconnecting import SESSION_ERRORS
from coinspider.store.row_writer import RowWriter

logger = logging.getLogger(__name__)

# The limit for the keys of one call: servers reject URLs of more than about 8,000 bytes.
_LENGTH_MAX = 6000  # characters


class MissingRecords:
    """Requests, at the end of a whole crawl, the known records that did not come.

    Records that the API still has are stored; only the others are marked as delisted. At most
    ``DELISTING_CHECK_CALLS_MAX`` calls are made; if more are needed, nothing is marked and the
    crawl fails. A spider that can't look records up by their keys is left alone.
    """

    def __init__(self, crawler: Crawler, writer: RowWriter):
        self.crawler, self.writer, self.marking = crawler, writer, writer.marking
        calls = crawler.settings.get("DELISTING_CHECK_CALLS_MAX")
        if not str(calls).isdecimal():
            raise ConfigurationError(
                f"DELISTING_CHECK_CALLS_MAX={calls} is not a number of calls (0 to mark none)"
            )
        self.calls_max = int(calls)
        self.search: asyncio.Task[None] | None = None
        self.id = uuid4().hex
        crawler.signals.connect(self.spider_opened, signals.spider_opened)
        crawler.signals.connect(self.spider_idle, signals.spider_idle)

    def spider_opened(self) -> None:
        """A crawl that continues from its JOBDIR does not know what it saw before the interruption.

        https://docs.scrapy.org/en/latest/topics/jobs.html
        """
        kept = getattr(self.crawler.spider, "state", None)
        if kept is not None and kept.setdefault("coinspider_process", self.id) != self.id:
            crawl_state(self.crawler).seen.incomplete = "the crawl was resumed from its JOBDIR"

    def spider_idle(self) -> None:
        spider = self.crawler.spider
        if self.search is None and self._is_wanted() and isinstance(spider, KeyLookup):
            self.search = asyncio.create_task(self._search(spider))
        if self.search and not self.search.done():
            raise DontCloseSpider

    def _is_wanted(self) -> bool:
        state = crawl_state(self.crawler)
        return (
            self.marking.whole
            and state.end_reached
            and bool(state.seen.size)
            and not (state.failure or state.seen.incomplete or self.writer.lost_pages)
        )

    async def _search(self, spider: KeyLookup) -> None:
        if spider.lookup_size:
            await self._look_up(spider, spider.keys_a_call())
        engine = self.crawler.engine
        if engine.spider_is_idle():
            # Scrapy itself would check again only after five seconds.
            await engine.close_spider_async(reason="finished")

    async def _look_up(self, spider: KeyLookup, size: int) -> None:
        try:
            keys, count = await self.marking.unseen(self.calls_max * size + 1)
        except SESSION_ERRORS as error:
            note_failure(self.crawler, database_reason(error, one_line(error)))
            return
        self.marking.is_wanted = bool(count)
        calls = list(_calls([key for key in keys if spider.can_look_up(key)], size))
        if not self.calls_max:
            self._tell_unchecked(count)
        elif len(calls) > self.calls_max:
            figures = {"missing_count": count, "most": self.calls_max}
            note_failure(self.crawler, Reason("coins_unchecked", figures))
        else:
            # Records that can't be asked for stay unchanged.
            state = crawl_state(self.crawler)
            state.seen.add([k for k in keys if not spider.can_look_up(k)])
            self.marking.only_gone = True
            for call in calls:
                self.crawler.engine.crawl(spider.lookup_request(call))

    def _tell_unchecked(self, count: int) -> None:
        self.marking.is_wanted = False
        if count:
            logger.info(
                "%d known coins did not come; none is marked as delisted, because"
                " DELISTING_CHECK_CALLS_MAX=0 allows no search for them",
                count,
            )


def _calls(keys: Sequence[Key], size: int) -> Iterator[list[Key]]:
    """The keys in groups that fit into one call."""
    call: list[Key] = []
    length = 0
    for key in keys:
        if call and (len(call) == size or length + len(str(key)) > _LENGTH_MAX):
            yield call
            call, length = [], 0
        call.append(key)
        length += len(str(key))
    if call:
        yield call
