"""Crawls under one of the sandbox's limiters, on a simulated clock; the tests use them, too.

The middleware is the real one, called in Scrapy's order, and it reads real headers.
"""

import asyncio
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from email.utils import formatdate
from math import ceil
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple

from scrapy import Request
from scrapy.http import Response
from scrapy.settings import Settings
from scrapy.signalmanager import SignalManager
from scrapy.statscollectors import StatsCollector

from benchmarks.simulated_clock import SimulatedClock
from coinspider.http import ratelimit, retry
from coinspider.http.limit import turns
from coinspider.http.limit.state import ConfiguredLimit, Grant, LimitState
from coinspider.http.limit.turns import leave, take
from coinspider.sandbox.behaviour import LIMITS, Limit, limit_headers, retry_after

PAGES, CALLS = 69, 30
# What is configured, as a share of it.
SHARES = {"nothing": 0, "half": 0.5, "double": 2}
NOTHING = ConfiguredLimit(0, 60, firm=False)
LATENCY = (0.010, 0.020)  # seconds
# A limit per hour makes a crawl wait longer than it would by default.
PATIENT = {
    "RATELIMIT_PAGE_TIMEOUT": 0,
    "RATELIMIT_RETRY_AFTER_MAX": 86_400,
    "RATELIMIT_BACKOFF_MAX": 86_400,
    "RATELIMIT_RETRY_TIMES": 1000,
}


class Run(NamedTuple):
    """A crawl, as the API saw it."""

    seconds: float
    refused: int


@dataclass
class Api:
    """An API, and what is known of its limit to the crawls that it sees one after the other."""

    server: Limit
    configured: ConfiguredLimit = NOTHING
    says: str = "seconds"
    """The form of ``Retry-After``."""
    headers: str = "none"
    """The headers that tell the limit: a style of the sandbox."""
    ways: int = 1
    """How many pages a crawl asks for at once."""
    status: int = 429
    latency: tuple[float, float] = LATENCY
    clock_ahead: float = 0.0
    """Of the API's clock, in seconds."""
    settings: Mapping[str, object] = field(default_factory=dict)
    state: LimitState = field(default_factory=LimitState)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    random: Random = field(default_factory=lambda: Random(1))  # noqa: S311
    calls: list[tuple[float, bool]] = field(default_factory=list)
    """When each call came, and whether it passed."""

    def crawl(self, pages: int = PAGES, crawls: int = 1) -> Run:
        """Several crawls begin at once, and read as many pages each."""
        began, made = self.clock.now, len(self.calls)
        self.clock.run(self._crawls(pages, crawls), ratelimit, retry, turns)
        refused = sum(not passed for _, passed in self.calls[made:])
        return Run(self.clock.now - began, refused)

    def pause(self, seconds: float) -> None:
        self.clock.now += seconds

    async def _crawls(self, pages: int, crawls: int) -> None:
        await asyncio.gather(*(self._pages(pages, f"crawl {n}") for n in range(crawls)))

    async def _pages(self, pages: int, name: str) -> None:
        middleware = ratelimit.RateLimitMiddleware(_crawler(PATIENT | dict(self.settings)))
        limit = _Shared(self.configured, self.state, name)
        middleware.configured, middleware.limit = self.configured, limit
        numbers = iter(range(1, pages + 1))
        try:
            await asyncio.gather(*(self._chain(middleware, numbers) for _ in range(self.ways)))
        finally:
            limit.leave()

    async def _chain(self, middleware: ratelimit.RateLimitMiddleware, numbers: Any) -> None:
        for number in numbers:
            request = Request(f"https://api.example/?page={number}")
            while True:
                await middleware.process_request(request)
                response = await self._response(request)
                middleware.request_left_downloader(request)
                answer = middleware.process_response(request, response)
                if isinstance(answer, Response):
                    break
                request = answer

    async def _response(self, request: Request) -> Response:
        latency = self.random.uniform(*self.latency)
        there = latency * self.random.uniform(0.2, 0.8)
        await asyncio.sleep(there)
        wait = self.server.refused_for(self.clock.now)
        self.calls.append((self.clock.now, not wait))
        headers = self.headers_of(wait)
        await asyncio.sleep(latency - there)
        return Response(request.url, status=self.status if wait else 200, headers=headers)

    def headers_of(self, wait: float) -> dict[str, str]:
        """Of a response, or of a refusal if there is a wait."""
        now = self.clock.time() + self.clock_ahead
        headers = limit_headers(self.headers, self.server.standing(self.clock.now), now)
        headers["Date"] = formatdate(now, usegmt=True)
        if wait and self.says != "none":
            date = formatdate(ceil(now + wait), usegmt=True)
            headers["Retry-After"] = date if self.says == "date" else str(retry_after(wait))
        return headers


class _Shared(turns.LocalLimit):
    """Grants batches of calls, and is told of their ends later, as the one in the database does."""

    def __init__(self, configured: ConfiguredLimit, state: LimitState, holder: str):
        super().__init__(configured)
        self.state, self.holder = state, holder
        self.changes: list[tuple[turns.Change, float]] = []

    def note(self, change: turns.Change) -> None:
        self.changes.append((change, self.clock()))

    async def take(self, wanted: int) -> Grant:
        self._apply_changes()
        return take(self.state, self.holder, self.clock(), wanted, self.configured)

    def leave(self) -> None:
        self._apply_changes()
        leave(self.state, self.holder)

    def _apply_changes(self) -> None:
        for change, moment in self.changes:
            change(self.state, moment)
        self.changes.clear()


def _crawler(settings: Mapping[str, object]) -> Any:
    engine = SimpleNamespace(running=True, _slot=SimpleNamespace(closing=None))
    crawler: Any = SimpleNamespace(
        settings=Settings(settings), signals=SignalManager(), spider=None, engine=engine
    )
    crawler.stats = StatsCollector(crawler)
    return crawler


def api(kind: str, period: float, share: float, calls: int = CALLS, **options: Any) -> Api:
    """An API that limits calls; of which a share is configured."""
    configured = ConfiguredLimit(round(calls * share), period if share else 60.0, firm=False)
    return Api(LIMITS[kind](calls, period), configured, **options)


def ideal(server: Limit, pages: int = PAGES, ways: int = 1) -> float:
    """How long a crawl takes that knows the server's mind, so that no call is refused or late.

    Its calls take as long as any other's.
    """
    server, random = deepcopy(server), Random(1)  # noqa: S311
    answered, came = [0.0] * ways, 0.0
    for _ in range(pages):
        latency = random.uniform(*LATENCY)
        came = max(came, min(answered) + latency / 2)
        if wait := deepcopy(server).refused_for(came):
            came += wait + 1e-6
        server.refused_for(came)
        answered[answered.index(min(answered))] = came + latency / 2
    return max(answered)
