"""Private parts of other libraries that are used, each with the version it was seen in.

``tests/unit/test_compat.py`` fails where one of them is no longer there.
"""

from collections.abc import Callable
from typing import Any

from scrapy.crawler import Crawler


def is_ending(crawler: Crawler) -> bool:
    """Whether the engine has begun to end the crawl (Scrapy 2.19: ``ExecutionEngine._slot``).

    Scrapy waits for the requests under way before it ends, and has no signal that says so.
    """
    slot = crawler.engine._slot
    return not crawler.engine.running or slot is None or slot.closing is not None


def pipeline_methods(crawler: Crawler) -> list[Callable[[Any], Any]]:
    """``process_item`` of each item pipeline (Scrapy 2.19: ``MiddlewareManager.methods``)."""
    methods: Any = crawler.engine.scraper.itemproc.methods["process_item"]
    return list(methods)
