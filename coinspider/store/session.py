"""A crawl's session with the database: its connection, tables, lease, and row in ``crawl``."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, TypeVar

import psycopg
from scrapy.crawler import Crawler

from coinspider.crawl.reasons import Reason, database_reason
from coinspider.crawl.target import CrawlStart, CrawlTarget, Ending
from coinspider.errors import ConfigurationError, DatabaseUnreachableError, LeaseLostError
from coinspider.records.table_item import TableItem
from coinspider.setting_kinds import number
from coinspider.store.connection import CrawlConnection, Patience, connect, one_line, place
from coinspider.store.crawl import (
    Batch,
    Totals,
    begin_crawl,
    end_crawl,
    read_earlier,
    read_since,
    read_totals,
    update_crawl,
    write_since,
)
from coinspider.store.database_url import DatabaseSettings
from coinspider.store.foreign_tables import stored_item_class
from coinspider.store.lease import CrawlLease, Run
from coinspider.store.migration import make_schema, migrate, table_names
from coinspider.store.partitions import HistorySettings, keep_partitions
from coinspider.store.reconnecting import SESSION_ERRORS, ReconnectingConnection, lock_holder
from coinspider.store.retention import Retention

logger = logging.getLogger(__name__)

HISTORY_TIMEOUT = 600.0
"""Seconds for one statement: a day of changes is rolled up by one."""


class CrawlTables:
    """The tables of each item class of a crawl, and what its history needs."""

    def __init__(self, history: HistorySettings):
        self.history = history
        self.prepared: set[type[TableItem] | None] = set()

    def names(self) -> set[str]:
        return {name for item_class in self.prepared for name in table_names(item_class)}

    async def migrate(
        self, connection: CrawlConnection, item_class: type[TableItem] | None
    ) -> None:
        """Create the tables, or add what they lack."""
        await migrate(connection, item_class, self.history.enabled)
        if self.history.enabled and item_class and (table := item_class.history_table):
            await keep_partitions(connection, table, self.history.lateness)
            if item_class.candle_table:
                from coinspider.store.candles import make_views  # only with a history

                await make_views(connection, item_class)
        self.prepared.add(item_class)

    async def keep_history(self, connection: ReconnectingConnection) -> None:
        """Roll up what is old; the next crawl does whatever can't be done now."""
        for item_class in self.prepared if self.history.enabled else ():
            if not (item_class and item_class.history_table):
                continue
            from coinspider.store.candles import keep_history  # only with a history

            keep = partial(keep_history, item_class=item_class, settings=self.history)
            try:
                await connection.run(keep)
            except SESSION_ERRORS as error:
                logger.warning("The history is not rolled up: %s", one_line(error))


class NotBegunError(Exception):
    """The crawl may not begin, for this reason."""

    def __init__(self, reason: Reason):
        super().__init__(reason.message)
        self.reason = reason


class BegunSession(NamedTuple):
    """A session that has begun, and what earlier crawls left."""

    connection: CrawlConnection
    lease: CrawlLease
    start: CrawlStart


class SessionStart:
    """Begins the session of a crawl."""

    def __init__(
        self,
        crawler: Crawler,
        database: DatabaseSettings,
        patience: Patience,
        tables: CrawlTables,
        lease_seconds: float,
    ):
        self.crawler, self.database, self.patience = crawler, database, patience
        self.tables, self.lease_seconds = tables, lease_seconds

    async def begin(
        self, target: CrawlTarget, prepare: Callable[[CrawlConnection], Awaitable[None]]
    ) -> BegunSession:
        """Connect, take the lease, and run ``prepare``; raises :exc:`NotBegunError`."""
        try:
            connection = await connect(self.database, self.patience)
        except (DatabaseUnreachableError, ConfigurationError) as error:
            raise NotBegunError(Reason("database_unreachable", {"why": str(error)})) from None
        try:
            lease = CrawlLease(target.lock_name, self.lease_seconds)
            start = await self._take(connection, lease, target, prepare)
            if not isinstance(start, CrawlStart):
                raise NotBegunError(Reason("skipped", {"why": start}))
        except ConfigurationError as error:
            await connection.close()
            raise NotBegunError(Reason("database_unusable", {"why": str(error)})) from None
        except (psycopg.Error, TimeoutError) as error:
            holder = await lock_holder(connection, error, table_names(target.item_class))
            await connection.close()
            message = f"the crawl can't be prepared in the database: {one_line(error)}"
            message += f" ({holder})" if holder else ""
            raise NotBegunError(database_reason(error, message)) from None
        except BaseException:
            await connection.close()
            raise
        return BegunSession(connection, lease, start)

    async def _take(
        self,
        connection: CrawlConnection,
        lease: CrawlLease,
        target: CrawlTarget,
        prepare: Callable[[CrawlConnection], Awaitable[None]],
    ) -> CrawlStart | str:
        """Take the lease; or say in one line why the crawl does not begin."""
        async with connection.pinned():
            await make_schema(connection, self.database.schema)
            item_class = target.item_class
            if item_class is None and target.table:
                item_class = await stored_item_class(connection, target.table)
            await self.tables.migrate(connection, item_class)
        async with connection.pinned():
            died = await lease.take(connection, target)
            if not isinstance(died, list):
                return await self._skip(connection, target, died)
            self._tell_of(died)
            since = await read_since(connection, target.lock_name) if target.incremental else None
            earlier = await read_earlier(connection, target.source, target.url, target.arguments)
            await prepare(connection)
        return CrawlStart(item_class, since, *earlier, place(self.database))

    def _tell_of(self, died: list[Run]) -> None:
        for run in died:
            logger.warning(
                "%s died: it began at %s and was last seen at %s",
                run,
                run.started_at.isoformat(timespec="seconds"),
                run.updated_at.isoformat(timespec="seconds"),
                extra={"spider": self.crawler.spider},
            )

    async def _skip(
        self, connection: CrawlConnection, target: CrawlTarget, other: Run | None
    ) -> str:
        """End before the first request, but with a row, because each job has one."""
        message = f"the same crawl is running already: {other or 'it has just begun'}"
        async with connection.transaction():
            crawl_id = await begin_crawl(connection, target)
            await end_crawl(connection, crawl_id, self.crawler.stats, _skipped(message))
        return message


