"""The spider that reads a paginated API; a source adds its URL, its item and its pagination."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Self

from msgspec import Struct
from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.http import Response
from w3lib.url import add_or_replace_parameter

from coinspider.crawl.failure import note_failure
from coinspider.crawl.key_lookup import KeyLookup
from coinspider.crawl.key_order import PageChain
from coinspider.crawl.page_reading import read_page
from coinspider.crawl.reasons import Reason
from coinspider.crawl.state import crawl_state
from coinspider.crawl.target import CrawlStart, CrawlTarget, with_margin
from coinspider.errors import ForbiddenLinkError, PageError
from coinspider.http.api_key import TOKEN_META, account_name, credential_headers
from coinspider.http.handler import check_ca_file
from coinspider.http.limit.credits import MonthlyCredits, credits_from_settings
from coinspider.http.limit.state import ToldLimit
from coinspider.http.limit.turns import told_from_settings
from coinspider.http.links import HOME_META, origin
from coinspider.http.pagination import (
    AnsweredPage,
    LookAhead,
    PageRequest,
    Pagination,
    SignNames,
    Step,
)
from coinspider.http.pagination.look_ahead import choose_look_ahead
from coinspider.records.cutting import Cut, parse_cut
from coinspider.records.record import Page, Source
from coinspider.records.table_item import TableItem
from coinspider.stats import EMPTY_STAT, PAGE_STAT, RECORD_STAT


class PaginatedSpider(KeyLookup):
    """Requests one page after the other, and yields each as a :class:`Page` of records.

    A source names its ``url``, its ``item_class``, its ``pagination`` and where on a page its
    ``records`` are (``data.items``; the bare list by default). The setting ``NAME_URL`` gives
    another address for its API. If pages have numbers, and latency rather than the limit slows the
    crawl down, it requests up to ``LOOKAHEAD_PAGES`` at once; under a limit, no more than the last
    complete crawl had.

    For an API that takes ``POST`` requests, ``body`` is the JSON text; the pagination may put
    cursors there (``Cursor("next_cursor", "start_cursor", parameter_in="body")``).
    """

    item_class: type[TableItem] | None
    pagination: Pagination
    records = ""
    body = ""
    sign_names = SignNames()
    """Where a page has its total or its flag, if that has no usual name."""
    constants: Mapping[str, Any] = MappingProxyType({})
    whole = False
    """Whether a crawl reads the whole list, so that what it does not see is gone."""
    headers: Mapping[str, str]
    told_limit: ToldLimit
    monthly_credits = MonthlyCredits()
    """The calls per month, as far as the settings say."""
    credits_request: Request | None = None
    """A request to the API itself for that, if it can say."""
    # The arguments ``-a NAME=VALUE``, if the spider checks them.
    arguments_class: type[Struct] | None = None
    arguments: Mapping[str, Any]
    job: str | None
    # The setting that holds the API's token.
    credential_setting = "API_TOKEN"
    # An incremental source: the parameter that asks for newer records, and the column with its
    # value. The database keeps it, and only a complete crawl advances it.
    since_parameter: str | None = None
    since_column: str | None = None
    # For a spider that has no item class until it knows the table's columns.
    table: str | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        told = told_from_settings(crawler.settings)
        check_ca_file(crawler.settings)
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.told_limit = told
        spider.monthly_credits = credits_from_settings(crawler.settings) or MonthlyCredits()
        # scrapyd gives each spider its job's id.
        spider.job = kwargs.pop("_job", None)
        spider.arguments = kwargs
        spider.url = crawler.settings.get(f"{cls.name.upper()}_URL") or getattr(cls, "url", "")
        spider.headers = credential_headers(crawler.settings, cls.credential_setting)
        names = (cls.credential_setting, "API_USERNAME")
        spider.api_key = next(filter(None, map(crawler.settings.get, names)), None)
        spider.hosts_allowed = crawler.settings.getlist("PAGINATION_HOSTS_ALLOWED")
        spider.rewrites_links = crawler.settings.getbool("PAGINATION_REWRITE_ENABLED")
        spider.pages_max = crawler.settings.getint("PAGINATION_PAGES_MAX")
        crawler.signals.connect(spider.request_dropped, signals.request_dropped)
        crawler.signals.connect(spider.requests_done, signals.spider_idle)
        return spider

    @property
    def account(self) -> str:
        """The name of the API and key, whose calls are counted together."""
        return account_name(self.url, self.api_key)

    @property
    def must_find(self) -> bool:
        """Whether a crawl that finds no record has failed."""
        return self.whole

    @property
    def lock_name(self) -> str:
        """The name of what only one crawl at a time may read."""
        return f"{self.name} {self.url}"

    def target(self) -> CrawlTarget:
        """What this spider crawls, for the store."""
        return CrawlTarget(
            source=self.name,
            url=self.url,
            lock_name=self.lock_name,
            item_class=self.item_class,
            table=self.table,
            constants=self.constants,
            whole=self.whole,
            incremental=bool(self.since_parameter),
            job=self.job,
            arguments=self.arguments,
            node=self.settings.get("SCHEDULE_NODE"),
            period=self.settings.getfloat("SCHEDULE_PERIOD"),
        )

    def calls_needed(self) -> int:
        """How many calls the crawl takes, judging by earlier ones, and some for retries."""
        known = crawl_state(self.crawler).known_calls
        return with_margin(known or getattr(self.pagination, "last", None) or 1)

    def credits_told(self, response: Response) -> tuple[int | None, int] | None:
        """The month's credits and how many are left, from the response to ``credits_request``.

        ``None`` if it does not have them.
        """
        raise NotImplementedError

    def start_from(self, start: CrawlStart) -> None:
        """Adopt what the store knows about earlier crawls."""
        self.item_class = start.item_class
        state = crawl_state(self.crawler)
        state.since, state.known_pages, state.place = start.since, start.known_pages, start.place
        state.known_calls = start.known_calls

    async def start(self) -> AsyncIterator[Request]:
        since = crawl_state(self.crawler).since
        self.page_log.contents = {} if self.checks_keys else None
        self.page_log.chain = self.page_chain()
        url = self.url
        if self.since_parameter and since:
            url = add_or_replace_parameter(url, self.since_parameter, since)
        method = "POST" if self.body else "GET"
        listed = PageRequest(
            url, method, body=self.body.encode(), cut=self.first_cut(), names=self.sign_names
        )
        yield self.page_request(self.pagination.first(listed))

    def page_chain(self) -> PageChain | None:
        """What checks that the pages fit together, if the list is in the order of its keys."""
        return None

    def first_cut(self) -> Cut | None:
        """Where the records of the first page are; ``None`` if the crawl has to find out."""
        return parse_cut(self.records)

    def page_request(self, page: PageRequest, **options: Any) -> Request:
        """A request for a page, with credentials only for the API's own origin."""
        at_home = origin(page.url) == origin(self.url)
        json = {"Content-Type": "application/json"} if page.body else {}
        # To Scrapy, pages that differ only in a header are the same.
        options.setdefault("dont_filter", bool(page.headers))
        return Request(
            page.url,
            method=page.method,
            headers={**json, **(self.headers if at_home else {}), **dict(page.headers)},
            body=page.body,
            errback=self.page_failed,
            cb_kwargs={"page": page},
            # Keeps the pages of a look-ahead in order, which Scrapy's memory queue would reverse.
            priority=-page.number,
            meta={HOME_META: self.url, TOKEN_META: at_home},
            **options,
        )

    def parse(
        self, response: Response, page: PageRequest | None = None
    ) -> Iterator[Request | Page]:
        # The command scrapy parse makes the request itself, without a page.
        page = page or PageRequest(response.url, cut=self.first_cut())
        try:
            answered = read_page(response, page, self.find_cut)
        except PageError as error:
            yield self.retry_or_fail(response.request, str(error), error.retry_times)
            return
        assert response.request
        self.page_log.is_cached |= "cached" in response.flags
        yield from self.walk_on(self.with_look_ahead(answered, response), response.request)

    def find_cut(self, body: bytes) -> Cut:
        """Where the records of a body are, if :meth:`first_cut` doesn't say."""
        raise NotImplementedError

    def with_look_ahead(self, page: AnsweredPage, response: Response) -> AnsweredPage:
        """The page with its request's look-ahead, which the first page's latency decides."""
        chosen = page.request.look_ahead
        if chosen is None:
            latency = response.meta.get("download_latency", 0.0)
            ways = choose_look_ahead(
                self.settings.getint("LOOKAHEAD_PAGES", 1),
                latency,
                self.settings.getfloat("LOOKAHEAD_LATENCY"),
                self.told_limit,
                crawl_state(self.crawler).known_pages,
            )
            chosen = LookAhead(ways.ways, ways.known, start=page.request.number)
        return replace(page, look_ahead=chosen)

    def page_of_records(self, page: AnsweredPage) -> Page | None:
        """The records of a page on their way to the table."""
        stats = self.crawler.stats
        stats.inc_value(PAGE_STAT if page.records else EMPTY_STAT)
        stats.inc_value(RECORD_STAT, len(page.records))
        if not self.item_class or not page.records:
            return None
        return Page(list(page.records), Source(page.url, self.item_class, self.constants))

    def requests_after(self, step: Step) -> Iterator[Request]:
        for following in step.requests:
            try:
                url = self.checked(following.url)
                yield self.page_request(replace(following, url=url))
            except ForbiddenLinkError as error:
                reason = Reason("forbidden_link", {"why": str(error)})
                raise note_failure(self.crawler, reason) from None
