"""Reads an ordered list where a missing record would be, to learn whether it is gone."""

import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scrapy import Request
from scrapy.http import Response

from coinspider.crawl.key_order import rising_ways, stands_inside
from coinspider.crawl.page_reading import read_page
from coinspider.crawl.second_reading import SecondReading
from coinspider.crawl.state import crawl_state
from coinspider.errors import PageError
from coinspider.http.pagination import PageNumber, PageRequest
from coinspider.records.keys import Key
from coinspider.records.record import Page
from coinspider.stats import LOOKUP_STAT

# How often a place is read. A page that was spoiled, or has moved in the meantime, proves nothing.
_TIMES = 3

# On a smaller page, a place may be at the edge whatever the size.
_SIZE_MIN = 10


class Window(NamedTuple):
    """A page of the list, if all pages have this size."""

    size: int
    number: int

    def margin(self, place: int) -> int:
        """How many records the page has before or after a place, whichever is fewer.

        On the first page only those after it count, because nothing can be before the list.
        """
        before = place - (self.number - 1) * self.size
        after = self.size - before
        return after if self.number == 1 else min(before, after)


def window_around(place: int, longest: int) -> Window:
    """The page that has a place nearest to its middle, among all sizes up to ``longest``."""
    longest = max(longest, _SIZE_MIN)
    sizes = range(longest, longest // 2, -1)
    windows = [Window(size, place // size + 1) for size in sizes]
    return max(windows, key=lambda window: window.margin(place))


class PlaceLookup(SecondReading):
    """A spider whose API can't be asked for records by their keys, but lists them in key order.

    If a page has the records before and after a missing one, but not that one, it is gone.
    """

    def place_requests(self, keys: Sequence[Key], times: int = 1) -> Iterator[Request]:
        """Request the pages on which these keys would be, as long as calls are left."""
        state, chain = crawl_state(self.crawler), self.page_log.chain
        if not (chain and chain.in_order and isinstance(self.pagination, PageNumber)):
            return
        places = self._places(keys, times - 1)
        left = sorted(places, key=places.__getitem__)
        windows: dict[Window, list[Key]] = {}
        while left:
            window = window_around(places[left[0]], chain.full)
            reach = [key for key in left if window.margin(places[key]) > window.size // 8]
            windows[window] = reach or left[:1]
            left = [key for key in left if key not in windows[window]]
        # At random, so that the next crawl tries others if there are too many.
        chosen = random.sample(list(windows), min(len(windows), state.lookups_left))
        state.lookups_left -= len(chosen)
        for window in chosen:
            named = {"missing": windows[window], "times": times}
            yield self.reading_of(window.number, self.place_read, window.size, **named)

    def place_read(
        self, response: Response, page: PageRequest, missing: Sequence[Key], times: int
    ) -> Iterator[Request | Page]:
        try:
            answered = read_page(response, page)
        except PageError as error:
            yield self.retry_or_fail(response.request, str(error), error.retry_times)
            return
        self.crawler.stats.inc_value(LOOKUP_STAT)
        keys = self.keys(answered)
        absent = set(missing).difference(keys)
        gone = {key for key in absent if self._is_gone(key, keys, page)}
        crawl_state(self.crawler).gone.update(gone)
        if times < _TIMES and absent - gone:
            yield from self.place_requests(list(absent - gone), times + 1)
        yield from self.unseen_records(answered, keys, found=True)

    def _places(self, keys: Sequence[Key], turn: int) -> dict[Key, int]:
        """How many records come before each key.

        Each turn sorts them in another of the ways that may be the API's.
        """
        chain = self.page_log.chain
        assert chain
        pages = [chain.rising(page) for page in crawl_state(self.crawler).seen.pages()]
        ways = rising_ways(pages)
        way = ways[turn % len(ways)]
        values = sorted(map(way, {key for page in pages for key in page}))
        places: dict[Key, int] = {
            key: bisect(values, way(key)) for key in keys if isinstance(key, str)
        }
        if chain.descending:
            return {key: len(values) - place for key, place in places.items()}
        return places

    def _is_gone(self, key: Key, keys: Sequence[Key | None], page: PageRequest) -> bool:
        """Whether a page without a key proves that no record has it.

        At the beginning and the end of the list, one neighbour is enough.
        """
        chain = self.page_log.chain
        assert chain
        around = chain.rising(keys)
        if not isinstance(key, str) or not around or len(around) < len(keys):
            return False
        begins = page.number == 1 and keys[0] == chain.first
        ends = keys[-1] == chain.last and len(keys) < int(page.parameter("per_page") or 0)
        below, above = (ends, begins) if chain.descending else (begins, ends)
        return stands_inside(key, around, below=below, above=above)
