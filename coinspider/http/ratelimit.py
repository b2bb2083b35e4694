"""Keeps a crawl within an API's rate limit: a downloader middleware for any Scrapy project.

It needs Scrapy's default asyncio reactor. Put it between ``RetryMiddleware`` and
``HttpCompressionMiddleware``::

    DOWNLOADER_MIDDLEWARES = {"coinspider.http.ratelimit.RateLimitMiddleware": 560}
    DOWNLOAD_DELAY_JITTER = 0

and set

``RATELIMIT_ENABLED``
    ``True`` by default.
``RATELIMIT_CALLS``, ``RATELIMIT_PERIOD``
    At most this many calls in any period of this many seconds; 0 calls (the default) for no limit,
    ``auto`` for one to be learned; 60 seconds by default. The first calls go out as fast as
    possible: a server that allows this many per period doesn't mind, and even spacing would only
    take longer.
``RATELIMIT_FIRM``
    ``False`` where these calls are only what learning begins with (``True``).
``RATELIMIT_RETRY_AFTER_MAX``
    The longest ``Retry-After`` that is obeyed, in seconds (600).
``RATELIMIT_BACKOFF_MAX``
    The longest wait after a refusal without ``Retry-After``, in seconds (600).
``RATELIMIT_RETRY_TIMES``
    How often one request may be refused (100), apart from ``RETRY_TIMES``.
``RATELIMIT_PAGE_TIMEOUT``
    How long a crawl waits for a page, in seconds (900); then its request fails.
``RATELIMIT_REFUSAL``, ``RATELIMIT_EXHAUSTED``
    The paths of functions that tell a refusal, and one for the rest of the month, from other
    responses (those of :mod:`coinspider.http.api_errors`).

:mod:`coinspider.http.limit.learning` explains how limits are learned.

Stats: ``ratelimit/refused_count``, ``ratelimit/wait_seconds``, ``ratelimit/waiting_until``,
``ratelimit/calls_per_period``, ``ratelimit/period_seconds``.
"""

import asyncio
import logging
from collections import deque
from datetime import UTC, datetime, timedelta
from math import inf
from time import monotonic, time
from typing import Self
from weakref import WeakKeyDictionary

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.http import Response
from scrapy.utils.misc import load_object

from coinspider.errors import CreditsExhaustedError, NoPageError
from coinspider.http.api_errors import is_exhausted, is_refusal, read_error, retry_after
from coinspider.http.limit import learning as limit_model
from coinspider.http.limit.headers import limit_in_headers
from coinspider.http.limit.state import GRANT_SECONDS, Grant, LimitState, end, exhaust
from coinspider.http.limit.turns import CallLimit, LocalLimit, give_back, limit_from_settings
from coinspider.http.retry import wait_or_end
from coinspider.secrets import masked

logger = logging.getLogger(__name__)

REFUSED_STAT = "ratelimit/refused_count"
WAIT_STAT = "ratelimit/wait_seconds"
WAITING_UNTIL_STAT = "ratelimit/waiting_until"
CALLS_STAT = "ratelimit/calls_per_period"
PERIOD_STAT = "ratelimit/period_seconds"

# Calls that are requested at once, where a crawl makes as many in a second.
WANTED_MAX = 50
# Seconds for which a request is repeated that only the words of an answer with status 200 refuse:
# most limits are those of a minute, and words may mean what no wait ends, such as a day's quota.
SAID_IN_WORDS_MAX = 50
SHORT_WAIT = 0.02  # seconds, for a call under way to end
_FAR = 0.05  # seconds; a limit whose answers take longer is asked while a call is under way


