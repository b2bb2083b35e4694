"""Any paginated API, without code."""

import logging
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from msgspec import Meta, Struct
from msgspec.structs import replace
from scrapy.crawler import Crawler
from w3lib.url import add_or_replace_parameter

from coinspider.crawl.outcome import note_failure
from coinspider.crawl.reasons import Reason
from coinspider.crawl.spider import PaginatedSpider
from coinspider.errors import ConfigurationError
from coinspider.http.api_key import key_in_headers
from coinspider.http.links import check_url
from coinspider.http.pagination import AnsweredPage, SignNames
from coinspider.items import Asset, FullCoin
from coinspider.records.cutting import Cut, parse_columns, parse_cut
from coinspider.records.table_item import columns
from coinspider.secrets import hide
from coinspider.setting_kinds import parse_arguments, parse_pairs

logger = logging.getLogger(__name__)
ITEM_CLASSES = {item_class.table: item_class for item_class in (FullCoin, Asset)}
Url = Annotated[str, Meta(pattern=r"^https?://[^/]+", description="http://... or https://...")]
Name = Annotated[
    str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,62}\Z", description="a name of a-z, 0-9 and _")
]
# Scrapy imports every spider, whichever is to run: what only this one needs is imported in it.
Strategy = Annotated[
    Literal["auto", "next", "link", "cursor", "page", "offset", "none"],
    Meta(description="one of auto, next, link, cursor, page, offset, none"),
]
Text = Annotated[str, Meta(min_length=1)]


class NextArguments(Struct, kw_only=True):
    """The arguments ``-a NAME=VALUE``, except those of the strategy."""

    url: Url = ""
    pagination: Strategy = "auto"
    records: Annotated[Text, Meta(description="a path: data.items, data[].node, result.*")] = ""
    table: Name = FullCoin.table
    key: Annotated[Text, Meta(description="the names of fields, with commas")] = ""
    columns: Annotated[Text, Meta(description="NAME=PATH,NAME=PATH")] = ""
    names: Annotated[Text, Meta(description="the names of an array's values, with commas")] = ""
    body: Annotated[Text, Meta(description="the JSON text that is sent by POST")] = ""
    headers: Annotated[Text, Meta(description="NAME=VALUE,NAME=VALUE, or a JSON object")] = ""
    parameters: Annotated[Text, Meta(description="NAME=VALUE,NAME=VALUE, or a JSON object")] = ""
    total: Annotated[Text, Meta(description="a path, the name of a header, or none")] = ""
    more: Annotated[Text, Meta(description="a path, or the name of a header")] = ""
    last_flag: Annotated[Text, Meta(description="a path, or the name of a header")] = ""
    vs_currency: str = "usd"


class NextSpider(PaginatedSpider):
    """Follows the pages of the API at ``url``, into ``full_coin`` or a table of its own.

    What no argument says is found out from the first page: where the records are, what identifies
    one, how the list is paged. If the project has no item class for the table, its columns are
    those of the table in the database, or are inferred from the first page.
    """

    name = "next"
    arguments_class = NextArguments
    names_pagination = True
    table: str
    chosen: NextArguments

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: object, **kwargs: object) -> Self:
        from coinspider.http.pagination.auto import make_strategy

        given = {name: value for name, value in kwargs.items() if name != "_job"}
        arguments, strategy = _parted(given)
        if not arguments.url:
            raise ConfigurationError("name the API: -a url=https://...")
        check_url("url", arguments.url)
        parse_cut(arguments.records)
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.chosen, spider.table = arguments, arguments.table
        spider.url, spider.body = arguments.url, arguments.body
        for name, value in parse_pairs("parameters", arguments.parameters).items():
            spider.url = add_or_replace_parameter(spider.url, name, value)
        headers = parse_pairs("headers", arguments.headers)
        spider.headers = {**spider.headers, **headers}
        spider.api_key = spider.api_key or key_in_headers(headers)
        hide(spider.secrets())
        spider.pagination = make_strategy(arguments.pagination, strategy)
        spider.sign_names = SignNames(arguments.total, arguments.more, arguments.last_flag)
        spider.item_class = ITEM_CLASSES.get(arguments.table)
        if spider.item_class is FullCoin:
            spider.constants = {"vs_currency": arguments.vs_currency}
        spider.checks_keys = spider.item_class is None
        if not given.get("table"):
            spider.rejection_advice = "-a table=NAME takes them into a table of their own"
        return spider

    def first_cut(self) -> Cut | None:
        return None

    def advice(self, status: int) -> str:
        if status in (401, 403):
            names = "API_TOKEN_SCHEME, API_TOKEN_HEADER or API_TOKEN_PARAMETER"
            return f"; set the credentials with API_TOKEN, and how they are sent with {names}"
        if status in (400, 404, 405, 422) and not self.body:
            return "; -a parameters=NAME=VALUE adds to the URL, -a 'body={}' sends a POST request"
        return ""

    def find_cut(self, body: bytes) -> Cut:
        """Where the records are, from the arguments or from the first page itself."""
        from coinspider.records.discovery import find_cut, with_keys

        chosen = self.chosen
        cut = find_cut(body, chosen.records)
        names = tuple(name.strip() for name in chosen.names.split(",") if name.strip())
        cut = replace(cut, names=names or cut.names, columns=parse_columns(chosen.columns))
        return with_keys(cut, body, self.wanted_keys())

    def wanted_keys(self) -> list[str]:
        """The key in the arguments, or that of the table; none if it has to be found out."""
        if self.chosen.key:
            return [name.strip() for name in self.chosen.key.split(",")]
        if self.item_class is None:
            return []
        return [c.json_key for c in columns(self.item_class)
                if c.primary_key and c.name not in self.constants]  # fmt: skip

    def begin(self, page: AnsweredPage) -> None:
        """Infer the item class from the first page that has records."""
        from coinspider.records.inferred_item import infer_item_class

        assert page.request.cut
        try:
            keys = page.request.cut.keys
            self.item_class = infer_item_class(self.table, keys, page.records)
        except ConfigurationError as error:
            raise note_failure(self.crawler, Reason("no_key", {"why": str(error)})) from None

    def adapt(self, page: AnsweredPage) -> None:
        """Add a column for each field that is new, if the project has no class for the table."""
        from coinspider.records.inferred_item import grown_item_class

        known = self.item_class
        if known and known.table not in ITEM_CLASSES:
            self.item_class = grown_item_class(known, page.records)
        if known and self.item_class and self.item_class is not known:
            old = columns(known)
            new = [f"{c.name} {c.type.sql}" for c in columns(self.item_class) if c not in old]
            logger.info("New columns of %s: %s", self.table, ", ".join(new), extra={"spider": self})


def _parted(given: Mapping[str, object]) -> tuple[NextArguments, dict[str, object]]:
    """The spider's own arguments, and those of the strategy."""
    from coinspider.http.pagination.auto import STRATEGIES, strategy_arguments

    own = {name: value for name, value in given.items() if name in NextArguments.__struct_fields__}
    arguments = parse_arguments(NextArguments, own)
    rest = {name: value for name, value in given.items() if name not in own}
    known = {name for strategy in STRATEGIES for name in strategy_arguments(strategy)}
    if rest.keys() - known:
        parse_arguments(NextArguments, dict(given))  # says which are allowed
    return arguments, rest
