"""The log of a crawl: its lines, and the file they go to."""

import logging
import os
import pprint
import re
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Self

from scrapy import Request, Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.http import Response
from scrapy.logformatter import LogFormatter, LogFormatterResult
from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings
from scrapy.utils.log import get_scrapy_root_handler
from twisted.python.failure import Failure

from coinspider.errors import ConfigurationError
from coinspider.installation import data_folder
from coinspider.records.record import Record, storable
from coinspider.secrets import masked
from coinspider.text import say, visible

logger = logging.getLogger(__name__)
REASONS_MAX = 20
LOGS_KEPT = 20  # of each spider, in the folder for those that nobody named
# Loggers whose lines are not for the terminal: why a crawl ends is said in its last line.
_NOT_SHOWN = {"coinspider.crawl.outcome", "coinspider.commands.crawl", "py.warnings"}
_NUMBER = r"\d+"
# Everything that a terminal acts on, except line breaks
_ACTING = r"[^\n\t\x20-\x7e\xa0-\u200d\u2010-\u2027\u2030-\ud7ff\ue000-\U0010ffff]"


class StatsLog:
    """An extension that logs all stats at the end, at DEBUG.

    Scrapy's own ``STATS_DUMP`` does it at INFO, between the last lines that people look for.
    """

    def __init__(self, crawler: Crawler):
        if crawler.settings.getbool("STATS_DUMP"):
            raise NotConfigured
        self.stats = crawler.stats
        crawler.signals.connect(self.engine_stopped, signals.engine_stopped)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def engine_stopped(self) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("Stats:\n%s", pprint.pformat(self.stats.get_stats()))


class PageLogFormatter(LogFormatter):
    """No line for a stored item, and a short one for the first item rejected for each reason.

    Scrapy makes a log record of each item even if its level is not logged: without it a crawl
    takes a quarter less time.
    """

    def scraped(  # type: ignore[override]
        self, item: object, response: Response | Failure | None, spider: Spider
    ) -> None:
        return None

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        formatter = cls()
        # Scrapy sets up its log handler again after it has made the spider.
        escape_lines()
        crawler.signals.connect(escape_lines, signals.spider_opened)
        crawler.signals.connect(formatter.spider_closed, signals.spider_closed)
        return formatter

    def spider_closed(self) -> None:
        for reason, count in self.reasons.most_common():
            if count > 1:
                logger.warning("Rejected in all: %d with the reason: %s", count, reason)

    def dropped(  # type: ignore[override]
        self,
        item: object,
        exception: BaseException,
        response: Response | Failure | None,
        spider: Spider,
    ) -> LogFormatterResult | None:
        if isinstance(item, Record) and not self._is_new(str(exception)):
            return None
        result = super().dropped(item, exception, response, spider)
        if isinstance(item, Record):
            result["msg"] = "Rejected: %(exception)s, in %(item)s of %(url)s"
            result["args"] = {
                "exception": visible(str(exception)),
                "item": visible(masked(storable(bytes(item.text)[:2000]))[:200]),
                "url": item.source.url,
            }
        return result

    def download_error(
        self, failure: Failure, request: Request, spider: Spider, errmsg: str | None = None
    ) -> LogFormatterResult:
        """At DEBUG for a page: its failure has its own line, and Scrapy's has a traceback."""
        result = super().download_error(failure, request, spider, errmsg)
        if hasattr(spider, "page_failed"):
            result["level"] = logging.DEBUG
        return result

    def _is_new(self, reason: str) -> bool:
        """Whether it is the first with this reason, whatever the place in the record."""
        kind = re.sub(_NUMBER, "N", visible(reason))[:200]
        if kind not in self.reasons and len(self.reasons) >= REASONS_MAX:
            kind = "others"
        self.reasons[kind] += 1
        return self.reasons[kind] == 1


