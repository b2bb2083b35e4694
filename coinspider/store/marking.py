"""Marks known records that a crawl did not see as delisted, and those that came back as listed."""

import logging
from datetime import UTC, datetime
from typing import Any

from scrapy.crawler import Crawler

from coinspider.crawl.arguments import share_setting
from coinspider.crawl.exit_status import outcome_of
from coinspider.crawl.failure import note_failure
from coinspider.crawl.state import crawl_state
from coinspider.crawl.target import CrawlTarget
from coinspider.stats import DELISTED_STAT, RELISTED_STAT
from coinspider.store.connect import CrawlConnection, one_line
from coinspider.store.delisting import Delisted, Delisting, Unseen
from coinspider.store.missed_keys import keep_missed_keys, last_missed_keys
from coinspider.store.reconnecting import SESSION_ERRORS
from coinspider.store.session import CrawlSession

logger = logging.getLogger(__name__)

_MISSED_MAX = 10_000  # keys kept in a crawl's row


class Marking:
    """Marks records that are gone as delisted, at the end of a complete crawl of the whole list."""

    # Only for a table whose columns are known.
    delisting: Delisting | None = None
    whole = False

    def __init__(self, crawler: Crawler, session: CrawlSession):
        self.crawler, self.session = crawler, session
        self.share_max = share_setting(crawler.settings, "DELISTED_SHARE_MAX")
        self.is_wanted = True
        """Whether records that a whole crawl does not see may be marked at all."""
        self.only_gone = False
        """Whether each must have been looked for; those that others stored meanwhile were not."""

    def begin(self, target: CrawlTarget) -> None:
        if target.item_class:
            seen = crawl_state(self.crawler).seen
            self.delisting = Delisting(target.item_class, target.constants, seen)
            self.whole = target.whole

    async def load(self, connection: CrawlConnection) -> None:
        """Read which records are marked."""
        if self.delisting:
            await self.delisting.load(connection)

    async def unseen(self, limit: int) -> Unseen:
        """The first ``limit`` known records that a whole crawl has not seen so far.

        Raises one of ``SESSION_ERRORS``.
        """
        delisting = self.delisting
        if not delisting or not self.whole:
            return Unseen([], 0)
        return await self.session.run(lambda connection: delisting.unseen(connection, limit))

    async def relist(self) -> None:
        """Remove the mark from those that came back."""
        delisting = self.delisting
        if delisting and (back := list(delisting.seen.returned)):
            await self.session.run(lambda connection: delisting.relist(connection, back))
            delisting.seen.awaited.difference_update(back)
            delisting.seen.returned.difference_update(back)
            self.crawler.stats.inc_value(RELISTED_STAT, len(back))

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
            note_failure(self.crawler, "database_error", one_line(error))

    async def _mark(self, delisting: Delisting) -> None:
        moment = datetime.now(UTC)
        delisted = await self.session.run(
            lambda connection: delisting.mark(connection, moment, self.share_max)
        )
        self.crawler.stats.set_value(DELISTED_STAT, delisted.marked)
        if delisted.missing and not delisted.marked:
            self._tell_too_many(delisted)

    def _tell_too_many(self, delisted: Delisted) -> None:
        message = (
            f"{delisted.missing} of the {delisted.known} known coins are missing: more than"
            f" DELISTED_SHARE_MAX={self.share_max:g} is taken for a fault of the API,"
            " and none is marked as delisted"
        )
        note_failure(self.crawler, "coins_missing", message)

    async def _spare_others(self, delisting: Delisting) -> bool:
        """Leave records alone that no call has shown to be gone: paging may just have missed them.

        Returns whether the rest may be marked.
        """
        state = crawl_state(self.crawler)
        missed, total = await self.unseen(_MISSED_MAX)
        gone = state.gone | await self._missed_twice(missed)
        spared = [key for key in missed if key not in gone]
        delisting.seen.add(spared)
        if state.lookup_ignored:
            logger.warning(
                "The API answers requests for certain coins with others: of the %d that did not"
                " come, %d are not known to be gone, and not marked as delisted",
                total, len(spared),
            )  # fmt: skip
        return total == len(missed)

    async def _missed_twice(self, missed: list[Any]) -> set[Any]:
        """The records that two whole crawls in a row did not see, of a list without an order.

        There is no better way if the API can't be asked for single records.
        """
        state, crawl_id = crawl_state(self.crawler), self.session.lease.crawl_id
        chain = state.pages.chain
        if not state.lookup_ignored or (chain and chain.in_order):
            return set()
        before = await self.session.run(lambda connection: last_missed_keys(connection, crawl_id))
        await self.session.run(lambda connection: keep_missed_keys(connection, crawl_id, missed))
        return before
