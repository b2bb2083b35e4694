"""Makes a crawl fail with one plain line that says why."""

import logging

from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider
from scrapy.utils.defer import deferred_from_coro

from coinspider.crawl.reasons import Reason
from coinspider.crawl.state import crawl_state
from coinspider.text import visible

logger = logging.getLogger(__name__)


def note_failure(crawler: Crawler, reason: Reason) -> CloseSpider:
    """Log and record why the crawl fails; return the exception that ends it, for the caller to
    raise.

    The first failure is shown at the end, because later ones often follow from it.
    """
    logger.error(visible(reason.message), extra={"spider": crawler.spider})
    state = crawl_state(crawler)
    state.reason = state.reason or reason
    state.failure = state.failure or visible(reason.message)
    return CloseSpider(reason.finish)


def note_exhausted(crawler: Crawler, message: str) -> CloseSpider:
    """Log and record that the month's calls are used up; return the exception that says so."""
    state = crawl_state(crawler)
    if not state.exhausted:
        logger.error(message, extra={"spider": crawler.spider})
        state.exhausted = message
    return CloseSpider("exhausted")


def note_skip(crawler: Crawler, message: str) -> CloseSpider:
    """Log and record why the crawl does not begin; return the exception that ends it."""
    logger.warning(message, extra={"spider": crawler.spider})
    crawl_state(crawler).skipped = message
    return CloseSpider("skipped")


def fail_crawl(crawler: Crawler, reason: Reason) -> None:
    """Log and record why the crawl fails, and end it.

    For code whose ``CloseSpider`` Scrapy would ignore, such as ``process_item``.
    """
    note_failure(crawler, reason)
    if crawler.engine.spider is not None:
        # Awaiting it here would wait for the very item that is being processed.
        deferred_from_coro(crawler.engine.close_spider_async(reason=reason.finish))
