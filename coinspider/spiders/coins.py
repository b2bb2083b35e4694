"""CoinGecko's market data of every coin."""

import difflib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import compress
from typing import Annotated, Self
from urllib.parse import parse_qsl, urlencode

from msgspec import Meta, Raw, Struct
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from twisted.python.failure import Failure

from coinspider.crawl.key_order import PageChain
from coinspider.crawl.spider import PaginatedSpider
from coinspider.errors import PageError
from coinspider.http.limit.state import MonthlyCredits
from coinspider.http.pagination import AnsweredPage, KnownPages, PageNumber, PageRequest
from coinspider.http.pagination.protocol import read_page
from coinspider.items import FullCoin
from coinspider.records.keys import Key, in_calls, record_keys
from coinspider.records.record import Page, PastPrice, PastPrices
from coinspider.setting_kinds import parse_arguments, whole_number
from coinspider.sources.coingecko import (
    CHANGE_SPANS,
    CURRENCIES,
    ERRORS,
    LOCALES,
    ORDERS,
    PRECISIONS,
    api_from_settings,
    currencies_told,
    key_facts,
    monthly_credits,
    plan_from_settings,
    rate_limit_from_settings,
    sparkline_prices,
    without_sparkline,
)
from coinspider.stats import EMPTY_STAT, PAGE_STAT, RECORD_STAT

# A crawl does not wait for what it can do without.
_ASKED_ONCE = {"dont_retry": True, "download_timeout": 15}  # seconds


def _one_of(*values: str) -> Meta:
    return Meta(pattern=rf"^({'|'.join(values)})\Z", description=f"one of {', '.join(values)}")


def _list_of(values: str) -> Meta:
    return Meta(min_length=1, description=f"{values} with commas")


VsCurrency = Annotated[
    str, Meta(pattern=r"^[a-z0-9-]{1,20}\Z", description="a currency's code: usd, eur, btc, ...")
]


