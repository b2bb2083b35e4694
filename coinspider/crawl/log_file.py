"""The log file: checked before the crawl, and allowed to fail later when the disk is full."""

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from scrapy.settings import BaseSettings
from scrapy.utils.log import get_scrapy_root_handler

from coinspider.errors import ConfigurationError

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
        _check("LOG_FILE", path, _append_nothing)
    if path := settings.get("JOBDIR"):
        _check("JOBDIR", path, _make_file_in)


def _check(name: str, path: str, write: Callable[[Path], None]) -> None:
    try:
        write(Path(path))
    except OSError as error:
        raise ConfigurationError(f"{name}={path} can't be written: {error.strerror}") from None


def _append_nothing(path: Path) -> None:
    path.open("a").close()


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
        print(  # noqa: T201
            f"coinspider: the log {handler.baseFilename} can't be written:"
            f" {getattr(error, 'strerror', None) or error} (the crawl goes on)",
            file=sys.stderr,
        )

    def close_quietly() -> None:
        with suppress(OSError):
            close()

    changed: Any = handler
    changed.handleError, changed.close = tell_once, close_quietly
