"""Writes batches into the database: rows into their tables, rejected ones into theirs."""

import logging
from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter

import psycopg
from psycopg import errors
from scrapy.statscollectors import StatsCollector

from coinspider.crawl.reasons import Reason, database_reason
from coinspider.records.record import PastPrices, RejectedRecord, rejected_record
from coinspider.records.table_item import TableItem
from coinspider.stats import (
    FUTURE_STAT,
    INSERTED_STAT,
    ITEM_STAT,
    LOST_STAT,
    OLDER_STAT,
    REJECTED_ROW_STAT,
    REPEATED_STAT,
    UNCHANGED_STAT,
    UPDATED_STAT,
)
from coinspider.store.connection import CrawlConnection, one_line
from coinspider.store.crawl import Batch, Totals
from coinspider.store.reconnecting import SESSION_ERRORS
from coinspider.store.rejected import insert_rejected
from coinspider.store.session import CrawlSession
from coinspider.store.upsert import upsert
from coinspider.text import exact_json

logger = logging.getLogger(__name__)

# Data exception, integrity constraint, program limit: the row is at fault, not the server.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
# The last two are raised by a user's trigger, and by a view's WITH CHECK OPTION.
_ROW_AT_FAULT = ("22", "23", "54", "P0001", "44")
_NAMED_PAGES = 5
# A row that the table did not take is sent again: another crawl may just have written it.
_SENDINGS_MAX = 3
_NOT_TAKEN = "the table {} did not take the row, for a trigger of its own"
# What a batch adds to its crawl's row, and the stats that mirror it.
_COUNTED = {
    "inserted_count": INSERTED_STAT,
    "updated_count": UPDATED_STAT,
    "unchanged_count": UNCHANGED_STAT,
    "older_count": OLDER_STAT,
    "repeated_count": REPEATED_STAT,
    "future_count": FUTURE_STAT,
}


