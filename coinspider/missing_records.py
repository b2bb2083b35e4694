"""Records that are no longer listed: looked for at the end of a whole crawl, and marked."""

import asyncio
import logging
from datetime import UTC, datetime
from uuid import uuid4

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import DontCloseSpider

from coinspider.crawl.lookup import Lookup
from coinspider.crawl.outcome import note_failure, outcome_of
from coinspider.crawl.reasons import Reason, database_reason
from coinspider.crawl.spider import PaginatedSpider
from coinspider.crawl.target import CrawlTarget
from coinspider.setting_kinds import number, whole_number
from coinspider.stats import DELISTED_STAT, RELISTED_STAT
from coinspider.store.connection import CrawlConnection, one_line
from coinspider.store.delisting import Delisted, Delisting, Unseen
from coinspider.store.reconnecting import SESSION_ERRORS
from coinspider.store.row_writer import RowWriter

logger = logging.getLogger(__name__)
_MISSED_MAX = 10_000  # keys


class MissingRecords:
    """The known records that a crawl of the whole list did not see.

    At the end of the list they are requested by their keys, if the spider can do that. What the
    API still has is stored; the rest is marked as delisted when the crawl is complete. At most
    ``DELISTING_CHECK_CALLS_MAX`` calls are made; if more are needed, or more than
    ``DELISTED_SHARE_MAX`` of all are gone, nothing is marked and the crawl fails.
    """

    # Only for a table whose columns are known.
    delisting: Delisting | None = None
    whole = False

    def __init__(self, crawler: Crawler, spider: PaginatedSpider, writer: RowWriter):
        self.crawler, self.spider, self.writer = crawler, spider, writer
        self.session = writer.session
        self.share_max = number(crawler.settings, "DELISTED_SHARE_MAX")
        self.calls_max = whole_number(crawler.settings, "DELISTING_CHECK_CALLS_MAX")
        self.is_wanted = True
        """Whether records that a whole crawl does not see may be marked at all."""
        self.only_gone = False
        """Whether each must have been looked for; those that others stored meanwhile were not."""
        self.search: asyncio.Task[None] | None = None
        self.id = uuid4().hex
        crawler.signals.connect(self.spider_opened, signals.spider_opened)
        crawler.signals.connect(self.spider_idle, signals.spider_idle)

    def begin(self, target: CrawlTarget) -> None:
        if target.item_class:
            self.delisting = Delisting(target.item_class, target.constants, self.spider.seen)
            self.whole = target.whole

    async def load(self, connection: CrawlConnection) -> None:
        """Read which records are marked."""
        if self.delisting:
            await self.delisting.load(connection)

    async def relist(self) -> Reason | None:
        """Remove the mark from those that came back; return why that is not possible."""
        delisting = self.delisting
        if not (delisting and (back := list(delisting.seen.returned))):
            return None
        try:
            await self.session.run(lambda connection: delisting.relist(connection, back))
        except SESSION_ERRORS as error:
            return database_reason(error, one_line(error))
        delisting.seen.awaited.difference_update(back)
        delisting.seen.returned.difference_update(back)
        self.crawler.stats.inc_value(RELISTED_STAT, len(back))
        return None

    def spider_opened(self) -> None:
        """A crawl that continues from its JOBDIR does not know what it saw before the interruption.

        https://docs.scrapy.org/en/latest/topics/jobs.html
        """
        kept = getattr(self.crawler.spider, "state", None)
        if kept is not None and kept.setdefault("coinspider_process", self.id) != self.id:
            self.spider.seen.incomplete = "the crawl was resumed from its JOBDIR"

    def spider_idle(self) -> None:
        if self.search is None and self._is_due():
            self.search = asyncio.create_task(self._search())
        if self.search and not self.search.done():
            raise DontCloseSpider

    def _is_due(self) -> bool:
        seen, outcome = self.spider.seen, self.spider.outcome
        return (
            self.whole
            and outcome.end_reached
            and bool(seen.size)
            and not (outcome.reason or seen.incomplete or self.writer.lost_pages)
        )

    async def _search(self) -> None:
        if self.spider.lookup_size:
            await self._look_up(self.spider.lookup)
        engine = self.crawler.engine
        if engine.spider_is_idle():
            # Scrapy itself would check again only after five seconds.
            await engine.close_spider_async(reason="finished")

    async def _look_up(self, lookup: Lookup) -> None:
        chain = self.spider.walk.chain
        size = lookup.keys_a_call(chain.limit if chain else None)
        try:
            keys, count = await self._unseen(self.calls_max * size + 1)
        except SESSION_ERRORS as error:
            note_failure(self.crawler, database_reason(error, one_line(error)))
            return
        self.is_wanted = bool(count)
        calls = lookup.calls(keys, size)
        if not self.calls_max:
            self._tell_unchecked(count)
        elif len(calls) > self.calls_max:
            figures = {"missing_count": count, "most": self.calls_max}
            note_failure(self.crawler, Reason("coins_unchecked", figures))
        else:
            lookup.spare_unnamed(keys)
            self.only_gone = True
            for call in calls:
                self.crawler.engine.crawl(self.spider.lookup_request(call))

    def _tell_unchecked(self, count: int) -> None:
        self.is_wanted = False
        if count:
            logger.info(
                "%d known coins did not come; none is marked as delisted, because"
                " DELISTING_CHECK_CALLS_MAX=0 allows no search for them",
                count,
            )

    async def _unseen(self, limit: int) -> Unseen:
        delisting = self.delisting
        if not delisting or not self.whole:
            return Unseen([], 0)
        return await self.session.run(lambda connection: delisting.unseen(connection, limit))

    async def end(self) -> None:
        """Mark the records that are gone, if the crawl is complete."""
        delisting = self.delisting
        if not (delisting and self.whole and self.is_wanted):
            return
        if outcome_of(self.crawler).name != "complete":
            return
        if reason := delisting.seen.incomplete:
            logger.warning("No coin will be marked as delisted: %s", reason)
            return
        try:
            if not self.only_gone or await self._spare_others(delisting):
                await self._mark(delisting)
        except SESSION_ERRORS as error:
            note_failure(self.crawler, database_reason(error, one_line(error)))

    async def _spare_others(self, delisting: Delisting) -> bool:
        """Leave records alone that no call has shown to be gone: paging may just have missed them.

        Returns whether the rest may be marked.
        """
        lookup = self.spider.lookup
        missed, total = await self._unseen(_MISSED_MAX)
        spared = [key for key in missed if key not in lookup.gone]
        delisting.seen.add(spared)
        if lookup.is_ignored and spared:
            remark = (
                f"the API ignores requests for certain coins: {total} did not come, and"
                f" {len(spared)} of these are not marked as delisted"
            )
            logger.warning(remark)
            self.spider.outcome.remark(remark)
        return total == len(missed)

    async def _mark(self, delisting: Delisting) -> None:
        moment = datetime.now(UTC)
        delisted: Delisted = await self.session.run(
            lambda connection: delisting.mark(connection, moment, self.share_max)
        )
        self.crawler.stats.set_value(DELISTED_STAT, delisted.marked)
        if delisted.missing and not delisted.marked:
            figures = {
                "missing_count": delisted.missing,
                "known_count": delisted.known,
                "most": f"{self.share_max:g}",
            }
            note_failure(self.crawler, Reason("coins_missing", figures))
