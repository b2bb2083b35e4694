"""Reads pages that don't fit together a second time, before the end of a list is believed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from scrapy import Request
from scrapy.http import Response

from coinspider.crawl.page_reading import read_page
from coinspider.crawl.page_walk import PageWalk
from coinspider.crawl.state import crawl_state
from coinspider.errors import PageError
from coinspider.http.pagination import IN_SEQUENCE, AnsweredPage, PageNumber, PageRequest
from coinspider.records.cutting import Cut
from coinspider.records.keys import Key
from coinspider.records.record import Page, Source
from coinspider.records.table_item import TableItem
from coinspider.stats import FOUND_STAT, RECORD_STAT, REREAD_STAT


class SecondReading(PageWalk):
    """A spider that reads doubtful pages again if its list is in key order and pages have numbers.

    In such a list a spoiled page can be recognised: it is short, or has records of the page next to
    it. The second reading's new records are stored.
    """

    url: str
    item_class: type[TableItem] | None
    constants: Mapping[str, Any]

    def first_cut(self) -> Cut | None:
        raise NotImplementedError

    def second_reading(self) -> Request | None:
        chain = self.page_log.chain
        if chain is None or not isinstance(self.pagination, PageNumber):
            return None
        if self.page_log.is_cached or self._all_are_different():
            return None
        number = chain.doubtful()
        return None if number is None else self.reading_of(number, self.read_again)

    def reading_of(self, number: int, callback: Any, size: int = 0, **named: Any) -> Request:
        """A request for one page of the list, by its number; of ``size`` records, if given."""
        strategy = self.pagination
        assert isinstance(strategy, PageNumber)
        if size:
            # The number then counts pages of this size.
            strategy = replace(strategy, limit=size, first_page=1)
        listed = PageRequest(self.url, cut=self.first_cut(), look_ahead=IN_SEQUENCE)
        page = strategy.page(strategy.with_limit(listed), number)
        request = self.page_request(page, dont_filter=True)
        meta = {**request.meta, "dont_cache": True}
        return request.replace(callback=callback, cb_kwargs={"page": page, **named}, meta=meta)

    def read_again(self, response: Response, page: PageRequest) -> Iterator[Request | Page]:
        try:
            answered = read_page(response, page)
        except PageError as error:
            yield self.retry_or_fail(response.request, str(error), error.retry_times)
            return
        self.crawler.stats.inc_value(REREAD_STAT)
        keys, log = self.keys(answered), self.page_log
        if log.chain:
            log.chain.note(page.number, keys)
        log.counts[page.number] = max(log.counts.get(page.number, 0), len(keys))
        yield from self.unseen_records(answered, keys)

    def unseen_records(
        self, page: AnsweredPage, keys: Sequence[Key | None], found: bool = False
    ) -> Iterator[Page]:
        """The records of an additional page, without those that the crawl has seen.

        ``found`` counts them as records that were missing from the list.
        """
        assert self.item_class
        repeated = crawl_state(self.crawler).seen.repeated(keys)
        texts = [
            text
            for text, key, came in zip(page.records, keys, repeated, strict=True)
            # Without a key, there is no way to tell whether it came.
            if key not in (None, "") and not came
        ]
        self.crawler.stats.inc_value(RECORD_STAT, len(texts))
        if found:
            self.crawler.stats.inc_value(FOUND_STAT, len(texts))
        if texts:
            yield Page(texts, Source(page.url, self.item_class, self.constants))

    def _all_are_different(self) -> bool:
        """Whether as many different records came as the pages announced."""
        total = self.page_log.least_total
        return total is not None and crawl_state(self.crawler).seen.count >= total