def escape_lines() -> None:
    """Let every line that is logged from now on go through :func:`escape_line`."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(escape_line)


def escape_line(record: logging.LogRecord) -> bool:
    """Escape control characters in a log line, and take out secrets.

    Any library may log foreign text, and Scrapy logs where a feed goes.
    """
    line = record.getMessage()
    shown = masked(line)
    # Nearly every line is plain, and compiling the expression takes 7 ms.
    is_plain = shown.replace("\n", "").replace("\t", "").isprintable()
    if not is_plain and re.search(_ACTING, shown):
        shown = "\n".join(map(visible, shown.split("\n")))
    if shown is not line:
        record.msg, record.args = shown, ()
    if record.exc_info and not record.exc_text:
        record.exc_text = masked(_FORMATTER.formatException(record.exc_info))
    return True


def log_to_file(settings: BaseSettings, spider: str) -> None:
    """Let the log of a crawl on a terminal go to a file, unless a log was asked for there.

    A folder that can't be written to leaves it on the terminal.
    """
    is_asked = settings.getpriority("LOG_LEVEL") == SETTINGS_PRIORITIES["cmdline"]
    is_away = settings.get("LOG_FILE") or not settings.getbool("LOG_ENABLED")
    if is_asked or is_away or not sys.stderr.isatty():
        return
    with suppress(OSError):
        folder, spider = data_folder("logs"), re.sub(r"[^\w.-]", "_", spider)
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob(f"{spider}.*.log"))[: -LOGS_KEPT + 1]:
            old.unlink(missing_ok=True)
        path = folder / f"{spider}.{datetime.now(UTC):%Y%m%dT%H%M%S}.{os.getpid()}.log"
        path.touch()
        settings.set("LOG_FILE", os.path.relpath(path), priority="command")


def show_messages() -> None:
    """Say on the terminal what the log warns of, where that goes to a file."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_MessageFormatter())
    handler.addFilter(lambda record: record.name not in _NOT_SHOWN)
    logging.getLogger().addHandler(handler)


class _MessageFormatter(logging.Formatter):
    """The message without time, logger and traceback, which the log has."""

    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage()


_FORMATTER = logging.Formatter()
_told: set[str] = set()


def check_log_settings(settings: BaseSettings) -> None:
    """Raise :exc:`ConfigurationError` for a log, or a folder of jobs, that can't be written to.

    Scrapy opens them before a command runs, and ends in a traceback.
    """
    level = settings.get("LOG_LEVEL")
    known = logging.getLevelNamesMapping()
    if isinstance(level, str) and level.upper() not in known and not level.isdecimal():
        raise ConfigurationError(f"LOG_LEVEL={level} is not a level: {', '.join(known)}")
    if path := settings.get("LOG_FILE"):
        _check("LOG_FILE", path, lambda file: file.open("a").close())
    if path := settings.get("JOBDIR"):
        _check("JOBDIR", path, _make_file_in)


def _check(name: str, path: str, write: Callable[[Path], None]) -> None:
    try:
        write(Path(path))
    except OSError as error:
        raise ConfigurationError(f"{name}={path} can't be written: {error.strerror}") from None


def _make_file_in(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    TemporaryFile(dir=folder).close()


def survive_full_disk() -> None:
    """If the log can no longer be written, say so in one line on stderr and go on."""
    handler = get_scrapy_root_handler()
    if not isinstance(handler, logging.FileHandler):
        return
    close = handler.close

    def tell_once(_: logging.LogRecord) -> None:
        if handler.baseFilename in _told:
            return
        _told.add(handler.baseFilename)
        error = sys.exc_info()[1]
        say(
            f"coinspider: the log {handler.baseFilename} can't be written:"
            f" {getattr(error, 'strerror', None) or error} (the crawl goes on)"
        )

    def close_quietly() -> None:
        with suppress(OSError):
            close()

    changed: Any = handler
    changed.handleError, changed.close = tell_once, close_quietly
