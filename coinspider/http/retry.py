"""Retries that wait: Scrapy's own middleware retries at once."""

import logging
from random import uniform
from time import monotonic

from scrapy import Request
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.http import Response
from scrapy.settings import BaseSettings

from coinspider.http.waiting import wait_or_end
from coinspider.text import counted

logger = logging.getLogger(__name__)

# The key in a retry's meta for why it is one, in words.
RETRY_REASON_META = "retry_reason"
# A shorter wait is not worth a line in the log.
_TOLD_WAIT = 3.0  # seconds
_URL_SHOWN = 300  # characters


class BackoffRetryMiddleware(RetryMiddleware):
    """Waits before a request that is a retry, twice as long each time.

    ``RETRY_BACKOFF`` (1 second) is the first wait, ``RETRY_BACKOFF_MAX`` (60 seconds) the longest;
    up to a tenth more is added at random. What is retried, and how often, is Scrapy's
    ``RETRY_HTTP_CODES``, ``RETRY_EXCEPTIONS`` and ``RETRY_TIMES``. Retries that a callback requests
    with :func:`~scrapy.downloadermiddlewares.retry.get_retry_request` wait as well.
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
        times = request.meta.get("retry_times", 0)
        if times and request.meta.get("retry_waited") != times:
            wait = min(self.backoff * 2 ** (times - 1), self.backoff_max)
            self._tell(request, wait, times)
            await wait_or_end(self.crawler, wait * uniform(1.0, 1.1))  # noqa: S311
            # After a refusal the rate limiter already waits: no need to wait twice.
            request.meta["retry_waited"] = times

    def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Request | Response:
        result = super().process_response(request, response)
        if isinstance(result, Request):
            result.meta[RETRY_REASON_META] = f"HTTP status {response.status}"
        return result

    def process_exception(  # type: ignore[override]
        self, request: Request, exception: Exception
    ) -> Request | Response | None:
        # Only a page that fails needs it.
        from coinspider.http import download_errors

        if download_errors.is_undecodable(exception):  # that of gzip is an OSError
            most = min(self.max_retry_times, download_errors.BROKEN_BODY_RETRY_TIMES)
            request.meta["max_retry_times"] = most
        result = super().process_exception(request, exception)
        if isinstance(result, Request):
            result.meta[RETRY_REASON_META] = download_errors.explain_download(
                exception, self.settings
            )
        return result

    def _tell(self, request: Request, wait: float, times: int) -> None:
        self.wait_until = monotonic() + wait
        self.reason = request.meta.get(RETRY_REASON_META, "")
        if wait >= _TOLD_WAIT:
            without_secrets = getattr(self.crawler.spider, "without_secrets", str)
            logger.info(
                "Waiting %.0f s to ask for %s again, after %s: %s",
                wait, without_secrets(request.url[:_URL_SHOWN]), counted(times, "failure"),
                self.reason,
            )  # fmt: skip
