"""Monthly credits: a crawl that needs more than are left does not begin."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Self

from scrapy import Request
from scrapy.crawler import Crawler

from coinspider.crawl.failure import note_exhausted
from coinspider.crawl.spider_base import PaginatedSpider
from coinspider.errors import CrawlEndingError
from coinspider.http.limit.month import following_month
from coinspider.http.ratelimit import RateLimitMiddleware
from coinspider.store.api_account import Usage, keep_credits, note_credits, read_usage
from coinspider.store.reconnecting import SESSION_ERRORS
from coinspider.store.shared_limit import SharedLimit
from coinspider.text import counted

logger = logging.getLogger(__name__)
ASKED_EVERY = 3600.0  # seconds


class CreditsMiddleware:
    """A spider middleware that compares the calls a crawl needs with those left, before it begins.

    Left are the plan's credits minus the calls of all crawls in this month, or what the API itself
    says, if the spider knows how to ask; it is asked at most once an hour.
    """

    def __init__(self, crawler: Crawler):
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    async def process_start(self, start: AsyncIterator[Any]) -> AsyncIterator[Any]:
        spider, limiter = (
            self.crawler.spider,
            self.crawler.get_downloader_middleware(RateLimitMiddleware),
        )
        limit = limiter.limit if limiter else None
        if isinstance(spider, PaginatedSpider) and isinstance(limit, SharedLimit):
            await self._check(spider, limit)
        async for request in start:
            yield request

    async def _check(self, spider: PaginatedSpider, limit: SharedLimit) -> None:
        try:
            usage = await self._usage(spider, limit)
        except SESSION_ERRORS as error:
            logger.debug("The credits can't be looked up: %s", error)
            return
        monthly = spider.monthly_credits
        if monthly is not None and usage.told_left is None and usage.credits != monthly:
            await limit.ask(lambda connection, name: keep_credits(connection, name, monthly))
        left, needed = usage.left(spider.monthly_credits), spider.calls_needed()
        if left is None:
            return
        limit.calls_max = usage.calls + left
        if left < needed:
            until = following_month(datetime.now(UTC))
            raise note_exhausted(
                self.crawler,
                f"this crawl needs {counted(needed, 'call')}, {left} are left until"
                f" {until:%-d %B %Y} ({limit.account})",
            )

    async def _usage(self, spider: PaginatedSpider, limit: SharedLimit) -> Usage:
        usage = await limit.ask(read_usage)
        due = usage.told_age is None or usage.told_age > ASKED_EVERY
        if spider.credits_request and due and await self._ask(spider.credits_request, limit):
            usage = await limit.ask(read_usage)
        return usage

    async def _ask(self, request: Request, limit: SharedLimit) -> bool:
        """Ask the API itself; if it does not answer, the crawl begins anyway."""
        try:
            response = await self.crawler.engine.download_async(request)
            told = self.crawler.spider.credits_told(response)  # type: ignore[union-attr]
        except CrawlEndingError:
            return False
        except Exception as error:
            logger.warning("The credits that are left can't be asked for: %s", error)
            return False
        if told is None:
            return False
        await limit.ask(lambda connection, account: note_credits(connection, account, *told))
        return True
