"""The spider that walks a paginated API; a source adds its URL, its item and its pagination."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

from scrapy import Request, Spider
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure

from coinspider.failure import failure
from coinspider.pagination import IN_SEQUENCE, LookAhead, PageNumber
from coinspider.ratelimit import CrawlEndingError
from coinspider.record import Page, PageError, Source, split_page
from coinspider.table_item import TableItem

PAGE_STAT = "pagination/page_count"
EMPTY_STAT = "pagination/empty_page_count"
RECORD_STAT = "pagination/record_count"
END_STAT = "pagination/end_reached"
KNOWN_STAT = "pagination/known_page_count"


class PaginatedSpider(Spider):
    """Asks for one page after the other and yields each as a :class:`Page` of records.

    Where the latency, and not the limit, is what a crawl waits for, it asks for up to
    ``LOOKAHEAD_PAGES`` at once; under a limit never for more than the last complete crawl had.
    """

    item_class: type[TableItem]
    pagination: PageNumber
    url: str
    headers: dict[str, str]
    constants: dict[str, Any]
    whole = False
    """Whether a crawl reads all there is: then what it does not see is gone."""
    arguments: dict[str, Any]
    job: str | None

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        # scrapyd gives each spider its job's id.
        spider.job = kwargs.pop("_job", None)
        spider.arguments = kwargs
        return spider

    @property
    def lock_name(self) -> str:
        """What only one crawl at a time may read."""
        return f"{self.name} {self.url}"

    async def start(self) -> AsyncIterator[Request]:
        yield self.page_request(1, IN_SEQUENCE)

    def page_request(self, page: int, look_ahead: LookAhead) -> Request:
        return Request(
            self.pagination.url(self.url, page),
            headers=self.headers,
            errback=self.page_failed,
            # The pages of a look-ahead go in their order: Scrapy's memory queue would turn it.
            priority=-page,
            cb_kwargs={"look_ahead": look_ahead},
        )

    def parse(self, response: Response, look_ahead: LookAhead) -> Iterator[Request | Page]:
        try:
            texts = split_page(response.body)
        except PageError as error:
            yield self.retry_or_fail(response.request, str(error))
            return
        stats = self.crawler.stats
        stats.inc_value(PAGE_STAT if texts else EMPTY_STAT)
        stats.inc_value(RECORD_STAT, len(texts))
        # Before the records, so that the next page travels while these are processed.
        yield from self.following_pages(response, look_ahead, len(texts))
        yield Page(texts, Source(response.url, self.item_class, self.constants))

    def following_pages(
        self, response: Response, look_ahead: LookAhead, record_count: int
    ) -> Iterator[Request]:
        if self.pagination.is_end(response.url, record_count):
            self.crawler.stats.set_value(END_STAT, True)
            return
        page = self.pagination.page(response.url)
        if page == 1:
            look_ahead = self.look_ahead(response.meta["download_latency"])
        last = self.pagination.last
        for following in look_ahead.after(page):
            if last is None or following <= last:
                yield self.page_request(following, look_ahead)

    def look_ahead(self, latency: float) -> LookAhead:
        """How far to look ahead where a page takes ``latency`` seconds."""
        settings = self.crawler.settings
        ways = settings.getint("LOOKAHEAD_PAGES", 1)
        calls, period = settings.getint("RATELIMIT_CALLS"), settings.getfloat("RATELIMIT_PERIOD")
        known = self.crawler.stats.get_value(KNOWN_STAT) if calls else None
        limit_bound = calls and (not known or latency * calls < period)
        if ways <= 1 or latency < settings.getfloat("LOOKAHEAD_LATENCY") or limit_bound:
            return IN_SEQUENCE
        return LookAhead(ways, known)

    def page_failed(self, download_failure: Failure) -> Request | None:
        request: Request = download_failure.request  # type: ignore[attr-defined]
        error = download_failure.value
        if isinstance(error, CrawlEndingError):
            return None
        if isinstance(error, HttpError):
            status = f"HTTP status {error.response.status}"
            explanation = self.explain(error.response)
            raise self.failure(request, f"{status}, {explanation}" if explanation else status)
        return self.retry_or_fail(request, f"{type(error).__name__}: {error}")

    def explain(self, response: Response) -> str:
        """What an error page says, in a few words."""
        return " ".join(response.body[:200].decode("utf-8", "replace").split())

    def retry_or_fail(self, request: Request | None, reason: str) -> Request:
        """A retry, as long as the request has one left; no page is skipped silently."""
        assert request
        retry = get_retry_request(request, spider=self, reason=reason)
        if retry is None:
            raise self.failure(request, reason)
        return retry

    def failure(self, request: Request, reason: str) -> Exception:
        message = f"page {request.url} could not be had: {reason}"
        return failure(self.crawler, "page_failed", message)
