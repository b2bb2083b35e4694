"""A crawl's session with the database: its connection, tables, lease, and row in ``crawl``."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from scrapy.crawler import Crawler

from coinspider._compat import is_downloading
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
    target: CrawlTarget

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

        Raises :exc:`NotBegunError` if the crawl may not begin. If it has a row by then,
        :meth:`close` is to be called nevertheless.
        """
        self.lease = CrawlLease(target.lock_name, self.lease_seconds)
        self.target = target
        self.tasks.append(asyncio.create_task(self._look_for_stop()))
        try:
            self.connection = ReconnectingConnection(
                await connect(self.database, self.patience),
                self._reconnect,
                self.reconnect_timeout,
                self._explain,
            )
            start = await self._begin(target, prepare)
        except BaseException as error:
            if not self.is_open:
                await self._abandon()
            if (reason := _why_not_begun(error)) is None:
                raise
            raise NotBegunError(reason) from None
        if not self.crawler.crawling:
            raise NotBegunError(Reason("interrupted"))
        return start

    async def _begin(
        self, target: CrawlTarget, prepare: Callable[[CrawlConnection], Awaitable[None]]
    ) -> CrawlStart:
        """Make the tables, take the lease, which begins the crawl's row, and read what is known."""
        item_class = await self.connection.run(self._make_tables)
        died = await self.connection.run(lambda connection: self.lease.take(connection, target))
        if not isinstance(died, list):
            raise NotBegunError(await self._skip(died))
        self.is_open = True
        self.tasks.append(asyncio.create_task(self._keep_current()))
        self._tell_of(died)

        async def read(connection: CrawlConnection) -> CrawlStart:
            since = await read_since(connection, target.lock_name) if target.incremental else None
            earlier = await read_earlier(connection, target.source, target.url, target.arguments)
            await prepare(connection)
            return CrawlStart(item_class, since, *earlier, place(self.database))

        return await self.connection.run(read)

    async def _make_tables(self, connection: CrawlConnection) -> type[TableItem] | None:
        await make_schema(connection, self.database.schema)
        item_class = self.target.item_class
        if item_class is None and self.target.table:
            item_class = await stored_item_class(connection, self.target.table)
        await self.tables.migrate(connection, item_class)
        return item_class

    def _tell_of(self, died: list[Run]) -> None:
        for run in died:
            logger.warning(
                "%s died: it began at %s and was last seen at %s",
                run,
                run.started_at.isoformat(timespec="seconds"),
                run.updated_at.isoformat(timespec="seconds"),
                extra={"spider": self.crawler.spider},
            )

    async def _skip(self, other: Run | None) -> Reason:
        """End before the first request, but with a row, because each job has one."""
        why = f"the same crawl is running already: {other or 'it has just begun'}"
        reason = Reason("skipped", {"why": why})
        ending = Ending(reason.code, reason.message, reason.code, reason.figures)

        async def add_row(connection: CrawlConnection) -> None:
            async with connection.transaction():
                crawl_id = await begin_crawl(connection, self.target)
                await end_crawl(connection, crawl_id, self.crawler.stats, ending)

        await self.connection.run(add_row)
        return reason

    async def _abandon(self) -> None:
        """There is no row to close."""
        self._end_tasks()
        if hasattr(self, "connection"):
            await self.connection.close()

    async def run(self, work: Callable[[CrawlConnection], Awaitable[T]]) -> T:
        """Do some work in a transaction in which the lease can't be lost.

        As :meth:`ReconnectingConnection.run`; raises one of ``SESSION_ERRORS``.
        """

        async def run_held(connection: CrawlConnection) -> T:
            async with connection.transaction():
                await self.lease.check(connection)
                return await work(connection)

        return await self.connection.run(run_held)

    async def run_at_once(self, work: Callable[[CrawlConnection, int], Awaitable[T]]) -> T:
        """As :meth:`run`, for work that sets the parameters and checks the lease itself, by the id
        of the crawl's row.
        """
        return await self.connection.run(
            lambda connection: work(connection, self.lease.crawl_id), CrawlConnection.left_idle
        )

    async def write(
        self, work: Callable[[CrawlConnection, Batch], Awaitable[Totals | None]]
    ) -> Totals:
        """Write a batch exactly once, and return what it added to the totals."""
        number = self.totals.batch_count + 1

        async def write_once(connection: CrawlConnection, crawl_id: int) -> Totals:
            totals = await work(connection, Batch(crawl_id, number, self.lease_seconds))
            return totals or await read_totals(connection, crawl_id)

        before, self.totals = self.totals, await self.run_at_once(write_once)
        return self.totals.since(before)

    async def close(self, ending: Ending, since: str | None) -> Reason | None:
        """Close the crawl's row, keep ``since`` for the next crawl, and forget what is old.

        Returns why that was not possible.
        """
        self._end_tasks()
        problem = None
        self.connection.try_once_more()
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
            if self.is_open:
                async with connection.pinned():
                    await self.lease.hold(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _explain(self, connection: CrawlConnection, error: Exception) -> str:
        names = {*self.tables.names(), *table_names(self.target.item_class)}
        return await lock_holder(connection, error, names)

    async def _keep_current(self) -> None:
        while True:
            await asyncio.sleep(self.log_interval)
            try:
                await self.run_at_once(self._give_sign_of_life)
            except LeaseLostError as error:
                self.connection.ended_by = error
                self.fail(Reason("lease_lost", {"why": str(error)}))
                return
            except SESSION_ERRORS as error:
                # The next batch will have the same problem, and fail the crawl.
                logger.debug("The crawl's row is not up to date: %s", one_line(error))

    async def _give_sign_of_life(self, connection: CrawlConnection, crawl_id: int) -> None:
        if not await update_crawl(connection, crawl_id, self.crawler.stats, self.lease_seconds):
            await read_totals(connection, crawl_id)

    async def _look_for_stop(self) -> None:
        """A crawl that is told to end, and has its pages, has little time for the database."""
        # Scrapy has no signal for it: https://github.com/scrapy/scrapy/blob/2.19.0/scrapy/crawler.py
        while self.crawler.crawling:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_FOR_STOP)
        told_at = asyncio.get_running_loop().time()
        while is_downloading(self.crawler):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_FOR_STOP)
        self.patience.end_soon(told_at)

    def _end_tasks(self) -> None:
        for task in self.tasks:
            task.cancel()


def _why_not_begun(error: BaseException) -> Reason | None:
    """``None`` for what is no failure of the database."""
    match error:
        case NotBegunError(reason=reason):
            return reason
        case DatabaseUnreachableError():
            return Reason("database_unreachable", {"why": str(error)})
        case ConfigurationError():
            return Reason("database_unusable", {"why": str(error)})
    if isinstance(error, SESSION_ERRORS):
        return database_reason(error, f"the crawl can't be prepared: {one_line(error)}")
    return None
