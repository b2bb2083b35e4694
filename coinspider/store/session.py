"""A crawl's time with the database: its connection, its lock, its row in the table ``crawl``."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection
from scrapy.crawler import Crawler

from coinspider.crawl.exit_status import Outcome, outcome_of
from coinspider.crawl.failure import note_failure, note_skip
from coinspider.crawl.state import crawl_state
from coinspider.crawl.target import CrawlStart, CrawlTarget
from coinspider.errors import (
    ConfigurationError,
    CrawlRowError,
    DatabaseGoneError,
    DatabaseUnreachableError,
    LockLostError,
)
from coinspider.records.table_item import TableItem
from coinspider.store.candles import keep_history, make_views
from coinspider.store.connect import connect, one_line, place
from coinspider.store.crawl_row import (
    Batch,
    Totals,
    begin_crawl,
    end_crawl,
    end_dead_crawls,
    last_page_count,
    read_totals,
    running_crawl,
    update_crawl,
)
from coinspider.store.history import HistorySettings, keep_partitions
from coinspider.store.incremental_state import read_since, write_since
from coinspider.store.lock import CrawlLock
from coinspider.store.migration import migrate
from coinspider.store.reconnecting import ReconnectingConnection
from coinspider.store.stored_item import stored_item_class

logger = logging.getLogger(__name__)
T = TypeVar("T")


# What ends a crawl's work in the database, each with a message of one plain line.
SESSION_ERRORS = (psycopg.Error, DatabaseGoneError, LockLostError, CrawlRowError)


class CrawlSession:
    """Opened before the first request, closed after everything else has ended.

    Where the database goes away it is waited for, at most ``POSTGRES_RECONNECT_TIMEOUT`` seconds.
    ``CRAWL_LOG_INTERVAL`` is how many seconds apart the crawl's row is brought up to date.
    """

    connection: ReconnectingConnection
    lock: CrawlLock
    crawl_id: int

    def __init__(self, crawler: Crawler):
        self.crawler = crawler
        self.reconnect_timeout = crawler.settings.getfloat("POSTGRES_RECONNECT_TIMEOUT")
        self.prepared: set[type[TableItem] | None] = set()
        self.log_interval = crawler.settings.getfloat("CRAWL_LOG_INTERVAL")
        if self.log_interval <= 0:
            raise ConfigurationError("CRAWL_LOG_INTERVAL must be more than 0 seconds")
        self.history = HistorySettings.from_settings(crawler.settings)
        self.totals = Totals()
        self.keeping_current: asyncio.Task[None] | None = None

    async def open(
        self, target: CrawlTarget, prepare: Callable[[AsyncConnection], Awaitable[None]]
    ) -> CrawlStart:
        """Begin, ``prepare`` what else is to be known, and return what earlier crawls left.

        Raises :exc:`~scrapy.exceptions.CloseSpider` where the crawl may not begin.
        """
        try:
            connection = await connect(self.crawler.settings)
            start = await self._begin(connection, target)
            await prepare(connection)
        except (DatabaseUnreachableError, ConfigurationError) as error:
            raise note_failure(self.crawler, "database_unreachable", str(error)) from None
        except psycopg.Error as error:
            message = f"the crawl can't be prepared in the database: {one_line(error)}"
            raise note_failure(self.crawler, "database_error", message) from None
        self.connection = ReconnectingConnection(
            connection, self._reconnect, self.reconnect_timeout
        )
        self.keeping_current = asyncio.create_task(self._keep_current())
        return start

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """As :meth:`ReconnectingConnection.run`; raises one of ``SESSION_ERRORS``."""
        return await self.connection.run(work)

    async def write(self, work: Callable[[AsyncConnection, Batch], Awaitable[Totals]]) -> Totals:
        """Write a batch once, whatever happens, and give what it added to the totals."""
        batch = Batch(self.crawl_id, self.totals.batch_count + 1)
        tries = 0

        async def write_once(connection: AsyncConnection) -> Totals:
            nonlocal tries
            tries += 1
            if tries > 1:
                totals = await read_totals(connection, self.crawl_id)
                if totals.batch_count == batch.number:
                    return totals
            return await work(connection, batch)

        before, self.totals = self.totals, await self.run(write_once)
        return self.totals.since(before)

    @property
    def is_open(self) -> bool:
        return self.keeping_current is not None

    async def close(self) -> None:
        assert self.keeping_current
        self.keeping_current.cancel()
        outcome = outcome_of(self.crawler)
        try:
            await self.run(lambda connection: self._end(connection, outcome))
        except SESSION_ERRORS as error:
            message = f"the crawl's row can't be closed: {one_line(error)}"
            note_failure(self.crawler, "database_error", message)
        await self._keep_history()
        await self.connection.close()

    async def prepare(self, item_class: type[TableItem]) -> None:
        """Create the table of an item class that was not known when the crawl began."""
        if item_class not in self.prepared:
            await self.run(lambda connection: self._migrate(connection, item_class))

    async def _migrate(
        self, connection: AsyncConnection, item_class: type[TableItem] | None
    ) -> None:
        await migrate(connection, item_class, self.history.enabled)
        if self.history.enabled and item_class and (table := item_class.history_table):
            await keep_partitions(connection, table)
            if item_class.candle_table:
                await make_views(connection, item_class)
        self.prepared.add(item_class)

    async def _keep_history(self) -> None:
        """When all else is done; what could not be done now, the next crawl does."""
        for item_class in self.prepared if self.history.enabled else ():
            if not (item_class and item_class.history_table):
                continue
            keep = partial(keep_history, item_class=item_class, settings=self.history)
            try:
                await self.run(keep)
            except SESSION_ERRORS as error:
                logger.warning("The history is not rolled up: %s", one_line(error))

    async def _end(self, connection: AsyncConnection, outcome: Outcome) -> None:
        stats = self.crawler.stats
        await end_crawl(connection, self.crawl_id, stats, *outcome)
        since = crawl_state(self.crawler).next_since
        if since is not None and outcome.status == 0:
            await write_since(connection, self.lock.name, since)

    async def _begin(self, connection: AsyncConnection, target: CrawlTarget) -> CrawlStart:
        item_class = target.item_class
        if item_class is None and target.table:
            item_class = await stored_item_class(connection, target.table)
        await self._migrate(connection, item_class)
        self.lock = CrawlLock(target.lock_name)
        if not await self.lock.take(connection):
            await self._skip(connection, target)
        for run in await end_dead_crawls(connection, target.lock_name):
            logger.warning(
                "%s died: it began at %s and was last seen at %s",
                run,
                run.started_at.isoformat(timespec="seconds"),
                run.updated_at.isoformat(timespec="seconds"),
                extra={"spider": self.crawler.spider},
            )
        since = await read_since(connection, target.lock_name) if target.incremental else None
        known = await last_page_count(connection, target.source, target.url)
        self.crawl_id = await begin_crawl(connection, target)
        return CrawlStart(item_class, since, known, place(self.crawler.settings))

    async def _skip(self, connection: AsyncConnection, target: CrawlTarget) -> None:
        """Leave before the first request, with a row all the same: each job has one."""
        other = await running_crawl(connection, target.lock_name)
        message = f"the same crawl is running already: {other or 'it has just begun'}"
        async with connection.transaction():
            crawl_id = await begin_crawl(connection, target)
            await end_crawl(connection, crawl_id, self.crawler.stats, "skipped", message)
        await connection.close()
        raise note_skip(self.crawler, message)

    async def _reconnect(self) -> AsyncConnection:
        connection = await connect(self.crawler.settings)
        if not await self.lock.take(connection):
            raise LockLostError("another crawl of the same took over while the database was away")
        return connection

    async def _keep_current(self) -> None:
        while True:
            await asyncio.sleep(self.log_interval)
            try:
                await self.run(
                    lambda connection: update_crawl(connection, self.crawl_id, self.crawler.stats)
                )
            except SESSION_ERRORS as error:
                # The next batch meets the same, and fails the crawl.
                logger.debug("The crawl's row is not up to date: %s", error)
