"""Which page comes after this one.

A strategy is frozen and knows nothing of the crawl: where it stands is in the URL of the request.
Retries, concurrency and a stop in the middle then cost nothing.
"""

from dataclasses import dataclass

from w3lib.url import add_or_replace_parameter, url_query_parameter


@dataclass(frozen=True)
class PageNumber:
    """``page=1``, ``page=2``, ... until a page is empty, or ``last`` has been read.

    A short page is not the end: CoinGecko sends them in the middle.
    """

    last: int | None = None
    parameter: str = "page"

    def url(self, url: str, page: int) -> str:
        return add_or_replace_parameter(url, self.parameter, str(page))

    def page(self, url: str) -> int:
        return int(url_query_parameter(url, self.parameter, "1"))

    def is_end(self, url: str, record_count: int) -> bool:
        """Whether the page at ``url``, with so many records, is the end of the list."""
        return record_count == 0 or self.page(url) == self.last


@dataclass(frozen=True)
class LookAhead:
    """How several pages are asked for at once: as ``ways`` chains that each skip the others' pages.

    No chain goes past ``known`` pages, but for the one that reads the last of these: it goes on
    alone, page by page. ``None`` lets all of them run until they meet an empty page.
    """

    ways: int = 1
    known: int | None = None

    def after(self, page: int) -> list[int]:
        """The pages to ask for after ``page``; the first page starts all chains."""
        if page == 1:
            return [p for p in range(2, self.ways + 2) if self._is_known(p) or p == 2]
        following = page + self.ways
        if self._is_known(following):
            return [following]
        return [page + 1] if self.known is not None and page >= self.known else []

    def _is_known(self, page: int) -> bool:
        return self.known is None or page <= self.known


IN_SEQUENCE = LookAhead()
