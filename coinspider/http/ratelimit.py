"""Keeps a crawl within an API's rate limit: a downloader middleware for any Scrapy project.

It needs Scrapy's default asyncio reactor. Put it between ``RetryMiddleware`` and
``HttpCompressionMiddleware``::

    DOWNLOADER_MIDDLEWARES = {"coinspider.http.ratelimit.RateLimitMiddleware": 560}
    DOWNLOAD_DELAY_JITTER = 0

and set

``RATELIMIT_ENABLED``
    ``True`` by default.
``RATELIMIT_CALLS``, ``RATELIMIT_PERIOD``
    At most so many calls in any such number of seconds; 0 calls (the default) for no limit, 60
    seconds by default. The first calls go out as fast as they can: no server that lets so many
    through in a period minds, and even spacing would only take longer.
``RATELIMIT_RETRY_AFTER_MAX``
    The longest ``Retry-After`` that is obeyed, in seconds (600).
``RATELIMIT_BACKOFF_MAX``
    The longest wait after a refusal without ``Retry-After``, in seconds (600).
``RATELIMIT_RETRY_TIMES``
    How often one request may be refused (100), apart from ``RETRY_TIMES``.
``RATELIMIT_REFUSAL``
    The path of a function that tells a refusal from other responses
    (``coinspider.http.ratelimit.is_refusal``: 429, and 503 with ``Retry-After``).

Stats: ``ratelimit/refused_count``, ``ratelimit/wait_seconds``, ``ratelimit/calls_per_period``.
"""

import asyncio
import logging
from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from random import uniform
from time import monotonic
from typing import Self

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.http import Response
from scrapy.utils.misc import load_object

from coinspider._compat import is_ending
from coinspider.errors import CrawlEndingError

logger = logging.getLogger(__name__)

REFUSED_STAT = "ratelimit/refused_count"
WAIT_STAT = "ratelimit/wait_seconds"
CALLS_STAT = "ratelimit/calls_per_period"

# Seconds between two looks at whether the crawl is ending: how long a stop may take.
STOP_INTERVAL = 0.25


def is_refusal(response: Response) -> bool:
    """Whether a server says by its status that it was asked too often."""
    return response.status == 429 or (response.status == 503 and "Retry-After" in response.headers)