class CoinsArguments(Struct, kw_only=True):
    """The arguments ``-a NAME=VALUE``: which pages, and the parameters of ``/coins/markets``."""

    vs_currency: VsCurrency = "usd"
    first_page: Annotated[int, Meta(ge=1, description="the number of a page from 1")] | None = None
    pages: Annotated[int, Meta(ge=1, description="a number of pages from 1")] | None = None
    per_page: Annotated[int, Meta(ge=1, le=250, description="1 to 250")] = 250
    order: Annotated[str, _one_of(*ORDERS)] | None = None
    ids: Annotated[str, _list_of("coin ids")] | None = None
    names: Annotated[str, _list_of("coin names")] | None = None
    symbols: Annotated[str, _list_of("symbols")] | None = None
    include_tokens: Annotated[str, _one_of("top", "all")] | None = None
    category: Annotated[str, Meta(min_length=1, description="a category's id")] | None = None
    include_rehypothecated: Annotated[bool, Meta(description="true or false")] = True
    price_change_percentage: Annotated[
        str,
        Meta(
            pattern=rf"^(({'|'.join(CHANGE_SPANS)})(,(?=.)|\Z))*\Z",
            description=f"some of {','.join(CHANGE_SPANS)}, or nothing",
        ),
    ] = ",".join(CHANGE_SPANS)
    sparkline: Annotated[bool, Meta(description="true or false")] = False
    precision: Annotated[str, _one_of(*PRECISIONS)] | None = None
    locale: Annotated[str, _one_of(*LOCALES)] | None = None

    def are_whole(self) -> bool:
        """Whether they select all coins, in an order that does not change during the crawl.

        Without ``include_rehypothecated`` it is a shorter list, and says nothing about the others.
        """
        chosen = self.is_part() or self.filters()
        return not chosen and self.include_rehypothecated and self.sort().startswith("id_")

    def is_part(self) -> bool:
        """Whether they select some pages of the ranking."""
        return bool(self.pages or self.first_page)

    def filters(self) -> dict[str, str]:
        """The parameters that select coins by what they are."""
        chosen = {
            "ids": self.ids,
            "names": self.names,
            "symbols": self.symbols,
            "category": self.category,
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def url(self, base_url: str, **other: str | int) -> str:
        """Of the list, with ``other`` parameters in place of these."""
        return f"{base_url}/coins/markets?{urlencode(self.query() | other, safe=',')}"

    def urls(self, base_url: str) -> list[str]:
        """One for each call that the ids take; one if there are none."""
        if not self.ids:
            return [self.url(base_url)]
        ids = list(dict.fromkeys(self.ids.split(",")))
        return [self.url(base_url, ids=",".join(group)) for group in in_calls(ids, self.per_page)]

    def are_largest(self, count: int) -> bool:
        """Whether they select some of the ``count`` largest coins, from the first on."""
        is_by_cap = self.is_part() and self.sort() == "market_cap_desc" and not self.filters()
        return is_by_cap and (self.first_page or 1) * self.per_page <= count

    def sort(self) -> str:
        """The order of the list.

        A whole crawl goes by id: the ranking changes during it, and a coin that moves up a page
        between two requests would never be seen. The first pages alone go by rank, to get the top
        coins.
        """
        return self.order or ("market_cap_desc" if self.is_part() else "id_asc")

    def query(self) -> dict[str, str | int]:
        """The parameters of ``/coins/markets`` except ``page``."""
        query = {
            "vs_currency": self.vs_currency,
            "order": self.sort(),
            "per_page": self.per_page,
            **self.filters(),
            "include_tokens": self.include_tokens,
            "include_rehypothecated": str(self.include_rehypothecated).lower(),
            "price_change_percentage": self.price_change_percentage or None,
            "sparkline": "true" if self.sparkline else None,
            "precision": self.precision,
            "locale": self.locale,
        }
        return {name: value for name, value in query.items() if value is not None}


class CoinGeckoSpider(PaginatedSpider):
    """A list of CoinGecko's: a source names its ``path``, its ``item_class``, its ``pagination``.

    Host, key, limit and credits are those of the plan.
    """

    path: str
    base_url: str
    whole = True
    key_setting, limit_setting = "COINGECKO_API_KEY", "COINGECKO_RATE_LIMIT"
    custom_settings = {  # noqa: RUF012 (Scrapy declares it)
        "RATELIMIT_REFUSAL": "coinspider.sources.coingecko.is_refusal",
        "RATELIMIT_EXHAUSTED": "coinspider.sources.coingecko.is_exhausted",
    }

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: object, **kwargs: object) -> Self:
        api = api_from_settings(crawler.settings)
        limit = rate_limit_from_settings(crawler.settings)
        crawler.settings.set("RATELIMIT_CALLS", limit.calls, priority="spider")
        crawler.settings.set("RATELIMIT_FIRM", limit.firm, priority="spider")
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.headers, spider.base_url = api.headers, api.base_url
        spider.url = f"{api.base_url}/{cls.path}"
        is_other = crawler.settings.get("COINGECKO_BASE_URL")
        spider.url_setting = "COINGECKO_BASE_URL" if is_other else ""
        spider.api_key = crawler.settings.get("COINGECKO_API_KEY")
        spider.monthly_credits = monthly_credits(crawler.settings)
        is_limited = spider.monthly_credits != MonthlyCredits()
        if is_limited and plan_from_settings(crawler.settings).tells_credits:
            spider.credits_request = Request(
                f"{api.base_url}/key", headers=api.headers, meta=_ASKED_ONCE
            )
        return spider

    def explain(self, response: Response) -> str:
        return ERRORS.explain(response) or super().explain(response)

    def credits_told(self, response: Response) -> tuple[int | None, int] | None:
        facts = key_facts(response.body) if response.status == 200 else None
        return (facts.credits, facts.left) if facts else None


