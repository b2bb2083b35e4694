"""The spider that walks a paginated API; a source adds its URL, its item and its pagination."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure

from coinspider.failure import failure
from coinspider.pagination import PageNumber
from coinspider.record import PageError, Record, Source, split_page
from coinspider.table_item import TableItem

PAGE_STAT = "pagination/page_count"
RECORD_STAT = "pagination/record_count"
END_STAT = "pagination/end_reached"


class PaginatedSpider(Spider):
    """Asks for one page after the other and yields a :class:`Record` for each element."""

    item_class: type[TableItem]
    pagination: PageNumber
    url: str
    headers: dict[str, str]
    constants: dict[str, Any]

    async def start(self) -> AsyncIterator[Request]:
        yield self.page_request(self.pagination.first(self.url))

    def page_request(self, url: str) -> Request:
        return Request(url, headers=self.headers, errback=self.page_failed)

    def parse(self, response: Response) -> Iterator[Request | Record]:
        try:
            texts = split_page(response.body)
        except PageError as error:
            raise self.page_failure(response.url, str(error)) from None
        self.crawler.stats.inc_value(PAGE_STAT)
        self.crawler.stats.inc_value(RECORD_STAT, len(texts))
        # Before the records, so that the next page travels while these are processed.
        following = self.pagination.following(response.url, texts)
        if following:
            yield self.page_request(following)
        else:
            self.crawler.stats.set_value(END_STAT, True)
        source = Source(response.url, self.item_class, self.constants)
        for text in texts:
            yield Record(text, source)

    def page_failed(self, download_failure: Failure) -> None:
        request: Request = download_failure.request  # type: ignore[attr-defined]
        error = download_failure.value
        if isinstance(error, HttpError):
            reason = f"HTTP status {error.response.status}{_said(error.response)}"
        else:
            reason = f"{type(error).__name__}: {error}"
        raise self.page_failure(request.url, reason)

    def page_failure(self, url: str, reason: str) -> Exception:
        return failure(self.crawler, "page_failed", f"page {url} could not be had: {reason}")


def _said(response: Response) -> str:
    text = " ".join(response.text[:200].split()) if hasattr(response, "text") else ""
    return f", {text}" if text else ""
