"""A live line of a crawl's progress, if it runs on a terminal."""

import logging
import sys
from time import monotonic
from typing import Any, Self

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.utils.asyncio import create_looping_call

from coinspider.crawl.state import crawl_state
from coinspider.http.ratelimit import RateLimitMiddleware
from coinspider.records.table_item import TableItem
from coinspider.stats import figures
from coinspider.text import counted

INTERVAL = 0.25  # seconds


class Progress:
    """An extension; ``PROGRESS_ENABLED`` is 1, 0, or ``auto``: on a terminal, without a log file.

    Log lines scroll above it.
    """

    def __init__(self, crawler: Crawler):
        settings = crawler.settings
        enabled = settings.get("PROGRESS_ENABLED", "auto")
        if enabled == "auto":
            enabled = sys.stderr.isatty() and not settings.get("LOG_FILE")
        if enabled in (False, "0", 0, "False", "false"):
            raise NotConfigured
        self.crawler = crawler
        self.started = monotonic()
        self.bar: Any = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        extension = cls(crawler)
        crawler.signals.connect(extension.spider_opened, signals.spider_opened)
        crawler.signals.connect(extension.engine_stopped, signals.engine_stopped)
        return extension

    def spider_opened(self) -> None:
        # This import takes a tenth of the start-up, which a crawl that nobody watches saves.
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self.bar = Bar(
            BarColumn(bar_width=20), TextColumn("{task.description}", markup=False),
            console=Console(stderr=True), auto_refresh=False, transient=True,
        )  # fmt: skip
        self.task = self.bar.add_task("", total=None)
        self.streams = _streams()
        self.bar.start()
        # rich's stand-in for stderr, which keeps the line below other output.
        for handler in self.streams:
            handler.setStream(sys.stderr)
        self.updating: Any = create_looping_call(self.update)
        self.updating.start(INTERVAL)

    def engine_stopped(self) -> None:
        if self.bar is None:  # the crawl did not begin
            return
        self.updating.stop()
        self.bar.stop()
        for handler, stream in self.streams.items():
            handler.setStream(stream)

    def update(self) -> None:
        done, expected = self._pages()
        self.bar.update(
            self.task, total=expected, completed=done, description=self.line(), refresh=True
        )

    def line(self) -> str:
        """Pages, records, rejected records, speed, pages per minute, and the wait for the limit."""
        figure, seconds = figures(self.crawler.stats), max(monotonic() - self.started, 0.1)
        done, expected = self._pages()
        parts = [
            f"page {done} of {expected}" if expected else f"page {done}",
            f"{figure['record_count']} {self.noun}s",
            f"{figure['rejected_count']} rejected",
            f"{figure['record_count'] / seconds:.0f} {self.noun}s/s",
            f"{60 * done / seconds:.0f} pages/min",
        ]
        if expected and done and done < expected:
            parts.append(f"{seconds * (expected - done) / done:.0f} s left")
        if wait := self._wait():
            parts.append(f"waiting {wait:.0f} s for the limit{self._others()}")
        return " · ".join(parts)

    @property
    def noun(self) -> str:
        item_class = getattr(self.crawler.spider, "item_class", None) or TableItem
        return item_class.noun

    def _pages(self) -> tuple[int, int | None]:
        """How many pages came, and how many are expected; ``None`` if that is unknown."""
        state = crawl_state(self.crawler)
        done = int(figures(self.crawler.stats)["page_count"])
        expected = state.expected_pages or state.known_pages or 0
        return done, expected if done <= expected else None

    def _others(self) -> str:
        """How many other crawls currently share the limit."""
        limiter = self.crawler.get_downloader_middleware(RateLimitMiddleware)
        others = limiter.limit.state.others(limiter.limit.holder) if limiter else 0
        return f", shared with {counted(others, 'other crawl')}" if others else ""

    def _wait(self) -> float:
        limit = self.crawler.get_downloader_middleware(RateLimitMiddleware)
        wait = limit.wait_until - monotonic() if limit else 0.0
        return wait if wait >= 1 else 0.0


def _streams() -> dict[logging.StreamHandler[Any], Any]:
    """The handlers that write to stderr."""
    return {
        handler: handler.stream
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    }
