"""A live line of a crawl's progress, if it runs on a terminal."""

import logging
import sys
from collections.abc import Sequence
from time import monotonic
from typing import Any, Self

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.utils.asyncio import create_looping_call

from coinspider.http.ratelimit import RateLimitMiddleware
from coinspider.http.retry import BackoffRetryMiddleware
from coinspider.records.table_item import TableItem
from coinspider.stats import EXPECTED_STAT, KNOWN_STAT, figures
from coinspider.text import counted

INTERVAL = 0.25  # seconds
BAR_WIDTH = 20  # cells
# A narrower terminal has no room for a bar beside the text.
BAR_LEAST = 60  # cells


class Progress:
    """An extension; ``PROGRESS_ENABLED`` is 1, 0, or ``auto``: on a terminal.

    Other lines scroll above it.
    """

    def __init__(self, crawler: Crawler):
        settings = crawler.settings
        enabled = settings.get("PROGRESS_ENABLED", "auto")
        if enabled == "auto":
            enabled = sys.stderr.isatty()
        if enabled in (False, "0", 0, "False", "false"):
            raise NotConfigured
        self.crawler = crawler
        self.started = monotonic()
        self.bar: Any = None
        self.has_bar, self.dot = False, " · "

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

        console = Console(stderr=True)
        self.has_bar = console.width >= BAR_LEAST
        self.dot = dot_in(console.encoding)
        text = TextColumn("{task.description}", markup=False)
        parts = [BarColumn(bar_width=BAR_WIDTH), text] if self.has_bar else [text]
        self.bar = Bar(*parts, console=console, auto_refresh=False, transient=True)
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
        """Pages, what is waited for, records, rejected records, the time left, and the speed.

        What does not fit on one line is left out, from the end.
        """
        figure, seconds = figures(self.crawler.stats), max(monotonic() - self.started, 0.1)
        done, expected = self._pages()
        is_between = expected and 0 < done < expected
        needed = [f"page {done} of {expected}" if expected else f"page {done}", self._wait()]
        others = [
            counted(int(figure["record_count"]), self.noun),
            f"{figure['rejected_count']} rejected",
            f"{seconds * ((expected or 0) - done) / done:.0f} s left" if is_between else "",
            f"{figure['record_count'] / seconds:.0f} {self.noun}s/s",
            f"{60 * done / seconds:.0f} pages/min",
        ]
        bar = BAR_WIDTH + 1 if self.has_bar else 0
        return fitting(needed, others, self.bar.console.width - bar, self.dot)

    @property
    def noun(self) -> str:
        item_class = getattr(self.crawler.spider, "item_class", None) or TableItem
        return item_class.noun

    def _pages(self) -> tuple[int, int | None]:
        """How many pages came, and how many are expected; ``None`` if that is unknown."""
        get = self.crawler.stats.get_value
        done = int(figures(self.crawler.stats)["page_count"])
        expected = get(EXPECTED_STAT) or get(KNOWN_STAT) or 0
        return done, expected if done <= expected else None

    def _others(self) -> str:
        """How many other crawls currently share the limit."""
        limiter = self.crawler.get_downloader_middleware(RateLimitMiddleware)
        others = limiter.limit.state.others(limiter.limit.holder) if limiter else 0
        return f", shared with {counted(others, 'other crawl')}" if others else ""

    def _wait(self) -> str:
        """What the crawl waits for, if it takes a second or more."""
        now, find = monotonic(), self.crawler.get_downloader_middleware
        limit, retry = find(RateLimitMiddleware), find(BackoffRetryMiddleware)
        if limit and (wait := limit.wait_until - now) >= 1:
            return f"waiting {wait:.0f} s for the limit{self._others()}"
        if retry and (wait := retry.wait_until - now) >= 1:
            return f"waiting {wait:.0f} s: {retry.reason}"
        return ""


def fitting(needed: Sequence[str], others: Sequence[str], width: int, dot: str = " · ") -> str:
    """One line: what is needed, and of the others, in order of priority, those that fit."""
    line = dot.join(filter(None, needed))
    for part in filter(None, others):
        if len(line) + len(dot) + len(part) > width:
            break
        line = f"{line}{dot}{part}"
    return line


def dot_in(encoding: str) -> str:
    """What parts the figures; an escape sequence in its place would make the line too long."""
    try:
        "·".encode(encoding)
    except UnicodeEncodeError:
        return " | "
    return " · "


def _streams() -> dict[logging.StreamHandler[Any], Any]:
    """The handlers that write to stderr."""
    return {
        handler: handler.stream
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    }
