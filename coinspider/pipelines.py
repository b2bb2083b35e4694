"""From records to rows: coerces each, and upserts them in batches."""

import asyncio
import logging
from datetime import datetime
from functools import partial
from typing import Self

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider, DropItem, NotConfigured

from coinspider.crawl.outcome import (
    crawl_outcome,
    fail_crawl,
    note_failure,
    note_skip,
    outcome_of,
)
from coinspider.crawl.reasons import Reason
from coinspider.crawl.spider import PaginatedSpider
from coinspider.errors import CoercionError, RejectedRecordError
from coinspider.http.ratelimit import RateLimitMiddleware
from coinspider.missing_records import MissingRecords
from coinspider.records.coercion import coerce, prepare
from coinspider.records.record import (
    PastPrices,
    Record,
    RejectedRecord,
    rejected_record,
    storable,
)
from coinspider.records.table_item import TableItem
from coinspider.setting_kinds import number, whole_number
from coinspider.stats import REASONS_STAT, RECORD_STAT, REJECTED_STAT, SET_ASIDE_STAT, SINCE_STAT
from coinspider.store.row_writer import RowWriter
from coinspider.store.session import CrawlSession, NotBegunError
from coinspider.store.shared_limit import SharedLimit
from coinspider.text import visible

# How many different reasons are shown at the end of a crawl.
REASONS_MAX = 3
REJECTED_MIN = 1000  # fewer may be the only bad ones
TEXT_SHOWN = 100  # bytes
logger = logging.getLogger(__name__)


class CoercePipeline:
    """Turns each :class:`Record` into a typed item; drops those that can't be, with the reason.

    If more than ``REJECTED_SHARE_MAX`` of the records are dropped, the crawl fails: at its end, or
    as soon as a thousand are. A bad value costs only its column if that may be null, unless
    ``COERCION_STRICT_ENABLED``.
    """

    def __init__(self, crawler: Crawler):
        self.stats, self.outcome = crawler.stats, crawl_outcome(crawler)
        self.by_field = not crawler.settings.getbool("COERCION_STRICT_ENABLED")
        self.crawler = crawler
        self.share_max = number(crawler.settings, "REJECTED_SHARE_MAX")
        self.digits_max = crawler.settings.getint("AMOUNT_DIGITS_MAX")

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def prepare_records(self, records: list[Record]) -> None:
        prepare(records, self.digits_max)

    def process_item(self, item: object) -> object:
        if not isinstance(item, Record):
            return item
        try:
            coerced = coerce(item, self.by_field, self.digits_max)
        except CoercionError as error:
            self.stats.inc_value(REJECTED_STAT)
            self.outcome.rejection_reasons = _with(self.outcome.rejection_reasons, str(error))
            self.stats.set_value(REASONS_STAT, self.outcome.rejection_reasons)
            self._judge()
            raise RejectedRecordError(str(error)) from None
        if coerced.set_aside:
            self._note_set_aside(coerced)
        return coerced

    def _judge(self) -> None:
        """End a crawl that is going to fail, before it reads all the bad records."""
        rejected = self.stats.get_value(REJECTED_STAT)
        most = self.share_max * self.stats.get_value(RECORD_STAT, 0)
        if rejected > max(most, REJECTED_MIN) and not self.outcome.reason:
            figures = {"rejected_count": rejected, "most": f"{self.share_max:g}"}
            fail_crawl(self.crawler, Reason("records_rejected", figures))

    def _note_set_aside(self, item: TableItem) -> None:
        self.stats.inc_value(SET_ASIDE_STAT, len(item.set_aside))
        for field in item.set_aside:
            known = self.outcome.set_aside_reasons
            self.outcome.set_aside_reasons = _with(known, field.reason)
            if self.outcome.set_aside_reasons is not known:
                text = storable(field.text[:TEXT_SHOWN])
                logger.warning("Fields set aside: %s, in %s", field.reason, text)


def _with(reasons: tuple[str, ...], reason: str) -> tuple[str, ...]:
    """The first few different reasons."""
    reason = visible(reason)
    if reason in reasons or len(reasons) >= REASONS_MAX:
        return reasons
    return (*reasons, reason)


class SincePipeline:
    """Notes the greatest value of an incremental source's ``since_column``."""

    def __init__(self, crawler: Crawler):
        spider = crawler.spider
        if not isinstance(spider, PaginatedSpider) or not spider.since_column:
            raise NotConfigured
        self.crawler, self.column = crawler, spider.since_column
        self.greatest: datetime | str | int | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def process_item(self, item: object) -> object:
        value = getattr(item, self.column, None)
        if value is not None and (self.greatest is None or value > self.greatest):
            self.greatest = value
        return item

    def close_spider(self) -> None:
        if self.greatest is not None:
            found = self.greatest
            since = found.isoformat() if isinstance(found, datetime) else str(found)
            crawl_outcome(self.crawler).next_since = since
            self.crawler.stats.set_value(SINCE_STAT, since)


