"""The month's credits: a crawl that needs more calls than are left does not begin."""

import logging
from collections.abc import AsyncIterator
from typing import Self

from scrapy import Request
from scrapy.crawler import Crawler

from coinspider.crawl.outcome import note_exhausted
from coinspider.crawl.spider import PaginatedSpider
from coinspider.errors import CrawlEndingError, CreditsExhaustedError
from coinspider.http.limit.state import next_credits
from coinspider.http.ratelimit import RateLimitMiddleware
from coinspider.store.account import Usage, keep_credits, note_asked, note_told, read_usage
from coinspider.store.connection import one_line
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

    async def process_start(self, start: AsyncIterator[object]) -> AsyncIterator[object]:
        spider = self.crawler.spider
        limiter = self.crawler.get_downloader_middleware(RateLimitMiddleware)
        if limiter and isinstance(spider, PaginatedSpider):
            limiter.limit.calls_max = spider.monthly_credits.calls
            if isinstance(limiter.limit, SharedLimit):
                await self._check(spider, limiter.limit)
        async for request in start:
            yield request

    async def _check(self, spider: PaginatedSpider, limit: SharedLimit) -> None:
        try:
            usage = await self._usage(spider, limit)
        except SESSION_ERRORS as error:
            logger.debug("The credits can't be looked up: %s", error)
            return
        left, needed = usage.left(), spider.calls_needed()
        limit.calls, limit.calls_max = usage.calls, None if left is None else usage.calls + left
        if left is not None and left < needed:
            message = (
                f"this crawl needs {counted(needed, 'call')}, {left:,} are left until"
                f" {next_credits()} ({limit.account})"
            )
            raise note_exhausted(self.crawler, message)

    async def _usage(self, spider: PaginatedSpider, limit: SharedLimit) -> Usage:
        known = await limit.ask(read_usage)
        usage = known.with_settings(spider.monthly_credits)
        if usage != known:
            await limit.ask(lambda connection, name: keep_credits(connection, name, usage))
        due = usage.told_age is None or usage.told_age > ASKED_EVERY
        if spider.credits_request and due:
            await self._ask(spider, spider.credits_request, limit)
            usage = await limit.ask(read_usage)
        return usage

    async def _ask(self, spider: PaginatedSpider, request: Request, limit: SharedLimit) -> None:
        """Ask the API itself; if it does not say, the crawl begins anyway."""
        try:
            response = await self.crawler.engine.download_async(request)
            told = spider.credits_told(response)
            reason = f"HTTP status {response.status}"
        except CrawlEndingError:
            return
        except CreditsExhaustedError as error:
            raise note_exhausted(self.crawler, str(error)) from None
        except Exception as error:
            told, reason = None, one_line(error)
        if told:
            await limit.ask(lambda connection, account: note_told(connection, account, *told))
            return
        logger.warning(
            "%s does not say how many calls are left (%s): this crawl goes by its own count",
            request.url,
            reason,
        )
        await limit.ask(note_asked)
