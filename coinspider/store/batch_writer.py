"""Batches into the database, each row where it belongs: into its table, or set aside."""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter

import psycopg
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
    FUTURE_STAT,
    INSERTED_STAT,
    ITEM_STAT,
    LOST_STAT,
    OLDER_STAT,
    REJECTED_ROW_STAT,
    RELISTED_STAT,
    REPEATED_STAT,
    UNCHANGED_STAT,
    UPDATED_STAT,
)
from coinspider.store.connect import CrawlConnection, one_line
from coinspider.store.crawl_row import Batch, Totals
from coinspider.store.delisting import Delisting, Unseen
from coinspider.store.missed_keys import keep_missed_keys, last_missed_keys
from coinspider.store.rejected_records import quarantine
from coinspider.store.session import SESSION_ERRORS, CrawlSession
from coinspider.store.upsert import upsert

logger = logging.getLogger(__name__)

# Data exception, integrity constraint, program limit: the row is at fault, not the server.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
# The last two are what a user's trigger raises, and a view's WITH CHECK OPTION.
_ROW_AT_FAULT = ("22", "23", "54", "P0001", "44")
_NAMED_PAGES = 5
_MISSED_MAX = 10_000  # keys kept in a crawl's row
# A row that the table did not take is sent again: another crawl may have written it meanwhile.
_SENDINGS_MAX = 3
_NOT_TAKEN = "the table {} did not take the row, for a trigger of its own"
# What a batch adds to its crawl's row, and the stat that mirrors it.
_COUNTED = {
    "inserted_count": INSERTED_STAT,
    "updated_count": UPDATED_STAT,
    "unchanged_count": UNCHANGED_STAT,
    "older_count": OLDER_STAT,
    "repeated_count": REPEATED_STAT,
    "future_count": FUTURE_STAT,
}


class BatchWriter:
    """Writes batches, and counts in the stats what became of their rows.

    What can't be written fails the crawl, with its pages named.
    """

    # For a table whose columns are known.
    delisting: Delisting | None = None
    whole = False

    def __init__(self, crawler: Crawler, session: CrawlSession):
        self.crawler, self.session = crawler, session
        self.delisted_share_max = share_setting(crawler.settings, "DELISTED_SHARE_MAX")
        self.rejected_max = crawler.settings.getint("REJECTED_RECORD_MAX")
        self.rejected_count = 0
        self.told_of_future = False
        self.marks = True
        """Whether what a whole crawl does not see may be marked as delisted at its end."""
        self.lost_pages: dict[str | None, None] = {}

    async def open(self, target: CrawlTarget) -> CrawlStart:
        if target.item_class:
            seen = crawl_state(self.crawler).seen
            self.delisting = Delisting(target.item_class, target.constants, seen)
            self.whole = target.whole
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
            elif self.delisting and self.marks and outcome_of(self.crawler).name == "complete":
                await self._mark_delisted(self.delisting)
            await self.session.close()
        crawl_state(self.crawler).seen.close()

    async def _load(self, connection: CrawlConnection) -> None:
        if self.delisting:
            await self.delisting.load(connection)

    async def _write(self, items: Sequence[TableItem], rejected: Sequence[RejectedRecord]) -> None:
        failed = []
        for group in _groups(items):
            await self.session.prepare(type(group[0]))
            failed += await self._upsert(group)
        await self._quarantine([*rejected, *failed])
        if self.delisting:
            await self._relist(self.delisting)
        self.crawler.stats.inc_value(ITEM_STAT, len(items))

    async def unseen(self, limit: int) -> Unseen:
        """The first ``limit`` known records that a whole crawl has not seen up to now.

        Raises one of ``SESSION_ERRORS``.
        """
        delisting = self.delisting
        if not delisting or not self.whole:
            return Unseen([], 0)
        return await self.session.run(lambda connection: delisting.unseen(connection, limit))

    async def _relist(self, delisting: Delisting) -> None:
        if back := list(delisting.seen.returned):
            await self.session.run(lambda connection: delisting.relist(connection, back))
            delisting.seen.awaited.difference_update(back)
            delisting.seen.returned.difference_update(back)
            self.crawler.stats.inc_value(RELISTED_STAT, len(back))

    async def _upsert(self, items: Sequence[TableItem]) -> list[RejectedRecord]:
        """A batch that the server refuses is halved until the row at fault is found."""
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
        """Write items of one class, count what became of them, and give those not taken."""
        left = items
        for _ in range(_SENDINGS_MAX):
            if left:
                left = await self._send_once(left)
        return left

    async def _send_once(self, items: Sequence[TableItem]) -> Sequence[TableItem]:
        left: list[int] = []
        history, repeated = self.session.history.enabled, items[0].repeated

        async def work(connection: CrawlConnection, batch: Batch) -> Totals | None:
            done = await upsert(connection, batch, items, history, repeated)
            left.extend(done.left if done else ())
            return done and done.totals

        added = (await self.session.write(work))._asdict()
        for column, stat in _COUNTED.items():
            self.crawler.stats.inc_value(stat, added[column])
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
        self.crawler.stats.inc_value(REJECTED_ROW_STAT)
        try:
            text = encode(item)
        except (TypeError, ValueError):
            text = repr(item).encode()
        return rejected_record(item.source, text, reason)

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
        if not self.whole:
            return
        if reason := delisting.seen.incomplete:
            logger.warning("No coin will be marked as delisted: %s", reason)
            return
        moment, share_max = datetime.now(UTC), self.delisted_share_max
        try:
            if crawl_state(self.crawler).lookup_ignored and not await self._spare_first(delisting):
                return
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

    async def _spare_first(self, delisting: Delisting) -> bool:
        """Leave alone what is missing for the first time: paging alone may have missed it.

        Returns whether the others may be marked.
        """
        logger.warning(
            "Asked for certain coins, the API answers others: only those that two whole crawls in a"
            " row did not see are marked as delisted"
        )
        crawl_id = self.session.lease.crawl_id
        missed, total = await self.unseen(_MISSED_MAX)
        before = await self.session.run(lambda connection: last_missed_keys(connection, crawl_id))
        await self.session.run(lambda connection: keep_missed_keys(connection, crawl_id, missed))
        delisting.seen.add([key for key in missed if key not in before])
        return total == len(missed)

    def _name_lost_pages(self) -> None:
        stats = self.crawler.stats
        pages = sorted(url for url in self.lost_pages if url)
        named = ", ".join(pages[:_NAMED_PAGES])
        more = f" and {len(pages) - _NAMED_PAGES} more" if len(pages) > _NAMED_PAGES else ""
        logger.error("Not stored, or not wholly: %s", ", ".join(pages))
        lost = f"{stats.get_value(LOST_STAT)} rows are not stored, of {named}{more}"
        state = crawl_state(self.crawler)
        state.failure = f"{state.failure}; {lost}"


def _fault_of_row(error: Exception) -> str | None:
    """The reason to set a row aside; ``None`` where the row is not at fault."""
    if not isinstance(error, psycopg.Error):
        return f"a field can't be written as JSON: {error}"
    at_fault = (error.sqlstate or "").startswith(_ROW_AT_FAULT)
    return f"PostgreSQL: {error.diag.message_primary}" if at_fault else None


def _groups(items: Sequence[TableItem]) -> Iterable[list[TableItem]]:
    """The items by what one statement can take: a class, and first those that repeat none."""
    groups: dict[tuple[bool, type[TableItem]], list[TableItem]] = {}
    for item in items:
        groups.setdefault((item.repeated, type(item)), []).append(item)
    return [groups[key] for key in sorted(groups, key=itemgetter(0))]
