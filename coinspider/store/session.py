"""A crawl's session with the database: its connection, its lease, its row in ``crawl``."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from scrapy.crawler import Crawler

from coinspider.crawl.exit_status import Outcome, outcome_of
from coinspider.crawl.failure import fail_crawl, note_failure
from coinspider.crawl.state import crawl_state
from coinspider.crawl.target import CrawlStart, CrawlTarget
from coinspider.errors import (
    LeaseLostError,
)
from coinspider.records.table_item import TableItem
from coinspider.store.connect import CrawlConnection, connect, one_line
from coinspider.store.crawl_row import (
    Batch,
    Totals,
    end_crawl,
    read_totals,
    update_crawl,
)
from coinspider.store.crawl_tables import HISTORY_TIMEOUT, CrawlTables
from coinspider.store.database_settings import DatabaseSettings, seconds_setting
from coinspider.store.history import HistorySettings
from coinspider.store.incremental_state import write_since
from coinspider.store.lease import CrawlLease
from coinspider.store.lock_holder import lock_holder
from coinspider.store.patience import Patience
from coinspider.store.reconnecting import SESSION_ERRORS, ReconnectingConnection
from coinspider.store.session_start import SessionStart

logger = logging.getLogger(__name__)
T = TypeVar("T")


# How many heartbeats a crawl sends during one lease.
_SIGNS_OF_LIFE = 5
_LOOK_FOR_STOP = 0.5  # seconds


class CrawlSession:
    """Opened before the first request, closed after everything else has ended.

    If the database goes away, it waits for up to ``POSTGRES_RECONNECT_TIMEOUT`` seconds. The
    crawl's row is updated at least every ``CRAWL_LOG_INTERVAL`` seconds, more often if
    ``POSTGRES_LEASE_TIMEOUT`` requires it.
    """

    connection: ReconnectingConnection
    lease: CrawlLease

    def __init__(self, crawler: Crawler):
        self.crawler = crawler
        settings = crawler.settings
        self.database = DatabaseSettings.from_settings(settings)
        self.patience = Patience(self.database.statement_timeout)
        self.reconnect_timeout = settings.getfloat("POSTGRES_RECONNECT_TIMEOUT")
        self.lease_seconds = seconds_setting(settings, "POSTGRES_LEASE_TIMEOUT")
        self.log_interval = min(
            seconds_setting(settings, "CRAWL_LOG_INTERVAL"), self.lease_seconds / _SIGNS_OF_LIFE
        )
        self.tables = CrawlTables(HistorySettings.from_settings(settings))
        self.totals = Totals()
        self.tasks: list[asyncio.Task[None]] = []
        self.is_open = False

    async def open(
        self, target: CrawlTarget, prepare: Callable[[CrawlConnection], Awaitable[None]]
    ) -> CrawlStart:
        """Begin, run ``prepare``, and return what earlier crawls left.

        Raises :exc:`~scrapy.exceptions.CloseSpider` if the crawl may not begin.
        """
        self.tasks.append(asyncio.create_task(self._look_for_stop()))
        try:
            first = SessionStart(
                self.crawler, self.database, self.patience, self.tables, self.lease_seconds
            )
            connection, self.lease, start = await first.begin(target, prepare)
        except BaseException:
            self._end_tasks()
            raise
        self.connection = ReconnectingConnection(
            connection, self._reconnect, self.reconnect_timeout, self._explain
        )
        self.tasks.append(asyncio.create_task(self._keep_current()))
        self.is_open = True
        return start

    async def run(self, work: Callable[[CrawlConnection], Awaitable[T]]) -> T:
        """Do some work in a transaction in which the lease can't be lost.

        As :meth:`ReconnectingConnection.run`; raises one of ``SESSION_ERRORS``.
        """

        async def run_held(connection: CrawlConnection) -> T:
            async with connection.transaction():
                await self.lease.check(connection)
                return await work(connection)

        return await self.connection.run(run_held)

    async def write(
        self, work: Callable[[CrawlConnection, Batch], Awaitable[Totals | None]]
    ) -> Totals:
        """Write a batch exactly once, and return what it added to the totals."""
        batch = Batch(self.lease.crawl_id, self.totals.batch_count + 1, self.lease_seconds)

        async def write_once(connection: CrawlConnection) -> Totals:
            totals = await work(connection, batch)
            return totals or await read_totals(connection, batch.crawl_id)

        before, self.totals = self.totals, await self.connection.run(write_once)
        return self.totals.since(before)

    async def close(self) -> None:
        self._end_tasks()
        outcome = outcome_of(self.crawler)
        # A row that was closed as ``died`` stays closed.
        if not isinstance(self.connection.ended_by, LeaseLostError):
            try:
                await self.run(lambda connection: self._end(connection, outcome))
                self.patience.seconds = HISTORY_TIMEOUT
                await self.tables.keep_history(self.connection)
            except LeaseLostError as error:
                note_failure(self.crawler, "lease_lost", str(error))
            except SESSION_ERRORS as error:
                message = f"the crawl's row can't be closed: {one_line(error)}"
                note_failure(self.crawler, "database_error", message)
        await self.connection.close()

    async def prepare(self, item_class: type[TableItem]) -> None:
        """Create the table of an item class that was unknown when the crawl began."""
        if item_class not in self.tables.prepared:
            await self.run(lambda connection: self.tables.migrate(connection, item_class))

    async def _end(self, connection: CrawlConnection, outcome: Outcome) -> None:
        stats = self.crawler.stats
        await end_crawl(connection, self.lease.crawl_id, stats, *outcome)
        since = crawl_state(self.crawler).next_since
        if since is not None and outcome.status == 0:
            await write_since(connection, self.lease.name, since)

    async def _reconnect(self) -> CrawlConnection:
        connection = await connect(self.database, self.patience)
        try:
            async with connection.pinned():
                await self.lease.hold(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _explain(self, connection: CrawlConnection, error: Exception) -> str:
        return await lock_holder(connection, error, self.tables.names())

    async def _keep_current(self) -> None:
        while True:
            await asyncio.sleep(self.log_interval)
            try:
                await self.connection.run(self._give_sign_of_life)
            except LeaseLostError as error:
                self.connection.ended_by = error
                fail_crawl(self.crawler, "lease_lost", str(error))
                return
            except SESSION_ERRORS as error:
                # The next batch will have the same problem, and fail the crawl.
                logger.debug("The crawl's row is not up to date: %s", one_line(error))

    async def _give_sign_of_life(self, connection: CrawlConnection) -> None:
        crawl_id = self.lease.crawl_id
        async with connection.transaction():
            await self.lease.check(connection)
            await update_crawl(connection, crawl_id, self.crawler.stats, self.lease_seconds)

    async def _look_for_stop(self) -> None:
        """A crawl that is told to end has little time left for the database."""
        # Scrapy has no signal for it: https://github.com/scrapy/scrapy/blob/2.19.0/scrapy/crawler.py
        while self.crawler.crawling:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_FOR_STOP)
        self.patience.end_soon()

    def _end_tasks(self) -> None:
        for task in self.tasks:
            task.cancel()
