"""What is crawled, and what earlier crawls of it left: plain values for the store."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from coinspider.records.table_item import TableItem

T = TypeVar("T")
NODE = "COINSPIDER_NODE"
"""The variable with the name of the scrapyd that runs the crawl."""


class RunWork(Protocol):
    """Does some work with the connection to the database."""

    def __call__(self, work: Callable[[Any], Awaitable[T]]) -> Awaitable[T]: ...


class CrawlTarget(Struct, frozen=True):
    """A source and the part of it that one crawl reads.

    ``item_class`` is ``None`` if it is to be read from the ``table``, or inferred from the
    first page. ``whole`` means that the crawl reads the whole list: what it does not see is gone.
    """

    source: str
    url: str
    lock_name: str
    item_class: type[TableItem] | None
    table: str | None
    constants: Mapping[str, Any]
    whole: bool
    incremental: bool
    job: str | None
    arguments: Mapping[str, Any]


# An API may count records that it does not list.
_CONTRADICTION_MAX = 0.05


class Shortage(NamedTuple):
    """A total that the API gives, and how many records came instead."""

    total: int
    came: int

    def confirms(self, earlier: "Shortage | None") -> bool:
        """Whether two crawls contradict the total in the same way: neither by much, both alike."""
        if not earlier:
            return False
        is_small = all(1 - came / total <= _CONTRADICTION_MAX for total, came in (self, earlier))
        return is_small and abs(self.came - earlier.came) <= _CONTRADICTION_MAX * earlier.came


class Ending(NamedTuple):
    """How a crawl ended: a word, the last line, and what both are made of."""

    name: str
    message: str
    code: str | None = None
    """The reason's; see :mod:`coinspider.crawl.reasons`."""
    figures: Mapping[str, Any] = {}
    """The reason's, ``remarks``, and the ``shortage`` of a list."""


class Place(NamedTuple):
    """Where the rows go."""

    text: str
    """In words."""
    options: str = ""
    """What ``scrapy coins`` and ``scrapy psql`` need in order to look there."""


class CrawlStart(Struct, frozen=True):
    """What the store knows about earlier crawls of the same target."""

    item_class: type[TableItem] | None
    since: str | None
    known_pages: int | None
    known_calls: int | None
    shortage: Shortage | None
    place: Place | None


NO_START = CrawlStart(None, None, None, None, None, None)
"""That of a crawl that is not stored."""


# For retries, and for coins that are looked for before they are marked as delisted.
MARGIN_SHARE = 0.05


def with_margin(calls: int) -> int:
    """Some more than usual; no more for fewer than 20."""
    return calls + int(calls * MARGIN_SHARE)
