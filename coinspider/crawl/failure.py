"""How a crawl fails: with one plain line that says why, and a status that says that it did."""

import logging

from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider
from scrapy.utils.defer import deferred_from_coro

logger = logging.getLogger(__name__)

FAILURE_STAT = "crawl/failure"
SKIPPED_STAT = "crawl/skipped"


def failure(crawler: Crawler, reason: str, message: str) -> CloseSpider:
    """Note why the crawl fails, and give the exception that ends it to whoever may raise it.

    The first failure is the one that is told at the end: later ones often follow from it.
    """
    logger.error(message, extra={"spider": crawler.spider})
    if crawler.stats.get_value(FAILURE_STAT) is None:
        crawler.stats.set_value(FAILURE_STAT, message)
    return CloseSpider(reason)


def skip_crawl(crawler: Crawler, message: str) -> CloseSpider:
    """Note why the crawl does not even begin, and give the exception that ends it."""
    logger.warning(message, extra={"spider": crawler.spider})
    crawler.stats.set_value(SKIPPED_STAT, message)
    return CloseSpider("skipped")


def fail_crawl(crawler: Crawler, reason: str, message: str) -> None:
    """Note why the crawl fails, and end it.

    For code whose ``CloseSpider`` nobody would heed, as that of ``process_item``.
    """
    failure(crawler, reason, message)
    if crawler.engine.spider is not None:
        # Awaited here it would wait for the very item that is being processed.
        deferred_from_coro(crawler.engine.close_spider_async(reason=reason))