class RateLimitMiddleware:
    """Sends requests when the limit allows, and refused ones again."""

    def __init__(self, crawler: Crawler):
        settings = crawler.settings
        if not settings.getbool("RATELIMIT_ENABLED", True):
            raise NotConfigured
        self.crawler = crawler
        self.configured = limit_from_settings(settings)
        self.limit: CallLimit = LocalLimit(self.configured)
        self.retry_after_max = settings.getfloat("RATELIMIT_RETRY_AFTER_MAX", 600.0)
        self.backoff_max = settings.getfloat("RATELIMIT_BACKOFF_MAX", 600.0)
        self.retry_times = settings.getint("RATELIMIT_RETRY_TIMES", 100)
        self.page_timeout = settings.getfloat("RATELIMIT_PAGE_TIMEOUT", 900.0)
        self.is_refusal = load_object(settings.get("RATELIMIT_REFUSAL", is_refusal))
        self.is_exhausted = load_object(settings.get("RATELIMIT_EXHAUSTED", is_exhausted))
        self.turn = asyncio.Lock()
        self.running: set[Request] = set()
        # A request has left the downloader before its response comes here.
        self.began: WeakKeyDictionary[Request, float] = WeakKeyDictionary()
        self.started: deque[float] = deque(maxlen=WANTED_MAX)
        self.granted, self.granted_at = Grant(0), 0.0
        self.answer_took = 0.0  # seconds, of the limit's last answer
        self.ahead: asyncio.Task[Grant] | None = None
        self.page_at: float | None = None
        self.refused_at = inf  # monotonic time of the first refusal after that page
        self.announced_until = 0.0
        self.wait_until = 0.0  # monotonic time, for the progress bar
        self.why = ""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        middleware = cls(crawler)
        crawler.signals.connect(middleware.request_left_downloader, signals.request_left_downloader)
        return middleware

    async def process_request(self, request: Request) -> None:
        # One request waits for all: those behind it have nothing to decide.
        async with self.turn:
            await self._wait_for_turn()
            now = monotonic()
            self.running.add(request)
            self.began[request] = now
            self.started.append(now)
            if not self.granted.calls and self.answer_took > _FAR:
                self.ahead = asyncio.create_task(self._ask())

    def process_response(self, request: Request, response: Response) -> Request | Response:
        now = monotonic()
        age = now - self.began.get(request, now)
        found = limit_in_headers(response, datetime.now(UTC))
        if found:
            self.limit.note(lambda state, at: limit_model.adopt_headers(state, at, found))
            if found.remaining is not None and found.remaining < self.granted.calls:
                self._give_back()
        if self.is_exhausted(response):
            raise self._exhausted(response)
        if not self.is_refusal(response):
            self.page_at, self.refused_at = now, inf
            self.limit.note(lambda state, at: limit_model.passed(state, at, age))
            return response
        return self._again(request, response, age)

    def _again(self, request: Request, response: Response, age: float) -> Request | Response:
        """The request of a refused call, for which to wait; the refusal, if there were too many."""
        self.crawler.stats.inc_value(REFUSED_STAT)
        now = monotonic()
        refusals = request.meta.get("ratelimit_refusals", 0) + 1
        # Of this request, or of any since a page came: those beside it wait as long.
        self.refused_at = min(self.refused_at, now)
        first_at = min(request.meta.get("ratelimit_refused_at", now), self.refused_at)
        is_in_words = response.status == 200 and read_error(response.body).code != 429
        if is_in_words and now - first_at > SAID_IN_WORDS_MAX:
            since = f"refused for {now - first_at:.0f} s"
            raise NoPageError(f"{since}, with status 200: {self._words(response)}")
        self._refused(response, age)
        if refusals > self.retry_times:
            return response
        # Ahead of the requests that wait in the scheduler, as before.
        return request.replace(
            dont_filter=True,
            priority=request.priority + 1,
            meta=request.meta | {"ratelimit_refusals": refusals, "ratelimit_refused_at": first_at},
        )

    def process_exception(self, request: Request, exception: Exception) -> None:
        self.request_left_downloader(request)

    def request_left_downloader(self, request: Request) -> None:
        if request in self.running:
            self.running.remove(request)
            holder = self.limit.holder
            self.limit.note(lambda state, at: end(state, holder, at))

    async def _wait_for_turn(self) -> None:
        started = monotonic()
        if self.page_at is None:
            self.page_at = started
        await wait_or_end(self.crawler, 0)
        while (wait := await self._wait()) > 0:
            self._check_patience(wait)
            self.wait_until = monotonic() + wait
            self.crawler.stats.set_value(WAITING_UNTIL_STAT, time() + wait)
            if wait >= 1 and monotonic() + wait > self.announced_until + 1:
                self._tell(wait)
            await wait_or_end(self.crawler, wait)
        stats = self.crawler.stats
        waited = stats.get_value(WAIT_STAT, 0.0) + monotonic() - started
        stats.set_value(WAIT_STAT, waited)
        calls, period, _ = self.limit.state.limit_for(self.configured)
        stats.set_value(CALLS_STAT, calls)
        stats.set_value(PERIOD_STAT, period)

    async def _wait(self) -> float:
        """Seconds until the next call may go, as far as is known; 0 if it may go now."""
        if len(self.running) >= self.granted.at_once:
            return SHORT_WAIT
        if self.ahead:
            ahead, self.ahead = self.ahead, None
            self.granted = await ahead
        if self.granted.calls and monotonic() - self.granted_at > 0.75 * GRANT_SECONDS:
            self._give_back()
        if not self.granted.calls:
            self.granted = await self._ask()
        if self.granted.exhausted:
            raise CreditsExhaustedError(self.granted.exhausted)
        if not self.granted.calls:
            self.why = self.granted.why
            return self.granted.wait
        if len(self.running) >= self.granted.at_once:
            return SHORT_WAIT
        self.granted = self.granted._replace(calls=self.granted.calls - 1)
        return 0.0

    async def _ask(self) -> Grant:
        self.granted_at = now = monotonic()
        wanted = sum(moment > now - 1 for moment in self.started)
        grant = await self.limit.take(max(1, wanted))
        self.answer_took = monotonic() - now
        return grant

    def _give_back(self) -> None:
        """Nor is what was asked for in advance made use of: it knows less."""
        if self.ahead:
            self.ahead.add_done_callback(lambda ahead: self._return(ahead.result().calls))
        self._return(self.granted.calls)
        self.granted, self.ahead = Grant(0), None

    def _return(self, unused: int) -> None:
        if unused:
            holder = self.limit.holder
            self.limit.note(lambda state, _at: give_back(state, holder, unused))

    def _refused(self, response: Response, age: float) -> None:
        wait = retry_after(response, datetime.now(UTC))
        is_sure = response.status != 503
        why = f"refused with HTTP status {response.status}"
        if wait is not None:
            why += f", Retry-After {wait:.0f} s"
        if words := self._words(response):
            why += f": {words}"
        self._give_back()
        longest = self.backoff_max if wait is None else self.retry_after_max

        def refused(state: LimitState, at: float) -> None:
            limit_model.refused(
                state, at, limit_model.Refusal(age, wait, why, is_sure), self.configured
            )
            state.blocked_until = min(state.blocked_until, at + longest)

        self.limit.note(refused)

    def _exhausted(self, response: Response) -> CreditsExhaustedError:
        words = f"HTTP status {response.status}: {self._words(response)}"
        self._give_back()
        self.limit.note(lambda state, at: exhaust(state, at, words))
        return CreditsExhaustedError(words)

    def _words(self, response: Response) -> str:
        """The API's message, from which its spider may take a key out."""
        words = read_error(response.body).words
        return str(getattr(self.crawler.spider, "masked", masked)(words))

    def _check_patience(self, wait: float) -> None:
        """Raise if no page would have come for too long by the end of the wait."""
        assert self.page_at is not None
        if self.page_timeout and monotonic() + wait > self.page_at + self.page_timeout:
            raise NoPageError(
                f"no page in RATELIMIT_PAGE_TIMEOUT={self.page_timeout:g} seconds, the next call"
                f" is {wait:.0f} s away: {self.why}"
            )

    def _tell(self, wait: float) -> None:
        self.announced_until = monotonic() + wait
        until = (datetime.now().astimezone() + timedelta(seconds=wait)).time()
        logger.info(
            "Waiting %.1f s until %s: %s",
            wait,
            until.isoformat(timespec="seconds"),
            self.why,
            extra={"spider": self.crawler.spider},
        )