class CoinsSpider(CoinGeckoSpider):
    """Reads ``/coins/markets`` up to the empty page.

    https://docs.coingecko.com/reference/coins-markets
    """

    name = "coins"
    path = "coins/markets"
    item_class = FullCoin
    lookup_size = 250
    asked: CoinsArguments
    first_coins: int
    largest: set[Key | None]
    """The keys of those that came before the list."""
    largest_left = 0
    """How many of their pages are still to come."""
    constants: Mapping[str, str]
    arguments_class = CoinsArguments

    async def start(self) -> AsyncIterator[Request]:
        if self.asked.vs_currency not in CURRENCIES:
            url = f"{self.base_url}/simple/supported_vs_currencies"
            yield Request(
                url,
                self.currencies_came,
                headers=dict(self.headers),
                meta=_ASKED_ONCE,
                errback=self.currencies_missing,
            )
            return
        async for request in self.start_list():
            yield request

    async def currencies_came(self, response: Response) -> AsyncIterator[Request]:
        """Refuse a currency that the API does not have, as it would itself."""
        wanted, known = self.asked.vs_currency, currencies_told(response.body)
        if known and wanted not in known:
            near = difflib.get_close_matches(wanted, known, n=1)
            there = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(known))}"
            assert response.request
            reason = f"the API has no vs_currency={wanted}: {there}"
            raise self.failed_pages.failure(response.request, reason, code="page_unknown")
        async for request in self.start_list():
            yield request

    async def currencies_missing(self, failure: object) -> AsyncIterator[Request]:
        """An API without this list says by itself what it does not have."""
        async for request in self.start_list():
            yield request

    async def start_list(self) -> AsyncIterator[Request]:
        """The list; in a first crawl the largest coins before it, with the prices of seven days."""
        is_first = self.outcome.place and not self.earlier.known_pages
        first = self.first_coins if is_first else 0
        if self.asked.are_largest(first):
            self.asked.sparkline = True
            self.url = self.asked.url(self.base_url)
        elif self.whole and first and not self.settings.getdict("FEEDS"):
            size = min(first, 250)
            self.largest_left = -(-first // size)
            for page in range(1, self.largest_left + 1):
                yield self.largest_request(page, size)
            return
        async for request in super().start():
            yield request

    def largest_request(self, page: int, size: int) -> Request:
        largest: dict[str, str | int]
        largest = {"order": "market_cap_desc", "per_page": size, "page": page, "sparkline": "true"}
        request = self.page_request(PageRequest(self.asked.url(self.base_url, **largest)))
        return request.replace(
            callback=self.largest_came, errback=self.largest_missing, cb_kwargs={}, priority=1
        )

    async def largest_came(self, response: Response) -> AsyncIterator[Request | Page]:
        """They come again with the list, which alone says what there is."""
        try:
            answered = read_page(response, PageRequest(response.url, cut=self.first_cut()))
        except PageError as error:
            self.logger.warning("The largest coins come with the others: %s", error)
        else:
            first_time = [False] * len(answered.records)
            for page in super().pages_of(answered, answered.records, first_time):
                yield self.with_past(page)
            self.largest |= set(self.keys(answered))
        async for request in self._after_largest():
            yield request

    async def largest_missing(self, failure: Failure) -> AsyncIterator[Request]:
        self.request_ended(failure.request)  # type: ignore[attr-defined]
        self.logger.warning("The largest coins come with the others: %s", failure.value)
        async for request in self._after_largest():
            yield request

    async def _after_largest(self) -> AsyncIterator[Request]:
        """The list, once all of them are there."""
        self.largest_left -= 1
        if not self.largest_left:
            async for request in super().start():
                yield request

    def pages_of(
        self, page: AnsweredPage, texts: Sequence[Raw], repeated: list[bool] | None = None
    ) -> Iterator[Page]:
        if self.largest and texts:
            texts, repeated = self._without_largest(texts, repeated)
        for found in super().pages_of(page, texts, repeated):
            yield self.with_past(found) if self.asked.sparkline else found

    def _without_largest(
        self, texts: Sequence[Raw], repeated: list[bool] | None
    ) -> tuple[Sequence[Raw], list[bool] | None]:
        """The records that did not come, and were counted, a moment ago."""
        keys = record_keys(texts, FullCoin, self.constants)
        new = [key is None or key not in self.largest for key in keys]
        return list(compress(texts, new)), repeated and list(compress(repeated, new))

    def with_past(self, page: Page) -> Page:
        """The page's records without their sparklines, which become prices of the past."""
        points = []
        for coin_id, prices in map(sparkline_prices, page.texts):
            key = {"coin_id": coin_id, **self.constants}
            points += [PastPrice(key, at, {"current_price": price}) for at, price in prices]
        page.texts = list(map(without_sparkline, page.texts))
        page.past = PastPrices(FullCoin, "sparkline", points)
        return page

    @property
    def must_find(self) -> bool:
        return self.whole or bool(self.asked.filters())

    @property
    def lock_name(self) -> str:
        """The API and the currency: whatever else is requested, the rows are the same.

        But parts that begin at a ``first_page`` may run beside each other and beside a crawl of all
        pages, because a row is only ever replaced by a newer one.
        """
        name = f"{self.name} {self.url.partition('?')[0]} {self.constants['vs_currency']}"
        if not self.asked.first_page:
            return name
        return f"{name} from page {self.asked.first_page}, {self.asked.pages or 'all'} pages"

    def page_chain(self) -> PageChain | None:
        """Of all coins, or those of a category, by id."""
        order = self.asked.sort()
        filters = self.asked.filters().keys() - {"category"}
        if not order.startswith("id_") or filters or self.asked.is_part():
            return None
        return PageChain(self.asked.per_page, descending=order == "id_desc")

    def came_all(self) -> str | None:
        """The same, or that every coin requested by its id came."""
        if self.asked.ids and not self._ids_missing():
            return "all of the ids came"
        return super().came_all()

    def lookup_url(self, keys: Sequence[Key]) -> str:
        home, _, query = self.url.partition("?")
        # https://docs.coingecko.com/reference/coins-markets: at most 250 ids a call
        named = {**dict(parse_qsl(query)), "ids": ",".join(map(str, keys)), "per_page": 250}
        named["page"] = 1
        return f"{home}?{urlencode(named, safe=',')}"

    def can_look_up(self, key: Key) -> bool:
        return "," not in str(key)

    def closed(self, reason: str) -> None:
        """Remark on what was requested and did not come."""
        stats = self.crawler.stats
        came = self.outcome.end_reached or stats.get_value(EMPTY_STAT)
        if self.asked.ids and came and (missing := self._ids_missing()):
            self._remark(f"the API has no coin {', '.join(missing)}")
        pages, count = self.asked.pages, stats.get_value(RECORD_STAT, 0)
        full = (pages or 0) * self.asked.per_page
        if count < full and stats.get_value(PAGE_STAT, 0) == pages:
            self._remark(
                f"the {pages} pages held {count} coins, not {full}: the API's pages are smaller"
            )

    def _ids_missing(self) -> list[str]:
        """Those of ``ids`` that have not come yet."""
        ids = list(dict.fromkeys((self.asked.ids or "").split(",")))
        came = self.seen.repeated(ids)
        return [id_ for id_, is_there in zip(ids, came, strict=True) if not is_there]

    def _remark(self, text: str) -> None:
        self.logger.warning(text)
        self.outcome.remark(text)

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: object, **kwargs: object) -> Self:
        arguments = parse_arguments(CoinsArguments, kwargs)
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.largest = set()
        spider.first_coins = whole_number(crawler.settings, "COINGECKO_FIRST_COINS")
        spider.url, *others = urls = arguments.urls(spider.base_url)
        spider.pagination = PageNumber(last=arguments.pages, first_page=arguments.first_page or 1)
        if others:
            spider.pagination = KnownPages(tuple(urls))
        spider.whole = arguments.are_whole()
        spider.asked = arguments
        spider.constants = {"vs_currency": arguments.vs_currency}
        return spider
