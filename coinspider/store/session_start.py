"""How a crawl's session begins: the connection, the tables, the lease; or why it does not."""

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import psycopg
from scrapy.crawler import Crawler

from coinspider.crawl.failure import note_failure, note_skip
from coinspider.crawl.target import CrawlStart, CrawlTarget
from coinspider.errors import ConfigurationError, DatabaseUnreachableError
from coinspider.store.connect import CrawlConnection, connect, one_line, place
from coinspider.store.crawl_row import begin_crawl, end_crawl
from coinspider.store.crawl_tables import CrawlTables
from coinspider.store.database_settings import DatabaseSettings
from coinspider.store.earlier_crawls import read_earlier
from coinspider.store.incremental_state import read_since
from coinspider.store.lease import CrawlLease, Run
from coinspider.store.lock_holder import lock_holder
from coinspider.store.migration import make_schema, table_names
from coinspider.store.patience import Patience
from coinspider.store.standby import crawled_elsewhere

logger = logging.getLogger(__name__)


class Begun(NamedTuple):
    """A session that has begun, and what earlier crawls left."""

    connection: CrawlConnection
    lease: CrawlLease
    start: CrawlStart


class SessionStart:
    """Begins the session of a crawl."""

    def __init__(
        self, crawler: Crawler, database: DatabaseSettings, patience: Patience,
        tables: CrawlTables, lease_seconds: float,
    ):  # fmt: skip
        self.crawler, self.database, self.patience = crawler, database, patience
        self.tables, self.lease_seconds = tables, lease_seconds

    async def begin(
        self, target: CrawlTarget, prepare: Callable[[CrawlConnection], Awaitable[None]]
    ) -> Begun:
        """Connect, take the lease, and run ``prepare``.

        Raises :exc:`~scrapy.exceptions.CloseSpider` if the crawl may not begin.
        """
        try:
            connection = await connect(self.database, self.patience)
        except (DatabaseUnreachableError, ConfigurationError) as error:
            raise note_failure(self.crawler, "database_unreachable", str(error)) from None
        try:
            lease = CrawlLease(target.lock_name, self.lease_seconds)
            start = await self._take(connection, lease, target, prepare)
            if not isinstance(start, CrawlStart):
                raise note_skip(self.crawler, start)
        except ConfigurationError as error:
            await connection.close()
            raise note_failure(self.crawler, "database_unusable", str(error)) from None
        except (psycopg.Error, TimeoutError) as error:
            holder = await lock_holder(connection, error, table_names(target.item_class))
            await connection.close()
            message = f"the crawl can't be prepared in the database: {one_line(error)}"
            message += f" ({holder})" if holder else ""
            raise note_failure(self.crawler, "database_error", message) from None
        except BaseException:
            await connection.close()
            raise
        return Begun(connection, lease, start)

    async def _take(
        self, connection: CrawlConnection, lease: CrawlLease, target: CrawlTarget,
        prepare: Callable[[CrawlConnection], Awaitable[None]],
    ) -> CrawlStart | str:  # fmt: skip
        """Take the lease; or say in one line why the crawl does not begin."""
        async with connection.pinned():
            await make_schema(connection, self.database.schema)
            item_class = target.item_class
            if item_class is None and target.table:
                from coinspider.store.stored_item import stored_item_class  # only for next

                item_class = await stored_item_class(connection, target.table)
            await self.tables.migrate(connection, item_class)
        async with connection.pinned():
            died = await lease.take(connection, target)
            if not isinstance(died, list):
                return await self._skip(connection, target, died)
            self._tell_of(died)
            if message := await crawled_elsewhere(connection, target):
                stats = self.crawler.stats
                await end_crawl(connection, lease.crawl_id, stats, "skipped", message)
                return message
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
            await end_crawl(connection, crawl_id, self.crawler.stats, "skipped", message)
        return message