def retry_after(response: Response, now: datetime) -> float | None:
    """The seconds that ``Retry-After`` says; ``None`` without it, or where it says nothing.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    value = (response.headers.get("Retry-After") or b"").decode("latin-1").strip()
    try:
        seconds = float(value) if value.isdecimal() else _until(value, now)
    except (ValueError, TypeError):
        return None
    return seconds if seconds > 0 else None


def _until(http_date: str, now: datetime) -> float:
    return (parsedate_to_datetime(http_date) - now).total_seconds()


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


class Window:
    """The calls of the last ``period`` seconds, of which there may be ``limit`` (0: any number).

    The server counts a call at some moment between its start and its end. So a call counts from
    its start until ``period`` seconds after its end: whatever the latency does, no server sees
    more than ``limit`` calls in ``period`` seconds.
    """

    def __init__(self, limit: int, period: float):
        self.limit, self.period = limit, period
        self.running: set[Request] = set()
        self.ended: deque[float] = deque()

    def start(self, call: Request) -> None:
        self.running.add(call)

    def end(self, call: Request, now: float) -> None:
        if call in self.running:
            self.running.remove(call)
            self.ended.append(now)

    def used(self, now: float) -> int:
        while self.ended and self.ended[0] <= now - self.period:
            self.ended.popleft()
        return len(self.running) + len(self.ended)

    def free_in(self, now: float) -> float:
        """Seconds until one more call may start; 0 where it may now."""
        excess = self.used(now) - self.limit if self.limit else -1
        if excess < 0:
            return 0.0
        if excess < len(self.ended):
            return self.ended[excess] + self.period - now
        return STOP_INTERVAL / 10  # until a running call has ended


class Pace:
    """What refusals teach of the true limit, where it is lower than the configured one.

    After a refusal the limit is what had passed before it. It then rises by a tenth after a
    period without refusals, after two if that was too early, after four, and so on.
    """

    def __init__(self, window: Window):
        self.window = window
        self.configured = window.limit
        self.learned = False
        self.in_a_row = 0
        self.patience = 0.5
        self.probe_at = float("inf")

    def refused(self, now: float) -> None:
        self.in_a_row += 1
        self.patience = min(self.patience * 2, 64)
        self.probe_at = now + self.window.period * (self.patience + 1)
        passed = self.window.used(now) - len(self.window.running) - 1
        # A second refusal in a row tells of a wait that was too short, not of the limit.
        if self.in_a_row == 1 and (not self.window.limit or passed < self.window.limit):
            self.window.limit = max(1, passed)
            self.learned = True

    def passed(self, now: float) -> None:
        self.in_a_row = 0
        if self.learned and now >= self.probe_at:
            self.window.limit += max(1, self.window.limit // 10)
            self.probe_at = now + self.window.period * self.patience
            if self.configured and self.window.limit >= self.configured:
                self.window.limit, self.learned = self.configured, False


class RateLimitMiddleware:
    """Lets a request go when the limit allows, and sends a refused one again when it does."""

    def __init__(self, crawler: Crawler):
        settings = crawler.settings
        if not settings.getbool("RATELIMIT_ENABLED", True):
            raise NotConfigured
        self.crawler = crawler
        self.window = Window(
            settings.getint("RATELIMIT_CALLS"), settings.getfloat("RATELIMIT_PERIOD", 60.0)
        )
        self.pace = Pace(self.window)
        self.retry_after_max = settings.getfloat("RATELIMIT_RETRY_AFTER_MAX", 600.0)
        self.backoff_max = settings.getfloat("RATELIMIT_BACKOFF_MAX", 600.0)
        self.retry_times = settings.getint("RATELIMIT_RETRY_TIMES", 100)
        self.is_refusal = load_object(settings.get("RATELIMIT_REFUSAL", is_refusal))
        self.turn = asyncio.Lock()
        self.blocked_until = 0.0
        self.told_until = 0.0
        self.wait_until = 0.0  # monotonic time, for who shows it
        self.why = ""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        middleware = cls(crawler)
        crawler.signals.connect(middleware.request_left_downloader, signals.request_left_downloader)
        return middleware

    async def process_request(self, request: Request) -> None:
        # One request waits for all: those behind it have nothing to tell or to decide.
        async with self.turn:
            await self._wait_for_turn()
            self.window.start(request)

    def process_response(self, request: Request, response: Response) -> Request | Response:
        now = monotonic()
        if not self.is_refusal(response):
            self.pace.passed(now)
            return response
        self.crawler.stats.inc_value(REFUSED_STAT)
        self.pace.refused(now)
        self._block(response, now)
        refusals = request.meta.get("ratelimit_refusals", 0) + 1
        if refusals > self.retry_times:
            return response
        # Ahead of the requests that wait in the scheduler, as it was before.
        return request.replace(
            dont_filter=True,
            priority=request.priority + 1,
            meta=request.meta | {"ratelimit_refusals": refusals},
        )

    def process_exception(self, request: Request, exception: Exception) -> None:
        self.window.end(request, monotonic())

    def request_left_downloader(self, request: Request) -> None:
        self.window.end(request, monotonic())

    async def _wait_for_turn(self) -> None:
        started = monotonic()
        await wait_or_end(self.crawler, 0)
        while (wait := self._wait(monotonic())) > 0:
            self.wait_until = monotonic() + wait
            if wait >= 1 and monotonic() + wait > self.told_until + 1:
                self._tell(wait)
            await wait_or_end(self.crawler, wait)
        stats = self.crawler.stats
        waited = stats.get_value(WAIT_STAT, 0.0) + monotonic() - started
        stats.set_value(WAIT_STAT, waited)
        stats.set_value(CALLS_STAT, self.window.limit)

    def _wait(self, now: float) -> float:
        """Seconds until the next call may go, as far as can be told now."""
        if self.blocked_until > now:
            return self.blocked_until - now
        # Once refused, one call at a time: a refusal then costs one call, not all under way.
        if self.pace.learned and self.window.running:
            return STOP_INTERVAL / 10
        self.why = f"{self.window.limit} calls in {self.window.period:g} s are used up"
        return self.window.free_in(now)

    def _block(self, response: Response, now: float) -> None:
        wait = retry_after(response, datetime.now(UTC))
        self.why = f"refused with HTTP status {response.status}"
        if wait is None:
            wait = self._backoff(now)
        else:
            self.why += f", Retry-After {wait:.0f} s"
            wait = min(wait, self.retry_after_max)
        self.blocked_until = max(self.blocked_until, now + wait)

    def _backoff(self, now: float) -> float:
        """Until the first call of the last period is a period old; from then on ever longer."""
        oldest = self.window.ended[0] if self.window.ended else now
        if self.pace.in_a_row == 1 and oldest < now:
            wait = oldest + self.window.period - now
        else:
            wait = self.window.period * 2.0 ** (self.pace.in_a_row - 2)
        return min(wait * uniform(1.0, 1.1), self.backoff_max)  # noqa: S311

    def _tell(self, wait: float) -> None:
        self.told_until = monotonic() + wait
        until = (datetime.now().astimezone() + timedelta(seconds=wait)).time()
        logger.info(
            "Waiting %.1f s until %s: %s",
            wait,
            until.isoformat(timespec="seconds"),
            self.why,
            extra={"spider": self.crawler.spider},
        )
