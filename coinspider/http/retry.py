"""Retries that wait: Scrapy's own middleware retries at once."""

from random import uniform

from scrapy import Request
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.settings import BaseSettings

from coinspider.http.waiting import wait_or_end


class BackoffRetryMiddleware(RetryMiddleware):
    """Waits before a request that is a retry, twice as long each time.

    ``RETRY_BACKOFF`` (1 second) is the first wait, ``RETRY_BACKOFF_MAX`` (60 seconds) the longest;
    up to a tenth more is added at random. What is retried, and how often, is Scrapy's
    ``RETRY_HTTP_CODES``, ``RETRY_EXCEPTIONS`` and ``RETRY_TIMES``. Retries that a callback requests
    with :func:`~scrapy.downloadermiddlewares.retry.get_retry_request` wait as well.
    """

    def __init__(self, settings: BaseSettings):
        super().__init__(settings)
        self.backoff = settings.getfloat("RETRY_BACKOFF", 1.0)
        self.backoff_max = settings.getfloat("RETRY_BACKOFF_MAX", 60.0)

    async def process_request(self, request: Request) -> None:
        times = request.meta.get("retry_times", 0)
        if times and request.meta.get("retry_waited") != times:
            wait = min(self.backoff * 2 ** (times - 1), self.backoff_max)
            await wait_or_end(self.crawler, wait * uniform(1.0, 1.1))  # noqa: S311
            # After a refusal the rate limiter already waits: no need to wait twice.
            request.meta["retry_waited"] = times