class PostgresPipeline:
    """Upserts items into PostgreSQL, ``POSTGRES_BATCH_SIZE`` rows at a time.

    While one batch is being written, the next one fills; if it fills first, the crawl waits.
    Rejected records go into ``rejected_record``. Coins that a crawl of all coins did not see are
    marked as delisted, unless they are more than ``DELISTED_SHARE_MAX`` of all.

    A pipeline before it may change an item, put another :class:`TableItem` in its place, or drop
    it. Anything else can't be stored: the crawl then fails, because its records don't add up.
    """

    stores = True

    def __init__(self, crawler: Crawler):
        settings = crawler.settings
        spider = crawler.spider
        # Other spiders, such as those of scrapy shell or fetch, have nothing for the tables.
        if not settings.getbool("POSTGRES_ENABLED") or not isinstance(spider, PaginatedSpider):
            raise NotConfigured
        self.crawler, self.spider = crawler, spider
        self.batch_size = whole_number(settings, "POSTGRES_BATCH_SIZE")
        self.session = CrawlSession(crawler, partial(fail_crawl, crawler))
        self.writer = RowWriter(crawler.stats, self.session, settings.getint("REJECTED_RECORD_MAX"))
        self.missing = MissingRecords(crawler, spider, self.writer)
        self.items: list[TableItem] = []
        self.rejected: list[RejectedRecord] = []
        self.opening: asyncio.Task[None] | None = None
        self.in_flight: asyncio.Task[None] | None = None
        self.limit: SharedLimit | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        pipeline = cls(crawler)
        crawler.signals.connect(pipeline.item_dropped, signals.item_dropped)
        # Only then have all other components finished, such as the feeds.
        crawler.signals.connect(pipeline.engine_stopped, signals.engine_stopped)
        crawler.signals.connect(pipeline.spider_closed, signals.spider_closed)
        return pipeline

    async def open_spider(self) -> None:
        self.opening = asyncio.current_task()
        target = self.spider.target()
        self.missing.begin(target)
        try:
            start = await self.session.open(target, self.missing.load)
        except NotBegunError as error:
            raise self._not_begun(error.reason) from None
        self.spider.start_from(start)
        await self.spider.prepare(self.session.run)
        self._share_limit()

    def _not_begun(self, reason: Reason) -> CloseSpider:
        if reason.code == "interrupted":
            self.spider.outcome.note(reason)
            return CloseSpider(reason.finish)
        note = note_skip if reason.code == "skipped" else note_failure
        return note(self.crawler, reason)

    def _share_limit(self) -> None:
        """From now on count the crawl's calls together with those of all crawls of the key."""
        limiter = self.crawler.get_downloader_middleware(RateLimitMiddleware)
        if limiter:
            self.limit = SharedLimit(self.session, self.spider.account, limiter.configured)
            limiter.limit = self.limit

    def process_item(self, item: object) -> object:
        if not isinstance(item, TableItem):
            self._note_foreign(type(item).__name__)
            return item
        self.items.append(item)
        for column, text, reason in item.set_aside:
            self.rejected.append(rejected_record(item.source, text, reason, column, item))
        # A coroutine costs the crawl a task switch, so there is one per batch only.
        return self._send_batch(item) if len(self.items) >= self.batch_size else item

    async def item_dropped(self, item: object, exception: DropItem) -> None:
        if isinstance(item, Record) and isinstance(exception, RejectedRecordError):
            record = rejected_record(item.source, bytes(item.text), str(exception))
            self.rejected.append(record)
            if len(self.rejected) >= self.batch_size:
                await self._send_batch(item)

    async def keep_past(self, past: PastPrices) -> None:
        """After the rows that came with them, so that our own prices come first."""
        await self._send_batch(None)
        if self.in_flight:
            await self.in_flight
        problem = await self.writer.write_past(past)
        if problem and past.asked:
            fail_crawl(self.crawler, problem)
        elif problem:  # what counts are the rows
            logger.warning("%s", problem.message)

    def _note_foreign(self, name: str) -> None:
        outcome = crawl_outcome(self.crawler)
        if name not in outcome.foreign_items:
            outcome.foreign_items = (*outcome.foreign_items, name)

    async def close_spider(self) -> None:
        await self._send_batch(None)
        if self.in_flight:
            await self.in_flight

    async def spider_closed(self) -> None:
        """Close the row of a crawl whose engine never started: no other signal comes then."""
        if not self.crawler.engine.start_time:
            outcome = crawl_outcome(self.crawler)
            if outcome.reason is None:
                outcome.note(Reason("not_begun"))
            if self.opening and not self.opening.done():  # another pipeline has failed meanwhile
                await asyncio.wait([self.opening])
            await self.engine_stopped()

    async def engine_stopped(self) -> None:
        """What remains to be done after the outcome of everything else is known."""
        if self.session.is_open:
            await self._end()
        self.spider.seen.close()

    async def _end(self) -> None:
        if self.limit:
            await self.limit.leave()
        if lost := self.writer.lost():
            self.spider.outcome.remark(lost)
        else:
            await self.missing.end()
        outcome = outcome_of(self.crawler)
        since = None if outcome.status else self.spider.outcome.next_since
        if problem := await self.session.close(outcome.ending, since):
            note_failure(self.crawler, problem)

    async def _send_batch(self, item: object) -> object:
        while self.in_flight and not self.in_flight.done():
            await asyncio.wait([self.in_flight])
        if self.items or self.rejected:
            items, self.items = self.items, []
            rejected, self.rejected = self.rejected, []
            self.in_flight = asyncio.create_task(self._write(items, rejected))
        return item

    async def _write(self, items: list[TableItem], rejected: list[RejectedRecord]) -> None:
        problem = await self.writer.write(items, rejected) or await self.missing.relist()
        if problem:
            fail_crawl(self.crawler, problem)