class RowWriter:
    """Writes batches, and counts the outcome of their rows in the stats."""

    def __init__(self, stats: StatsCollector, session: CrawlSession, rejected_max: int):
        self.stats, self.session = stats, session
        self.rejected_max = rejected_max
        self.rejected_count = 0
        self.told_of_future = False
        self.lost_pages: dict[str | None, None] = {}

    async def write(
        self, items: Sequence[TableItem], rejected: Sequence[RejectedRecord]
    ) -> Reason | None:
        """Write a batch, or return why that is not possible, and keep the URLs of its pages."""
        try:
            await self._write(items, rejected)
        except SESSION_ERRORS as error:
            self.stats.inc_value(LOST_STAT, len(items) + len(rejected))
            self.lost_pages |= dict.fromkeys(item.source and item.source.url for item in items)
            self.lost_pages |= dict.fromkeys(record.source_url for record in rejected)
            return database_reason(error, one_line(error) + _size(error, items))
        return None

    async def write_past(self, past: PastPrices) -> Reason | None:
        """Write prices of the past, if a history is kept; or return why that is not possible."""
        history = self.session.tables.history
        if not (history.enabled and past.item_class.candle_table):
            return None
        from coinspider.store.backfill import add_past_prices  # seldom needed

        try:
            await self.session.run(lambda connection: add_past_prices(connection, past, history))
        except SESSION_ERRORS as error:
            words = f"the prices of {past.source} are not stored: {one_line(error)}"
            return database_reason(error, words)
        return None

    async def _write(self, items: Sequence[TableItem], rejected: Sequence[RejectedRecord]) -> None:
        failed = []
        for group in _groups(items):
            await self.session.prepare(type(group[0]))
            failed += await self._upsert(group)
        await self._store_rejected([*rejected, *failed])
        self.stats.inc_value(ITEM_STAT, len(items))

    async def _upsert(self, items: Sequence[TableItem]) -> list[RejectedRecord]:
        """A batch that the server rejects is halved until the faulty row is found."""
        try:
            left = await self._send(items)
        except (psycopg.Error, TypeError, ValueError) as error:
            reason = _fault_of_row(error)
            if reason is None:
                raise
            if len(items) == 1:
                return [self._rejected(items[0], reason)]
            middle = len(items) // 2
            return [*await self._upsert(items[:middle]), *await self._upsert(items[middle:])]
        return [self._rejected(item, _NOT_TAKEN.format(type(item).table)) for item in left]

    async def _send(self, items: Sequence[TableItem]) -> Sequence[TableItem]:
        """Write items of one class, count the outcomes, and return those not taken."""
        left = items
        for _ in range(_SENDINGS_MAX):
            if left:
                left = await self._send_once(left)
        return left

    async def _send_once(self, items: Sequence[TableItem]) -> Sequence[TableItem]:
        left: list[int] = []
        history, repeated = self.session.tables.history.enabled, items[0].repeated

        async def work(connection: CrawlConnection, batch: Batch) -> Totals | None:
            done = await upsert(connection, batch, items, history, repeated)
            left.extend(done.left if done else ())
            return done and done.totals

        added = (await self.session.write(work))._asdict()
        for column, stat in _COUNTED.items():
            self.stats.inc_value(stat, added[column])
        self._warn_of_future(added["future_count"])
        return [] if repeated else [items[position] for position in left]

    def _warn_of_future(self, count: int) -> None:
        if count and not self.told_of_future:
            self.told_of_future = True
            logger.warning(
                "Records of the future: their version is more than a day ahead of the database's"
                " clock. They are stored, and what comes later replaces them"
            )

    def _rejected(self, item: TableItem, reason: str) -> RejectedRecord:
        self.stats.inc_value(REJECTED_ROW_STAT)
        try:
            text = exact_json(item)
        except (TypeError, ValueError):
            text = repr(item).encode()
        return rejected_record(item.source, text, reason)

    async def _store_rejected(self, records: Sequence[RejectedRecord]) -> None:
        room = max(0, self.rejected_max - self.rejected_count)
        if self.rejected_count <= self.rejected_max < self.rejected_count + len(records):
            logger.warning(
                "More than %d records are rejected: the others are counted, but not kept"
                " (REJECTED_RECORD_MAX)",
                self.rejected_max,
            )
        self.rejected_count += len(records)
        if kept := records[:room]:
            await self.session.write(
                lambda connection, batch: insert_rejected(connection, batch, kept)
            )

    def lost(self) -> str:
        """How many rows could not be written, and of which pages; empty if all were."""
        if not self.lost_pages:
            return ""
        pages = sorted(url for url in self.lost_pages if url)
        named = ", ".join(pages[:_NAMED_PAGES])
        more = f" and {len(pages) - _NAMED_PAGES} more" if len(pages) > _NAMED_PAGES else ""
        logger.error("Not stored, or not wholly: %s", ", ".join(pages))
        return f"{self.stats.get_value(LOST_STAT)} rows are not stored, of {named}{more}"


def _size(error: Exception, items: Sequence[TableItem]) -> str:
    """What may have taken the server longer than it has for a statement."""
    if not items or getattr(error, "sqlstate", None) != errors.QueryCanceled.sqlstate:
        return ""
    largest = max(len(exact_json(item)) for item in items)
    return (
        f" (of its {len(items)} rows the largest has {largest:,} bytes: raise"
        " POSTGRES_STATEMENT_TIMEOUT, or lower POSTGRES_BATCH_SIZE)"
    )


def _fault_of_row(error: Exception) -> str | None:
    """The reason to reject a row; ``None`` if the row is not at fault."""
    if not isinstance(error, psycopg.Error):
        return f"a field can't be written as JSON: {error}"
    at_fault = (error.sqlstate or "").startswith(_ROW_AT_FAULT)
    return f"PostgreSQL: {error.diag.message_primary}" if at_fault else None


def _groups(items: Sequence[TableItem]) -> Iterable[list[TableItem]]:
    """The items in groups that one statement can take: by class, repeated keys last."""
    kinds = list(zip(map(attrgetter("repeated"), items), map(type, items), strict=True))
    if len(set(kinds)) == 1:
        return [list(items)]
    groups: dict[tuple[bool, type[TableItem]], list[TableItem]] = {}
    for kind, item in zip(kinds, items, strict=True):
        groups.setdefault(kind, []).append(item)
    return [groups[key] for key in sorted(groups, key=itemgetter(0))]
