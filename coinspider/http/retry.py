"""Retries that wait, and why a page did not come: Scrapy's own middleware retries at once."""

import asyncio
import logging
from collections.abc import Coroutine
from random import uniform
from time import monotonic
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    NotSupported,
    ResponseDataLossError,
    UnsupportedURLSchemeError,
)
from scrapy.http import Response
from scrapy.settings import BaseSettings

from coinspider._compat import is_ending
from coinspider.errors import CoinspiderError, CrawlEndingError
from coinspider.secrets import masked
from coinspider.text import counted

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


# How many seconds a crawl that ends waits for pages under way. The database then has its own time,
# and scrapyd kills after thirty seconds in all (stop_timeout).
STOP_PATIENCE = 15.0


async def answer_or_end(crawler: Crawler, answer: Coroutine[Any, Any, Response]) -> Response:
    """The answer, or :exc:`CrawlEndingError` if it does not come ``STOP_PATIENCE`` seconds after
    the crawl began to end.
    """
    asking, ending_since = asyncio.ensure_future(answer), None
    try:
        while not (await asyncio.wait([asking], timeout=STOP_INTERVAL))[0]:
            if is_ending(crawler):
                ending_since = ending_since or monotonic()
                if monotonic() - ending_since >= STOP_PATIENCE:
                    raise CrawlEndingError("the crawl is ending")
        return asking.result()
    finally:
        asking.cancel()


# The next request would end in the same way.
_PERMANENT = (DownloadCancelledError, IgnoreRequest, NotSupported, UnsupportedURLSchemeError)
# A body that can't be decoded may come from one of several servers. What is likely to be cured by
# time, such as a lost connection, is in RETRY_EXCEPTIONS.
BROKEN_BODY_RETRY_TIMES = 2
# The packages by which Scrapy decodes a body; each has errors of its own.
_DECODERS = ("backports", "brotli", "brotlicffi", "compression", "gzip", "zlib", "zstandard")


def retry_times(error: BaseException | None) -> int:
    """How often it is worthwhile to ask again after an error that is not in
    ``RETRY_EXCEPTIONS``.
    """
    return 0 if isinstance(error, _PERMANENT) else BROKEN_BODY_RETRY_TIMES


def is_undecodable(error: BaseException | None) -> bool:
    """Whether a body is not in the ``Content-Encoding`` that its header names."""
    return type(error).__module__.partition(".")[0] in _DECODERS


def explain_download(error: BaseException | None, settings: BaseSettings) -> str:
    """An error of Scrapy's downloader in words; some have no message, or only a repr."""
    seconds, size = settings.getfloat("DOWNLOAD_TIMEOUT"), settings.getint("DOWNLOAD_MAXSIZE")
    words: dict[type, str] = {
        DownloadTimeoutError: f"it was not complete within DOWNLOAD_TIMEOUT={seconds:g} seconds",
        DownloadCancelledError: f"it is larger than DOWNLOAD_MAXSIZE={size} bytes",
        ResponseDataLossError: "the connection ended before the page was whole",
        DownloadFailedError: f"no answer came: {_reason(error)}",
        CannotResolveHostError: "no such host is known, or there is no network",
        DownloadConnectionRefusedError: "the connection was refused",
    }
    if isinstance(error, CoinspiderError):
        return str(error)
    told = f"{type(error).__name__}: {_reason(error)}"
    if is_undecodable(error):
        return f"its body is not in the Content-Encoding of its header ({told})"
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return (words.get(type(error)) or told) + notes


def _reason(error: BaseException | None) -> str:
    """Twisted keeps why no response came in a list of failures."""
    reasons = getattr(error and error.__cause__, "reasons", None)
    return str(reasons[-1].value) if reasons else str(error)


logger = logging.getLogger(__name__)
# An address of the user's, at which nobody ever answered, may be wrong: 7 s are enough, not 63.
NOBODY_RETRY_TIMES = 3
ANSWERED_STAT = "response_received_count"  # Scrapy's
_NOBODY = (CannotResolveHostError, DownloadConnectionRefusedError)

# The key in a retry's meta for why it is one, in words.
RETRY_REASON_META = "retry_reason"
# The same for how often a callback has repeated a request.
ASKED_AGAIN_META = "asked_again"
# And for how often it may be, where that is less than RETRY_TIMES.
MOST_RETRIES_META = "most_retries"
# A shorter wait is not worth a line in the log.
_TOLD_WAIT = 3.0  # seconds
_URL_SHOWN = 300  # characters


class BackoffRetryMiddleware(RetryMiddleware):
    """Waits before a request that is a retry, twice as long each time.

    ``RETRY_BACKOFF`` (1 second) is the first wait, ``RETRY_BACKOFF_MAX`` (60 seconds) the longest;
    up to a tenth more is added at random. What is retried, and how often, is Scrapy's
    ``RETRY_HTTP_CODES``, ``RETRY_EXCEPTIONS`` and ``RETRY_TIMES``. Retries that a callback requests
    wait as well.
    """

    wait_until = 0.0
    """When the last wait that began is over, by :func:`time.monotonic`."""
    reason = ""
    """Why it waits, in words."""

    def __init__(self, settings: BaseSettings):
        super().__init__(settings)
        self.settings = settings
        self.backoff = settings.getfloat("RETRY_BACKOFF", 1.0)
        self.backoff_max = settings.getfloat("RETRY_BACKOFF_MAX", 60.0)

    async def process_request(self, request: Request) -> None:
        times = request.meta.get("retry_times", request.meta.get(ASKED_AGAIN_META, 0))
        if times and request.meta.get("retry_waited") != times:
            wait = min(self.backoff * 2 ** (times - 1), self.backoff_max)
            self._tell(request, wait, times)
            await wait_or_end(self.crawler, wait * uniform(1.0, 1.1))  # noqa: S311
            # After a refusal the rate limiter already waits: no need to wait twice.
            request.meta["retry_waited"] = times

    def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Request | Response:
        if most := request.meta.get(MOST_RETRIES_META):
            request.meta["max_retry_times"] = most
        result = super().process_response(request, response)
        if isinstance(result, Request):
            result.meta[RETRY_REASON_META] = f"HTTP status {response.status}"
        return result

    def process_exception(  # type: ignore[override]
        self, request: Request, exception: Exception
    ) -> Request | Response | None:
        most = request.meta.get(MOST_RETRIES_META, self.max_retry_times)
        if is_undecodable(exception):  # that of gzip is an OSError
            most = BROKEN_BODY_RETRY_TIMES
        elif isinstance(exception, _NOBODY) and self._may_be_wrong():
            most = NOBODY_RETRY_TIMES
        request.meta["max_retry_times"] = min(self.max_retry_times, most)
        result = super().process_exception(request, exception)
        if isinstance(result, Request):
            result.meta[RETRY_REASON_META] = explain_download(exception, self.settings)
        return result

    def _may_be_wrong(self) -> bool:
        is_set = getattr(self.crawler.spider, "url_setting", "")
        return bool(is_set and not self.crawler.stats.get_value(ANSWERED_STAT))

    def _tell(self, request: Request, wait: float, times: int) -> None:
        self.wait_until = monotonic() + wait
        self.reason = request.meta.get(RETRY_REASON_META, "")
        if wait >= _TOLD_WAIT:
            logger.info(
                "Waiting %.0f s to ask for %s again, after %s: %s",
                wait, masked(request.url)[:_URL_SHOWN], counted(times, "failure"),
                self.reason,
            )  # fmt: skip
