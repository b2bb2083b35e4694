"""Which page comes after this one.

A strategy is frozen and knows nothing of the crawl: where it stands is in the URL of the request.
Retries, concurrency and a stop in the middle then cost nothing.
"""

from collections.abc import Sized
from dataclasses import dataclass

from w3lib.url import add_or_replace_parameter, url_query_parameter


@dataclass(frozen=True)
class PageNumber:
    """``page=1``, ``page=2``, ... until a page is empty, or ``last`` has been read.

    A short page is not the end: CoinGecko sends them in the middle.
    """

    last: int | None = None
    parameter: str = "page"

    def first(self, url: str) -> str:
        return add_or_replace_parameter(url, self.parameter, "1")

    def following(self, url: str, records: Sized) -> str | None:
        """The URL of the page after the one at ``url``; ``None`` where that was the end."""
        page = self.number(url)
        if not len(records) or page == self.last:
            return None
        return add_or_replace_parameter(url, self.parameter, str(page + 1))

    def number(self, url: str) -> int:
        return int(url_query_parameter(url, self.parameter, "1"))
