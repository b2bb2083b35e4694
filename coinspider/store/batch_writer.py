"""Batches into the database, each row where it belongs: into its table, or set aside."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
from psycopg import AsyncConnection
from scrapy.crawler import Crawler

from coinspider.crawl.arguments import share_setting
from coinspider.crawl.exit_status import outcome_of
from coinspider.crawl.failure import fail_crawl, note_failure
from coinspider.crawl.state import crawl_state
from coinspider.crawl.target import CrawlStart, CrawlTarget
from coinspider.exact_json import encode
from coinspider.records.rejected_record import RejectedRecord, rejected_record
from coinspider.records.table_item import TableItem
from coinspider.stats import (
    DELISTED_STAT,
    INSERTED_STAT,
    ITEM_STAT,
    LOST_STAT,
    REFUSED_ROW_STAT,
    RELISTED_STAT,
    UNCHANGED_STAT,
    UPDATED_STAT,
)
from coinspider.store.connect import one_line
from coinspider.store.delisting import Delisting
from coinspider.store.rejected_records import quarantine
from coinspider.store.session import SESSION_ERRORS, CrawlSession
from coinspider.store.upsert import upsert

logger = logging.getLogger(__name__)

# Data exception, integrity constraint, program limit: the row is at fault, not the server.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_ROW_AT_FAULT = ("22", "23", "54")
_NAMED_PAGES = 5


class BatchWriter:
    """Writes batches, and counts in the stats what became of their rows.

    What can't be written fails the crawl, with its pages named.
    """

    # For a table whose columns are known.
    delisting: Delisting | None = None

    def __init__(self, crawler: Crawler, session: CrawlSession):
        self.crawler, self.session = crawler, session
        self.delisted_share_max = share_setting(crawler.settings, "DELISTED_SHARE_MAX")
        self.rejected_max = crawler.settings.getint("REJECTED_RECORD_MAX")
        self.rejected_count = 0
        self.lost_pages: dict[str | None, None] = {}

    async def open(self, target: CrawlTarget) -> CrawlStart:
        if target.item_class:
            self.delisting = Delisting(target.item_class, target.constants, target.whole)
        return await self.session.open(target, self._load)

    async def write(self, items: Sequence[TableItem], rejected: Sequence[RejectedRecord]) -> None:
        try:
            await self._write(items, rejected)
        except SESSION_ERRORS as error:
            self.crawler.stats.inc_value(LOST_STAT, len(items) + len(rejected))
            self.lost_pages |= dict.fromkeys(item.source and item.source.url for item in items)
            self.lost_pages |= dict.fromkeys(record.source_url for record in rejected)
            fail_crawl(self.crawler, "database_error", one_line(error))

    async def close(self) -> None:
        """What remains to be done when the outcome of everything else is known."""
        if self.session.is_open:
            if self.lost_pages:
                self._name_lost_pages()
            elif outcome_of(self.crawler).name == "complete" and self.delisting:
                await self._mark_delisted(self.delisting)
            await self.session.close()
        if self.delisting:
            self.delisting.close()

    async def _load(self, connection: AsyncConnection) -> None:
        if self.delisting:
            await self.delisting.load(connection)

    async def _write(self, items: Sequence[TableItem], rejected: Sequence[RejectedRecord]) -> None:
        if items:
            await self.session.prepare(type(items[0]))
        refused = await self._upsert(items) if items else []
        await self._quarantine([*rejected, *refused])
        if self.delisting:
            await self._relist(items, self.delisting)
        self.crawler.stats.inc_value(ITEM_STAT, len(items))

    async def _relist(self, items: Sequence[TableItem], delisting: Delisting) -> None:
        delisting.saw(items)
        if back := delisting.back(items):
            await self.session.run(lambda connection: delisting.relist(connection, back))
            self.crawler.stats.inc_value(RELISTED_STAT, len(back))

    async def _upsert(self, items: Sequence[TableItem]) -> list[RejectedRecord]:
        """A batch that the server refuses is halved until the row at fault is found."""
        stats = self.crawler.stats
        try:
            added = await self.session.write(
                lambda connection, batch: upsert(
                    connection, batch, items, self.session.history.enabled
                )
            )
        except psycopg.Error as error:
            if not (error.sqlstate or "").startswith(_ROW_AT_FAULT):
                raise
            if len(items) == 1:
                stats.inc_value(REFUSED_ROW_STAT)
                return [_refused(items[0], error)]
            middle = len(items) // 2
            return [*await self._upsert(items[:middle]), *await self._upsert(items[middle:])]
        inserted, updated = added.inserted_count, added.updated_count
        stats.inc_value(INSERTED_STAT, inserted)
        stats.inc_value(UPDATED_STAT, updated)
        stats.inc_value(UNCHANGED_STAT, len(items) - inserted - updated)
        return []

    async def _quarantine(self, records: Sequence[RejectedRecord]) -> None:
        room = max(0, self.rejected_max - self.rejected_count)
        if self.rejected_count <= self.rejected_max < self.rejected_count + len(records):
            logger.warning(
                "More than %d records are rejected: the others are counted, but not kept"
                " (REJECTED_RECORD_MAX)",
                self.rejected_max,
            )
        self.rejected_count += len(records)
        if kept := records[:room]:
            await self.session.write(lambda connection, batch: quarantine(connection, batch, kept))

    async def _mark_delisted(self, delisting: Delisting) -> None:
        if not delisting.whole:
            return
        moment, share_max = datetime.now(UTC), self.delisted_share_max
        try:
            delisted = await self.session.run(
                lambda connection: delisting.mark(connection, moment, share_max)
            )
        except SESSION_ERRORS as error:
            note_failure(self.crawler, "database_error", one_line(error))
            return
        self.crawler.stats.set_value(DELISTED_STAT, delisted.marked)
        if delisted.missing and not delisted.marked:
            message = (
                f"{delisted.missing} of the {delisted.known} known coins are missing: more than"
                f" DELISTED_SHARE_MAX={share_max:g} is taken for a fault of the API,"
                " and none is marked as delisted"
            )
            note_failure(self.crawler, "coins_missing", message)

    def _name_lost_pages(self) -> None:
        stats = self.crawler.stats
        pages = sorted(url for url in self.lost_pages if url)
        named = ", ".join(pages[:_NAMED_PAGES])
        more = f" and {len(pages) - _NAMED_PAGES} more" if len(pages) > _NAMED_PAGES else ""
        logger.error("Not stored, or not wholly: %s", ", ".join(pages))
        lost = f"{stats.get_value(LOST_STAT)} rows are not stored, of {named}{more}"
        state = crawl_state(self.crawler)
        state.failure = f"{state.failure}; {lost}"


def _refused(item: TableItem, error: psycopg.Error) -> RejectedRecord:
    return rejected_record(item.source, encode(item), f"PostgreSQL: {error.diag.message_primary}")
