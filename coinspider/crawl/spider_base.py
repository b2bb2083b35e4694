"""The spider that walks a paginated API; a source adds its URL, its item and its pagination."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

from msgspec import Struct
from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider
from scrapy.http import Response
from w3lib.url import add_or_replace_parameter

from coinspider.crawl.failure import fail_crawl, note_failure
from coinspider.crawl.lookup import LookupSpider
from coinspider.crawl.state import crawl_state
from coinspider.crawl.target import CrawlStart, CrawlTarget
from coinspider.errors import LinkRefusedError, PageError
from coinspider.http.account import account_name
from coinspider.http.ca_file import check_ca_file
from coinspider.http.call_limit import credits_from_settings, told_from_settings
from coinspider.http.credentials import TOKEN_META, credential_headers
from coinspider.http.limit_state import ToldLimit
from coinspider.http.links import HOME_META, check_link, origin
from coinspider.http.pagination import IN_SEQUENCE, LookAhead, PageNumber, Pagination
from coinspider.records.json_path import parse_path, split_records
from coinspider.records.record import Page, Source
from coinspider.records.table_item import TableItem
from coinspider.stats import EMPTY_STAT, PAGE_STAT, RECORD_STAT

_COUNT = re.compile(rb"\d{1,12}")


class PaginatedSpider(LookupSpider):
    """Asks for one page after the other and yields each as a :class:`Page` of records.

    A source names its ``url``, its ``item_class``, its ``pagination`` and where on a page its
    ``records`` are (``data.items``; the bare list by default). The setting ``NAME_URL`` moves
    its API elsewhere. Where pages have numbers, and the latency, not the limit, is what a crawl
    waits for, it asks for up to ``LOOKAHEAD_PAGES`` at once; under a limit never for more than the
    last complete crawl had.
    """

    item_class: type[TableItem] | None
    pagination: Pagination
    records = ""
    constants: Mapping[str, Any] = MappingProxyType({})
    whole = False
    """Whether a crawl reads all there is: then what it does not see is gone."""
    headers: Mapping[str, str]
    pages_max: int
    told_limit: ToldLimit
    account: str
    """Names the API and the key, whose calls are counted together."""
    monthly_credits: int | None = None
    """How many calls a month has, as far as the settings know."""
    credits_request: Request | None = None
    """What asks the API itself for that, where it can tell."""
    # What ``-a NAME=VALUE`` may say, where the spider checks it.
    arguments_class: type[Struct] | None = None
    arguments: Mapping[str, Any]
    job: str | None
    # The setting that holds the API's token.
    credential_setting = "API_TOKEN"
    # An incremental source: the parameter that asks for what is newer, and the column to take its
    # value from. It is kept in the database, and moves on with a complete crawl only.
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
        spider.monthly_credits = credits_from_settings(crawler.settings)
        # scrapyd gives each spider its job's id.
        spider.job = kwargs.pop("_job", None)
        spider.arguments = kwargs
        spider.url = crawler.settings.get(f"{cls.name.upper()}_URL") or getattr(cls, "url", "")
        spider.headers = credential_headers(crawler.settings, cls.credential_setting)
        key = crawler.settings.get(cls.credential_setting) or crawler.settings.get("API_USERNAME")
        spider.account = account_name(spider.url, key)
        spider.hosts_allowed = crawler.settings.getlist("PAGINATION_HOSTS_ALLOWED")
        spider.pages_max = crawler.settings.getint("PAGINATION_PAGES_MAX")
        crawler.signals.connect(spider.request_dropped, signals.request_dropped)
        return spider

    @property
    def lock_name(self) -> str:
        """What only one crawl at a time may read."""
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
        """How many calls the crawl takes, as far as earlier ones tell."""
        known = crawl_state(self.crawler).known_pages
        return getattr(self.pagination, "last", None) or (known + 1 if known else 1)

    def credits_told(self, response: Response) -> tuple[int | None, int] | None:
        """The month's credits and how many are left, from the answer to ``credits_request``.

        ``None`` where it does not tell them.
        """
        raise NotImplementedError

    def start_from(self, start: CrawlStart) -> None:
        """Take over what the store knows of earlier crawls."""
        self.item_class = start.item_class
        state = crawl_state(self.crawler)
        state.since, state.known_pages, state.place = start.since, start.known_pages, start.place

    async def start(self) -> AsyncIterator[Request]:
        since = crawl_state(self.crawler).since
        if self.since_parameter and since:
            self.start_url = add_or_replace_parameter(self.url, self.since_parameter, since)
        else:
            self.start_url = self.url
        if isinstance(self.pagination, PageNumber):
            yield self.numbered_request(1, IN_SEQUENCE)
        else:
            yield self.page_request(self.start_url)

    def page_request(self, url: str, meta: dict[str, Any] | None = None, **options: Any) -> Request:
        """A request for a page; only at the API's own origin does it carry credentials."""
        at_home = origin(url) == origin(self.url)
        return Request(
            url,
            headers=self.headers if at_home else None,
            errback=self.page_failed,
            meta={HOME_META: self.url, TOKEN_META: at_home, **(meta or {})},
            **options,
        )

    def numbered_request(self, page: int, look_ahead: LookAhead) -> Request:
        assert isinstance(self.pagination, PageNumber)
        url = self.pagination.url(self.start_url, page)
        # The pages of a look-ahead go in their order: Scrapy's memory queue would turn it.
        return self.page_request(url, priority=-page, cb_kwargs={"look_ahead": look_ahead})

    def parse(
        self, response: Response, look_ahead: LookAhead = IN_SEQUENCE
    ) -> Iterator[Request | Page]:
        try:
            texts = split_records(response.body, parse_path(self.records))
        except PageError as error:
            yield self.retry_or_fail(response.request, str(error))
            return
        stats = self.crawler.stats
        stats.inc_value(PAGE_STAT if texts else EMPTY_STAT)
        stats.inc_value(RECORD_STAT, len(texts))
        self.expect_pages(response.headers.get("Total") or b"", len(texts))
        end: CloseSpider | None = None
        try:
            # Before the records, so that the next page travels while these are processed.
            yield from self.following_pages(response, look_ahead, len(texts))
        except CloseSpider as error:
            end = error
        if self.item_class and texts:
            yield Page(texts, Source(response.url, self.item_class, self.constants))
        if end:
            raise end

    def expect_pages(self, total: bytes, record_count: int) -> None:
        """Where the first page tells in the header ``total`` how many records there are in all."""
        state = crawl_state(self.crawler)
        if state.expected_pages or not (record_count and _COUNT.fullmatch(total)):
            return
        pages = -(-int(total) // record_count)
        last = getattr(self.pagination, "last", None)
        state.expected_pages = min(pages, last or pages)

    def following_pages(
        self, response: Response, look_ahead: LookAhead, record_count: int
    ) -> Iterator[Request]:
        if isinstance(self.pagination, PageNumber):
            requests = list(self.numbered_pages(response, look_ahead, record_count))
            end = self.pagination.is_end(response.url, record_count)
        else:
            requests = list(self.linked_page(response))
            end = not requests
        if end:
            crawl_state(self.crawler).end_reached = True
        elif self.pages_max and self.crawler.stats.get_value(PAGE_STAT, 0) >= self.pages_max:
            message = f"the list does not end within PAGINATION_PAGES_MAX={self.pages_max} pages"
            raise note_failure(self.crawler, "too_many_pages", message)
        yield from requests

    def numbered_pages(
        self, response: Response, look_ahead: LookAhead, record_count: int
    ) -> Iterator[Request]:
        assert isinstance(self.pagination, PageNumber)
        if self.pagination.is_end(response.url, record_count):
            return
        page = self.pagination.page(response.url)
        if page == 1:
            look_ahead = self.look_ahead(response.meta["download_latency"])
        last = self.pagination.last
        for following in look_ahead.after(page):
            if last is None or following <= last:
                yield self.numbered_request(following, look_ahead)

    def linked_page(self, response: Response) -> Iterator[Request]:
        assert not isinstance(self.pagination, PageNumber)
        if link := self.pagination.following(response):
            try:
                yield self.page_request(check_link(link, self.url, self.hosts_allowed))
            except LinkRefusedError as error:
                raise note_failure(self.crawler, "link_refused", str(error)) from None

    def request_dropped(self, request: Request) -> None:
        """Scrapy drops what it has asked for already: a link that leads in a circle."""
        message = f"the link to {request.url} leads back to a page that was read already"
        fail_crawl(self.crawler, "pagination_circle", message)

    def look_ahead(self, latency: float) -> LookAhead:
        """How far to look ahead where a page takes ``latency`` seconds."""
        settings = self.crawler.settings
        ways = settings.getint("LOOKAHEAD_PAGES", 1)
        calls, period = self.told_limit.calls, self.told_limit.period
        known = crawl_state(self.crawler).known_pages if calls else None
        limit_bound = calls and (not known or latency * calls < period)
        if ways <= 1 or latency < settings.getfloat("LOOKAHEAD_LATENCY") or limit_bound:
            return IN_SEQUENCE
        return LookAhead(ways, known)
