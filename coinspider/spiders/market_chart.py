"""CoinGecko's prices of the past, for the candles of the time before the first crawl."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Self
from urllib.parse import quote, urlencode

from msgspec import Meta, Struct
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure

from coinspider.crawl.target import RunWork, with_margin
from coinspider.errors import ConfigurationError, PageError
from coinspider.http.pagination import PageRequest, SinglePage
from coinspider.http.pagination.protocol import read_page
from coinspider.http.ratelimit import RateLimitMiddleware
from coinspider.items import FullCoin
from coinspider.records.cutting import parse_cut
from coinspider.records.record import Page, PastAsked, PastPrice, PastPrices, Source
from coinspider.setting_kinds import parse_arguments
from coinspider.sources.coingecko import HOURS_MAX, read_chart
from coinspider.spiders.coins import CoinGeckoSpider, VsCurrency
from coinspider.stats import END_STAT, EXPECTED_STAT, PAGE_STAT
from coinspider.text import counted, readable_seconds, say

_PRICES = parse_cut("prices")
_A_DAY = timedelta(days=1)


class MarketChartArguments(Struct, kw_only=True):
    """The arguments ``-a NAME=VALUE``: how many days, and of which coins."""

    days: Annotated[int, Meta(ge=1, le=36_500, description="a number of days from 1")]
    vs_currency: VsCurrency = "usd"
    ids: Annotated[str, Meta(min_length=1, description="coin ids with commas")] | None = None
    top: Annotated[int, Meta(ge=1, description="a number of coins from 1")] | None = None


class MarketChartSpider(CoinGeckoSpider):
    """Reads ``/coins/{id}/market_chart`` of the listed coins that lack candles of these days.

    One call a coin, in order of rank. What is loaded is remembered coin by coin, so that a crawl
    that was interrupted goes on where it was.
    https://docs.coingecko.com/reference/coins-id-market-chart
    """

    name = "market_chart"
    path = "coins"
    item_class = FullCoin
    pagination = SinglePage()
    whole = False
    asked: MarketChartArguments
    arguments_class = MarketChartArguments
    wanted: list[str]
    """The coins to ask for."""
    there = 0
    """How many others have these days already."""
    unknown: list[str]
    """Those that are not among the listed coins, or of which the API has no chart."""
    price_count = 0
    waiting: Iterator[tuple[int, str]]

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: object, **kwargs: object) -> Self:
        asked = parse_arguments(MarketChartArguments, kwargs)
        if (asked.ids is None) == (asked.top is None):
            raise ConfigurationError("give the coins: ids=bitcoin,ethereum or top=100")
        for switch in ("POSTGRES_ENABLED", "HISTORY_ENABLED"):
            if not crawler.settings.getbool(switch):
                raise ConfigurationError(f"prices of the past need {switch}=1: they become candles")
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.asked, spider.constants = asked, {"vs_currency": asked.vs_currency}
        spider.wanted, spider.unknown = [], []
        return spider

    @property
    def is_hourly(self) -> bool:
        return self.asked.days <= HOURS_MAX

    @property
    def lock_name(self) -> str:
        return f"{self.name} {self.url} {self.asked.vs_currency}"

    async def prepare(self, run: RunWork) -> None:
        ids = self.asked.ids.split(",") if self.asked.ids else None
        days, hourly = self.asked.days, self.is_hourly
        # Scrapy imports all spiders, whichever is to crawl.
        from coinspider.store.backfill import PastWanted, keys_without_past

        wanted = PastWanted(FullCoin, self.constants, days, hourly, ids, self.asked.top)
        found = await run(lambda connection: keys_without_past(connection, wanted))
        self.wanted = [key for key, is_missing in found.items() if is_missing]
        self.there = len(found) - len(self.wanted)
        self.unknown = [id_ for id_ in ids or () if id_ not in found]

    def calls_needed(self) -> int:
        return with_margin(len(self.wanted))

    async def start(self) -> AsyncIterator[Request]:
        say(f"coinspider: {self._cost()}")
        self.crawler.stats.set_value(EXPECTED_STAT, len(self.wanted))
        self.waiting = iter(enumerate(self.wanted, 1))
        for request in self._next(1):
            yield request

    def _next(self, count: int) -> list[Request]:
        return [self._request(*each) for each in islice(self.waiting, count)]

    def _after(self, coin_id: str) -> list[Request]:
        """The requests that follow an answer: the first one shows that the API gives these days."""
        is_first = coin_id == self.wanted[0]
        return self._next(self.settings.getint("CONCURRENT_REQUESTS") if is_first else 1)

    def _cost(self) -> str:
        """What the crawl takes, and what is left of the month."""
        count = len(self.wanted)
        limiter = self.crawler.get_downloader_middleware(RateLimitMiddleware)
        cost = counted(count, "call")
        if limiter and count:
            calls, period, _ = limiter.limit.state.limit_for(limiter.configured)
            calls = calls or limiter.configured.calls
            waits = (count - 1) // calls * period if calls else 0
            cost += f", at least {readable_seconds(waits)}" if waits else ""
            left = limiter.limit.credits_left
            cost += "" if left is None else f"; {left:,} are left this month"
        coins = f"{counted(count, 'coin')} in {self.asked.vs_currency}"
        there = f"; {self.there} have these days already" if self.there else ""
        return f"prices of {counted(self.asked.days, 'day')} for {coins} cost {cost}{there}"

    def _request(self, number: int, coin_id: str) -> Request:
        query = urlencode({"vs_currency": self.asked.vs_currency, "days": self.asked.days})
        url = f"{self.base_url}/coins/{quote(coin_id, safe='')}/market_chart?{query}"
        request = self.page_request(PageRequest(url, number=number))
        return request.replace(
            callback=self.chart_came, errback=self.chart_missing, cb_kwargs={"coin_id": coin_id}
        )

    def chart_came(self, response: Response, coin_id: str) -> Iterator[Request | Page]:
        now = datetime.now(UTC)
        since = now - self.asked.days * _A_DAY
        try:
            read_page(response, PageRequest(response.url, cut=_PRICES))
            chart = read_chart(response.body, since - _A_DAY, now + _A_DAY)
        except PageError as error:
            yield from self.failed_pages.retry(response.request, str(error), error.retry_times)
            return
        yield from self._after(coin_id)
        self.crawler.stats.inc_value(PAGE_STAT)
        self.price_count += len(chart.points)
        key = {"coin_id": coin_id, **self.constants}
        yield Page(
            [],
            Source(response.url, FullCoin, self.constants),
            [],
            PastPrices(
                FullCoin,
                "market_chart" if chart.is_hourly else "market_chart_daily",
                [PastPrice(key, at, values) for at, values in chart.points.items()],
                chart.is_hourly,
                PastAsked(key, since, self.is_hourly),
            ),
        )

    def chart_missing(self, failure: Failure, **_: object) -> object:
        """A coin that the API does not have costs only its own prices."""
        error = failure.value
        if isinstance(error, HttpError) and error.response.status == 404:
            coin_id = failure.request.cb_kwargs["coin_id"]  # type: ignore[attr-defined]
            self.unknown.append(coin_id)
            return self._after(coin_id)
        return self.page_failed(failure)

    def requests_done(self) -> None:
        super().requests_done()  # which has no list that could end
        if not self.outcome.reason:
            self.outcome.end_reached = True
            self.crawler.stats.set_value(END_STAT, 1)

    def closed(self, reason: str) -> None:
        done = self.crawler.stats.get_value(PAGE_STAT, 0)
        self.outcome.remark(f"{self.price_count:,} prices of {counted(done, 'coin')}")
        if self.unknown:
            self.outcome.remark(f"there is no chart of {', '.join(self.unknown)}")
