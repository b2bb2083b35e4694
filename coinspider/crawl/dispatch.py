"""Sends the records of a page through the item pipelines, in a third of the time Scrapy takes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import cached_property
from typing import Any, Self

from msgspec import Raw
from pydispatch.dispatcher import getAllReceivers, liveReceivers
from scrapy import Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem
from scrapy.extensions.corestats import CoreStats
from scrapy.http import Response
from scrapy.utils.defer import ensure_awaitable
from scrapy.utils.log import logformatter_adapter
from twisted.python.failure import Failure

from coinspider._compat import is_ending, pipeline_methods
from coinspider.errors import RejectedRecordError
from coinspider.records.keys import SeenKeys, record_keys
from coinspider.records.record import Page, Record, Source
from coinspider.stats import DROPPED_STAT

logger = logging.getLogger(__name__)

# How many records are prepared at once. After them the event loop gets its turn, above all to send
# the next page's request.
TURN = 50
# It can't be None, which a pipeline without a return statement gives.
_NONE_LEFT = object()
# A crawl that is told to end finishes its page, unless more records than this are left.
LEFT_MAX = 1000


class PageMiddleware:
    """A spider middleware that takes each record of a :class:`Page` through the item pipelines.

    As in Scrapy, the pipelines see one item at a time and may drop it or fail, and the signals, log
    lines and stats are Scrapy's. But there is no task, queue or chain of generators per item, and
    no signal that only the stats listen to. A slow pipeline slows down the page and so the crawl.
    The keys of the page's records are noted before the pipelines run, because nothing they do
    changes what the API has.
    """

    def __init__(self, crawler: Crawler):
        self.crawler = crawler

    @cached_property
    def pipelines(self) -> list[Callable[[object], object]]:
        return pipeline_methods(self.crawler)

    @cached_property
    def owners(self) -> list[object]:
        return [getattr(method, "__self__", None) for method in self.pipelines]

    @cached_property
    def preparing(self) -> list[Callable[[list[Record]], None]]:
        """What a pipeline does with the records of a page before it gets them one by one."""
        return [owner.prepare_records for owner in self.owners if hasattr(owner, "prepare_records")]

    @cached_property
    def storing(self) -> int:
        """The position of the pipeline that stores; what a later one drops is already stored."""
        stores = (n for n, owner in enumerate(self.owners) if getattr(owner, "stores", False))
        return next(stores, len(self.owners))

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    @property
    def spider(self) -> Spider:
        assert self.crawler.spider
        return self.crawler.spider

    async def process_spider_output(
        self, response: Response, result: AsyncIterator[object]
    ) -> AsyncIterator[object]:
        async for output in result:
            if isinstance(output, Page):
                await self._process_page(output, response)
                for owner in self.owners if output.past else ():
                    if hasattr(owner, "keep_past"):
                        await owner.keep_past(output.past)
            else:
                yield output

    async def _process_page(self, page: Page, response: Response) -> None:
        listened = self._is_listened_to(signals.item_scraped)
        scraped = 0
        repeated = self._repeated(page)
        for start in range(0, len(page.texts), TURN):
            await asyncio.sleep(0)
            if len(page.texts) - start > LEFT_MAX and is_ending(self.crawler):
                break
            part = slice(start, start + TURN)
            for record in self._prepared(page.source, page.texts[part], repeated[part]):
                item = await self._process_record(record, response)
                if item is _NONE_LEFT:
                    continue
                scraped += 1
                if listened:
                    await self._send(signals.item_scraped, item, response)
        if scraped and not listened:
            self.crawler.stats.inc_value("item_scraped_count", scraped)

    def _repeated(self, page: Page) -> list[bool]:
        if page.repeated is not None:
            return page.repeated
        keys = record_keys(page.texts, page.source.item_class, page.source.constants)
        seen: SeenKeys | None = getattr(self.spider, "seen", None)
        return seen.add(keys) if seen else [False] * len(keys)

    def _prepared(self, source: Source, texts: list[Raw], repeated: list[bool]) -> list[Record]:
        records = [Record(text, source, came) for text, came in zip(texts, repeated, strict=True)]
        for prepare in self.preparing:
            prepare(records)
        return records

    async def _process_record(self, record: Record, response: Response) -> object:
        """What the last pipeline returns; ``_NONE_LEFT`` if one has dropped the item or failed."""
        item: object = record
        place = 0
        try:
            for process_item in self.pipelines:
                place += 1
                item = process_item(item)
                # inspect.isawaitable() takes as long as half a pipeline.
                if hasattr(item, "__await__"):
                    item = await ensure_awaitable(item)
        except DropItem as reason:
            if place <= self.storing and not isinstance(reason, RejectedRecordError):
                self.crawler.stats.inc_value(DROPPED_STAT)
            await self._dropped(record, reason, response)
        except Exception as error:
            await self._failed(record, error, response)
        else:
            return item
        return _NONE_LEFT

    def _is_listened_to(self, signal: object) -> bool:
        receivers = liveReceivers(getAllReceivers(self.crawler, signal))
        return any(not isinstance(getattr(r, "__self__", None), CoreStats) for r in receivers)

    async def _dropped(self, record: Record, reason: DropItem, response: Response) -> None:
        formatter = self.crawler.logformatter
        self._log(formatter.dropped(record, reason, response, self.spider), record)
        await self._send(signals.item_dropped, record, response, exception=reason)

    async def _failed(self, record: Record, error: Exception, response: Response) -> None:
        formatter = self.crawler.logformatter
        log = formatter.item_error(record, error, response, self.spider)
        self._log(log, record, exc_info=True)
        failure = Failure(error)  # type: ignore[no-untyped-call]
        await self._send(signals.item_error, record, response, failure=failure)

    def _log(self, log: Any, record: Record, **options: Any) -> None:
        if log is not None:
            extra = {"spider": self.spider, "item": record}
            logger.log(*logformatter_adapter(log), extra=extra, **options)

    async def _send(
        self, signal: object, item: object, response: Response, **named: object
    ) -> None:
        await self.crawler.signals.send_catch_log_async(
            signal=signal, item=item, response=response, spider=self.spider, **named
        )