T = TypeVar("T")


# How many heartbeats a crawl sends during one lease.
_SIGNS_OF_LIFE = 5
_LOOK_FOR_STOP = 0.5  # seconds


class CrawlSession:
    """Opened before the first request, closed after everything else has ended.

    If the database goes away, it waits for up to ``POSTGRES_RECONNECT_TIMEOUT`` seconds. The
    crawl's row is updated at least every ``CRAWL_LOG_INTERVAL`` seconds, more often if
    ``POSTGRES_LEASE_TIMEOUT`` requires it. If the lease is lost, it calls ``fail``.
    """

    connection: ReconnectingConnection
    lease: CrawlLease

    def __init__(self, crawler: Crawler, fail: Callable[[Reason], None]):
        self.crawler, self.fail = crawler, fail
        settings = crawler.settings
        self.database = DatabaseSettings.from_settings(settings)
        self.patience = Patience(self.database.statement_timeout)
        self.reconnect_timeout = settings.getfloat("POSTGRES_RECONNECT_TIMEOUT")
        self.lease_seconds = number(settings, "POSTGRES_LEASE_TIMEOUT")
        self.log_interval = min(
            number(settings, "CRAWL_LOG_INTERVAL"), self.lease_seconds / _SIGNS_OF_LIFE
        )
        self.tables = CrawlTables(HistorySettings.from_settings(settings))
        self.retention = Retention.from_settings(settings)
        self.totals = Totals()
        self.tasks: list[asyncio.Task[None]] = []
        self.is_open = False

    async def open(
        self, target: CrawlTarget, prepare: Callable[[CrawlConnection], Awaitable[None]]
    ) -> CrawlStart:
        """Begin, run ``prepare``, and return what earlier crawls left.

        Raises :exc:`NotBegunError` if the crawl may not begin.
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

    async def close(self, ending: Ending, since: str | None) -> Reason | None:
        """Close the crawl's row, keep ``since`` for the next crawl, and forget what is old.

        Returns why that was not possible.
        """
        self._end_tasks()
        problem = None
        # A row that was closed as ``died`` stays closed.
        if not isinstance(self.connection.ended_by, LeaseLostError):
            problem = await self._close(ending, since)
        await self.connection.close()
        return problem

    async def _close(self, ending: Ending, since: str | None) -> Reason | None:
        try:
            await self.run(lambda connection: self._end(connection, ending, since))
            self.patience.seconds = HISTORY_TIMEOUT
            await self.connection.run(self.retention.forget)
            await self.tables.keep_history(self.connection)
        except LeaseLostError as error:
            return Reason("lease_lost", {"why": str(error)})
        except SESSION_ERRORS as error:
            return database_reason(error, f"the crawl's row can't be closed: {one_line(error)}")
        return None

    async def prepare(self, item_class: type[TableItem]) -> None:
        """Create the table of an item class that was unknown when the crawl began."""
        if item_class not in self.tables.prepared:
            await self.run(lambda connection: self.tables.migrate(connection, item_class))

    async def _end(self, connection: CrawlConnection, ending: Ending, since: str | None) -> None:
        await end_crawl(connection, self.lease.crawl_id, self.crawler.stats, ending)
        if since is not None:
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
                self.fail(Reason("lease_lost", {"why": str(error)}))
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


def _skipped(why: str) -> Ending:
    return Ending("skipped", why, "skipped", {"why": why})
