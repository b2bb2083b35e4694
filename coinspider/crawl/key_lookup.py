"""Asks an API for records by their keys, to learn whether it has them at all."""

from collections.abc import Iterator, Sequence

from scrapy import Request
from scrapy.http import Response

from coinspider.crawl.page_reading import read_page
from coinspider.crawl.second_reading import SecondReading
from coinspider.crawl.state import crawl_state
from coinspider.errors import PageError
from coinspider.http.pagination import AnsweredPage, PageRequest
from coinspider.records.cutting import parse_cut
from coinspider.records.keys import Key
from coinspider.records.record import Page
from coinspider.stats import LOOKUP_STAT

# Each call also asks for records that certainly exist, one before and one after the others: a
# response without them is wrong or cut off.
WITNESSES = 3


class KeyLookup(SecondReading):
    """A spider whose API can be asked for a list of keys.

    It sets :attr:`lookup_size` and has :meth:`lookup_url`.
    """

    lookup_size = 0
    """How many keys one call may name; 0 if the API has no such call."""
    records: str

    def lookup_url(self, keys: Sequence[Key]) -> str:
        """The URL of one page with all of these records that exist."""
        raise NotImplementedError

    def can_look_up(self, key: Key) -> bool:
        """Whether the URL can name this key."""
        return True

    def keys_a_call(self) -> int:
        """How many keys to ask for at once, besides the witnesses."""
        limit = self.page_log.chain and self.page_log.chain.limit
        size = min(self.lookup_size, limit) if limit else self.lookup_size
        return max(1, size - WITNESSES)

    def lookup_request(self, keys: Sequence[Key], turn: int = 0) -> Request:
        """A call for these keys; another ``turn`` has other witnesses."""
        witnesses = crawl_state(self.crawler).seen.around(min(keys), max(keys), turn)
        request = self.page_request(PageRequest(self.lookup_url([*witnesses, *keys])))
        named = {"keys": keys, "witnesses": witnesses}
        meta = {**request.meta, "dont_cache": True}
        return request.replace(callback=self.looked_up, cb_kwargs=named, meta=meta)

    def looked_up(
        self, response: Response, keys: Sequence[Key], witnesses: Sequence[Key]
    ) -> Iterator[Request | Page]:
        """Store what came. What did not come does not exist, if the response can be trusted."""
        assert response.request
        try:
            page = read_page(response, PageRequest(response.url, cut=parse_cut(self.records)))
        except PageError as error:
            yield self.retry_or_fail(response.request, str(error), error.retry_times)
            return
        found = self.keys(page)
        if not set(found).issubset([*keys, *witnesses]):
            yield from self._answered_others(response.request, keys)
            return
        if not set(found).issuperset(witnesses):
            reason = "it does not have all records that were on the pages a moment ago"
            yield self._with_other_witnesses(response.request, keys, reason)
            return
        self.crawler.stats.inc_value(LOOKUP_STAT)
        yield from self._believed(page, keys, found)

    def _believed(
        self, page: AnsweredPage, keys: Sequence[Key], found: Sequence[Key | None]
    ) -> Iterator[Page]:
        crawl_state(self.crawler).gone.update(set(keys).difference(found))
        yield from self.unseen_records(page, found, found=True)

    def _answered_others(self, request: Request, keys: Sequence[Key]) -> Iterator[Request]:
        """Once, this may be a page from a cache; twice, the API ignores lists of keys."""
        reason = "it has records that were not asked for"
        if not request.meta.get("answered_others"):
            again = self._with_other_witnesses(request, keys, reason)
            again.meta["answered_others"] = True
            yield again
            return
        self.crawler.stats.inc_value(LOOKUP_STAT)
        crawl_state(self.crawler).lookup_ignored = True

    def _with_other_witnesses(self, request: Request, keys: Sequence[Key], reason: str) -> Request:
        """Repeat the call: the records that it should have had may be gone by now."""
        again = self.retry_or_fail(request, reason)
        other = self.lookup_request(keys, again.meta["retry_times"])
        return again.replace(url=other.url, cb_kwargs=other.cb_kwargs)
