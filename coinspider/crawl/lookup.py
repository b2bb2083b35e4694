"""Asking an API for records by their keys, to know whether it has them at all."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scrapy import Request
from scrapy.http import Response

from coinspider.crawl.page_reading import read_page
from coinspider.crawl.page_walk import PageWalk
from coinspider.crawl.state import crawl_state
from coinspider.errors import PageError
from coinspider.http.pagination import PageRequest
from coinspider.records.cutting import parse_cut
from coinspider.records.keys import Key, record_keys
from coinspider.records.record import Page, Source
from coinspider.records.table_item import TableItem
from coinspider.stats import FOUND_STAT, LOOKUP_STAT, RECORD_STAT

# Records that are there for certain are asked for with each call: an answer without them is none.
WITNESSES = 3


class LookupSpider(PageWalk):
    """A spider whose API may be asked for a list of keys.

    Where it may, the spider sets :attr:`lookup_size` and has :meth:`lookup_url`.
    """

    lookup_size = 0
    """How many keys one call may name; 0 where the API can't be asked so."""
    records: str
    item_class: type[TableItem] | None
    constants: Mapping[str, Any]

    def lookup_url(self, keys: Sequence[Key]) -> str:
        """The URL that answers those of these records that there are, all on one page."""
        raise NotImplementedError

    def can_look_up(self, key: Key) -> bool:
        """Whether the URL can name this key."""
        return True

    def lookup_request(self, keys: Sequence[Key]) -> Request:
        witnesses = crawl_state(self.crawler).seen.sample(WITNESSES)
        request = self.page_request(PageRequest(self.lookup_url([*witnesses, *keys])))
        named = {"keys": keys, "witnesses": witnesses}
        return request.replace(callback=self.looked_up, cb_kwargs=named)

    def looked_up(
        self, response: Response, keys: Sequence[Key], witnesses: Sequence[Key]
    ) -> Iterator[Request | Page]:
        """Store what came; what did not come is not there, where the answer is to be believed."""
        assert self.item_class
        try:
            page = read_page(response, PageRequest(response.url, cut=parse_cut(self.records)))
        except PageError as error:
            yield self.retry_or_fail(response.request, str(error), error.retry_times)
            return
        found = record_keys(page.records, self.item_class, self.constants)
        is_ignored = not set(found).issubset([*keys, *witnesses])
        if set(found).isdisjoint(witnesses) and not is_ignored:
            reason = "it has none of the records that were on the pages a moment ago"
            yield self.retry_or_fail(response.request, reason)
            return
        self.crawler.stats.inc_value(LOOKUP_STAT)
        if is_ignored:
            crawl_state(self.crawler).lookup_ignored = True
        wanted = set(keys)
        texts = [text for text, key in zip(page.records, found, strict=True) if key in wanted]
        self.crawler.stats.inc_value(RECORD_STAT, len(texts))
        self.crawler.stats.inc_value(FOUND_STAT, len(texts))
        yield Page(texts, Source(response.url, self.item_class, self.constants))
