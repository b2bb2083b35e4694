"""Any paginated API, without code."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from msgspec import Meta, Struct
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response

from coinspider.crawl.arguments import parse_arguments
from coinspider.crawl.failure import note_failure
from coinspider.crawl.spider_base import PaginatedSpider
from coinspider.errors import ConfigurationError, PageError
from coinspider.http.pagination import (
    IN_SEQUENCE,
    Cursor,
    LinkHeader,
    LookAhead,
    NextLink,
    Offset,
    PageNumber,
    Pagination,
)
from coinspider.items import Asset, FullCoin
from coinspider.records.inferred_item import infer_item_class
from coinspider.records.json_path import parse_path, split_records
from coinspider.records.record import Page

PAGINATIONS: dict[str, Pagination] = {
    "next": NextLink(),
    "link": LinkHeader(),
    "cursor": Cursor(),
    "page": PageNumber(),
    "offset": Offset(),
}
ITEM_CLASSES = {item_class.table: item_class for item_class in (FullCoin, Asset)}
Url = Annotated[str, Meta(pattern=r"^https?://[^/]+", description="http://... or https://...")]
Name = Annotated[
    str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,62}\Z", description="a name of a-z, 0-9 and _")
]
Strategy = Annotated[
    Literal["next", "link", "cursor", "page", "offset"],
    Meta(description=f"one of {', '.join(PAGINATIONS)}"),
]


class NextArguments(Struct, kw_only=True):
    """What ``-a NAME=VALUE`` may say."""

    url: Url = ""
    records: str = "results"
    pagination: Strategy = "next"
    table: Name = FullCoin.table
    key: Annotated[str, Meta(min_length=1, description="the name of a field")] = "id"
    vs_currency: str = "usd"


class NextSpider(PaginatedSpider):
    """Follows the pages of the API at ``url``, into ``full_coin`` or a table of its own.

    Where no item class of the project stands for the table, its columns are those of the table
    in the database, or are inferred from the first page.
    """

    name = "next"
    arguments_class = NextArguments
    table: str
    key: str

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        given = {name: value for name, value in kwargs.items() if name != "_job"}
        arguments = parse_arguments(NextArguments, given)
        if not arguments.url:
            raise ConfigurationError("name the API: scrapy crawl next -a url=https://...")
        parse_path(arguments.records)
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.url, spider.records = arguments.url, arguments.records
        spider.pagination = PAGINATIONS[arguments.pagination]
        spider.table, spider.key = arguments.table, arguments.key
        spider.item_class = ITEM_CLASSES.get(arguments.table)
        if spider.item_class is FullCoin:
            spider.constants = {"vs_currency": arguments.vs_currency}
        return spider

    def parse(
        self, response: Response, look_ahead: LookAhead = IN_SEQUENCE
    ) -> Iterator[Request | Page]:
        if self.item_class is None:
            self._infer(response)
        yield from super().parse(response, look_ahead)

    def _infer(self, response: Response) -> None:
        try:
            texts = split_records(response.body, parse_path(self.records))
            if texts:
                self.item_class = infer_item_class(self.table, self.key, texts)
        except PageError:
            return  # parse asks for the page again
        except ConfigurationError as error:
            raise note_failure(self.crawler, "no_key", str(error)) from None
