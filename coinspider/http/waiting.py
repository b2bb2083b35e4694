"""Waits that end with the crawl."""

import asyncio
from time import monotonic

from scrapy.crawler import Crawler

from coinspider._compat import is_ending
from coinspider.errors import CrawlEndingError

# Seconds between two checks whether the crawl is ending, and so how long a stop may take.
STOP_INTERVAL = 0.25


async def wait_or_end(crawler: Crawler, seconds: float) -> None:
    """Sleep, but raise :exc:`CrawlEndingError` soon after the crawl begins to end."""
    deadline = monotonic() + seconds
    while True:
        if is_ending(crawler):
            raise CrawlEndingError("the crawl is ending")
        remaining = deadline - monotonic()
        if remaining <= 0:
            return
        await asyncio.sleep(min(remaining, STOP_INTERVAL))
