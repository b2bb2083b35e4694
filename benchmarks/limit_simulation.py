"""A crawl under a limiter of the sandbox, on a clock of its own; the tests use it, too."""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from scrapy.http import Response

from coinspider.http.limit import headers as limit_headers
from coinspider.http.limit import model as limit_model
from coinspider.http.limit.counting import end
from coinspider.http.limit.state import LimitState, ToldLimit
from coinspider.http.limit.turns import take
from coinspider.sandbox.limit_headers import limit_headers as sandbox_headers
from coinspider.sandbox.limits import LIMITS, Limit, retry_after

PAGES, CALLS = 69, 30
# What is told of the limit, as a share of it.
SHARES = {"nothing": 0, "half": 0.5, "double": 2}


@dataclass
class Crawl:
    """69 pages from a limiter; how long they take, and how many calls it refuses."""

    server: Limit
    told: ToldLimit
    state: LimitState
    now: float = 1_800_000_000.0
    latency: float = 0.01
    says: str = "seconds"
    headers: str = "none"

    def __post_init__(self) -> None:
        self.random, self.refused = Random(1), 0  # noqa: S311

    def run(self, pages: int = PAGES) -> float:
        began, passed = self.now, 0
        while passed < pages:
            grant = take(self.state, "one", self.now, 1, self.told)
            if grant.calls:
                passed += self.call()
            else:
                self.now += grant.wait
        return self.now - began

    def next(self, pause: float) -> "Crawl":
        """The next crawl, which knows what this one has learned."""
        return Crawl(self.server, self.told, self.state, now=self.now + pause)

    def call(self) -> bool:
        latency = self.latency * self.random.uniform(0.5, 1.5)
        counted_at = self.now + latency / 2
        wait = self.server.refused_for(counted_at)
        told = sandbox_headers(self.headers, self.server.standing(counted_at), counted_at)
        self.now += latency
        if told:
            response = Response("https://api.example/", headers=told)
            moment = datetime.fromtimestamp(self.now, UTC)
            read = limit_headers.told_limit(response, moment)
            limit_model.told_by_headers(self.state, self.now, read)
        if wait:
            self.refused += 1
            seconds = {"seconds": float(retry_after(wait)), "none": None}[self.says]
            refusal = limit_model.Refusal(latency, seconds)
            limit_model.refused(self.state, self.now, refusal, self.told)
        else:
            limit_model.passed(self.state, self.now, latency)
        end(self.state, "one", self.now)
        return not wait


def crawl(kind: str, period: float, share: float, **options) -> Crawl:
    told = ToldLimit(round(CALLS * share), period if share else 60.0, firm=False)
    return Crawl(LIMITS[kind](CALLS, period), told, LimitState(), **options)


def ideal(period: float) -> float:
    """Two whole periods, and the calls of the third one."""
    return 2 * period + 0.1
