"""A crawl's time with the database: its connection, its lock, its row in the table ``crawl``."""

import asyncio
import logging

import psycopg
from psycopg import AsyncConnection
from scrapy.crawler import Crawler

from coinspider.crawl_lock import take_lock
from coinspider.crawl_log import (
    begin_crawl,
    end_crawl,
    end_dead_crawls,
    last_page_count,
    running_crawl,
    update_crawl,
)
from coinspider.database import DatabaseUnreachableError, connect
from coinspider.failure import ConfigurationError, failure, skip_crawl
from coinspider.outcome import outcome_of
from coinspider.paginated_spider import KNOWN_STAT, PaginatedSpider
from coinspider.schema import create_tables

logger = logging.getLogger(__name__)


class CrawlSession:
    """Opened before the first request, closed after everything else has ended.

    ``CRAWL_LOG_INTERVAL`` is how many seconds apart the crawl's row is brought up to date.
    """

    connection: AsyncConnection
    crawl_id: int

    def __init__(self, crawler: Crawler):
        self.crawler = crawler
        self.log_interval = crawler.settings.getfloat("CRAWL_LOG_INTERVAL")
        if self.log_interval <= 0:
            raise ConfigurationError("CRAWL_LOG_INTERVAL must be more than 0 seconds")

    async def open(self) -> None:
        """Raises :exc:`~scrapy.exceptions.CloseSpider` where the crawl may not begin."""
        try:
            self.connection = await connect(self.crawler.settings)
            await self._begin(self._spider())
        except (DatabaseUnreachableError, ConfigurationError) as error:
            raise failure(self.crawler, "database_unreachable", str(error)) from None
        except psycopg.Error as error:
            reason = " ".join(str(error).split())
            message = f"the crawl can't be prepared in the database: {reason}"
            raise failure(self.crawler, "database_error", message) from None
        self.keeping_current = asyncio.create_task(self._keep_current())

    async def close(self) -> None:
        if not hasattr(self, "keeping_current"):
            return
        self.keeping_current.cancel()
        outcome = outcome_of(self.crawler)
        try:
            await end_crawl(self.connection, self.crawl_id, self.crawler.stats, *outcome)
        except psycopg.Error as error:
            message = f"the crawl's row can't be closed: {' '.join(str(error).split())}"
            failure(self.crawler, "database_error", message)
        await self.connection.close()

    def _spider(self) -> PaginatedSpider:
        assert isinstance(self.crawler.spider, PaginatedSpider)
        return self.crawler.spider

    async def _begin(self, spider: PaginatedSpider) -> None:
        await create_tables(self.connection, spider.item_class)
        if not await take_lock(self.connection, spider.lock_name):
            await self._skip(spider)
        for run in await end_dead_crawls(self.connection, spider.lock_name):
            logger.warning(
                "%s died: it began at %s and was last seen at %s",
                run,
                run.started_at.isoformat(timespec="seconds"),
                run.updated_at.isoformat(timespec="seconds"),
                extra={"spider": spider},
            )
        known = await last_page_count(self.connection, spider.name, spider.url)
        self.crawler.stats.set_value(KNOWN_STAT, known)
        self.crawl_id = await begin_crawl(self.connection, spider)

    async def _skip(self, spider: PaginatedSpider) -> None:
        """Leave before the first request, with a row all the same: each job has one."""
        other = await running_crawl(self.connection, spider.lock_name)
        message = f"the same crawl is running already: {other or 'it has just begun'}"
        async with self.connection.transaction():
            crawl_id = await begin_crawl(self.connection, spider)
            await end_crawl(self.connection, crawl_id, self.crawler.stats, "skipped", message)
        await self.connection.close()
        raise skip_crawl(self.crawler, message)

    async def _keep_current(self) -> None:
        while True:
            await asyncio.sleep(self.log_interval)
            try:
                await update_crawl(self.connection, self.crawl_id, self.crawler.stats)
            except psycopg.Error as error:
                logger.debug("The crawl's row is not up to date: %s", error)
