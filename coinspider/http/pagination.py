"""Which page comes after this one.

A strategy is frozen and knows nothing of the crawl: where it stands is in the URL of the request.
Retries, concurrency and a stop in the middle then cost nothing.
"""

from dataclasses import dataclass

from scrapy.http import Response
from w3lib.url import add_or_replace_parameter, add_or_replace_parameters, url_query_parameter

from coinspider.records.json_path import find_value, parse_path


@dataclass(frozen=True)
class PageNumber:
    """``page=1``, ``page=2``, ... until a page is empty, or ``last`` of them have been read.

    A short page is not the end: CoinGecko sends them in the middle.
    """

    last: int | None = None
    parameter: str = "page"
    first_page: int = 1

    def url(self, url: str, page: int) -> str:
        value = page + self.first_page - 1
        return add_or_replace_parameter(url, self.parameter, str(value))

    def page(self, url: str) -> int:
        default = str(self.first_page)
        return int(url_query_parameter(url, self.parameter, default)) - self.first_page + 1

    def is_end(self, url: str, record_count: int) -> bool:
        """Whether the page at ``url``, with so many records, is the end of the list."""
        return record_count == 0 or self.page(url) == self.last


@dataclass(frozen=True)
class Offset(PageNumber):
    """``offset=0``, ``offset=100``, ... with a ``limit`` of records a page, until one is empty."""

    parameter: str = "offset"
    limit: int = 100
    limit_parameter: str = "limit"

    def url(self, url: str, page: int) -> str:
        place = {
            self.parameter: str((page - 1) * self.limit),
            self.limit_parameter: str(self.limit),
        }
        return add_or_replace_parameters(url, place)

    def page(self, url: str) -> int:
        return int(url_query_parameter(url, self.parameter, "0")) // self.limit + 1


@dataclass(frozen=True)
class NextLink:
    """The URL of the next page at ``path`` in the body; missing, null or empty at the end."""

    path: str = "next"

    def following(self, response: Response) -> str | None:
        link = find_value(response.body, parse_path(self.path))
        return response.urljoin(str(link)) if link else None


@dataclass(frozen=True)
class Cursor:
    """A mark of where the next page begins, at ``path`` in the body, for the query."""

    path: str = "next_cursor"
    parameter: str = "cursor"

    def following(self, response: Response) -> str | None:
        cursor = find_value(response.body, parse_path(self.path))
        if cursor is None or cursor is False or cursor == "":
            return None
        return add_or_replace_parameter(response.url, self.parameter, str(cursor))


@dataclass(frozen=True)
class LinkHeader:
    """The header ``Link: <...>; rel="next"``, of https://www.rfc-editor.org/rfc/rfc8288."""

    def following(self, response: Response) -> str | None:
        # A large import that no other strategy needs.
        from requests.utils import parse_header_links

        header = b", ".join(response.headers.getlist("Link")).decode("latin-1")
        for link in parse_header_links(header):
            if "next" in link.get("rel", "").lower().split():
                return response.urljoin(link["url"])
        return None


Pagination = PageNumber | NextLink | Cursor | LinkHeader


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
