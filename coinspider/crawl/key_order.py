"""Whether the pages of a list in key order fit together, whatever collation the API sorts by."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from coinspider.records.keys import Key

Way = Callable[[str], Any]
_NUMBERS = re.compile(r"(\d+)")
_MARKS = re.compile(r"[^a-z0-9]")


def _natural(key: str) -> list[Any]:
    """Its words, and its numbers by their lengths and digits: Python reads no longest ones."""
    parts = enumerate(_NUMBERS.split(key.lower()))
    return [(len(part.lstrip("0")), part.lstrip("0")) if n % 2 else part for n, part in parts]


# The ways in which databases sort texts: by their bytes; ignoring case; with all punctuation before
# letters; ignoring punctuation, as glibc's locales do; and with numbers by their value.
_WAYS: tuple[Way, ...] = (
    str,
    str.lower,
    lambda key: _MARKS.sub(" ", key.lower()),
    lambda key: _MARKS.sub("", key.lower()),
    _natural,
)


def falls(first: str, second: str) -> bool:
    """Whether the second key sorts before the first in every way.

    It never does if one is not ASCII: locales sort other letters in too many ways.
    """
    if not (first > second and first.isascii() and second.isascii()):
        return False
    return all(way(first) > way(second) for way in _WAYS)


def first_fall(keys: Sequence[str]) -> tuple[str, str] | None:
    """The first two neighbours that are certainly out of order."""
    if sorted(keys) == keys:  # nearly always, and fast
        return None
    return next(((a, b) for a, b in pairwise(keys) if falls(a, b)), None)


# A first page with fewer keys than this says nothing about the list's order.
_WITNESSES = 3
# How often a page is requested again, unless it comes unchanged.
_AGAIN_MAX = 2
# If this many short pages stayed unchanged, such pages are normal for this API.
_SHORT_MAX = 3


class _Page(NamedTuple):
    """What is remembered about a page's keys."""

    size: int
    first: Key | None
    last: Key | None
    content: int


class PageChain:
    """Finds pages that don't fit their neighbours, and should be read a second time.

    These are short pages that are not the last, and pages with a key of their neighbour. Either may
    be a spoiled page, or the list may have changed; the second reading shows which.
    """

    def __init__(self, size: int, descending: bool = False):
        self.size, self.descending = size, descending
        self.pages: dict[int, _Page] = {}
        self.in_order: bool | None = None
        """Whether the API keeps the order; ``None`` while that is unknown."""
        self.joints: set[int] = set()
        """Pages with a key of the next page."""
        self.again: Counter[int] = Counter()
        self.settled: set[int] = set()
        """Pages that came unchanged a second time."""

    @property
    def full(self) -> int:
        """How many records a full page has: as requested, unless the API has a limit."""
        longest = max((page.size for page in self.pages.values()), default=0)
        return longest if self.settled or self.size < longest else self.size

    @property
    def limit(self) -> int | None:
        """How many records the API gives per page, if that is less than requested."""
        return self.full if self.full < self.size else None

    @property
    def first(self) -> Key | None:
        """The first key of the list."""
        return self.pages[1].first if 1 in self.pages else None

    @property
    def last(self) -> Key | None:
        """The last key of the list."""
        return self.pages[max(self.pages)].last if self.pages else None

    def fall(self, number: int, keys: Sequence[Key | None]) -> str | None:
        """Why a page is out of order; the first page shows whether the list is in order at all."""
        texts = self.rising(keys)
        found = first_fall(texts)
        if self.in_order is None and len(texts) >= _WITNESSES:
            self.in_order = not found
        if not (self.in_order and texts):
            return None
        if found:
            return f"{found[1]} comes after {found[0]}, in a list by {self._order}"
        return self._fall_from_neighbours(number, texts[-1 if self.descending else 0])

    def note(self, number: int, keys: Sequence[Key | None]) -> None:
        """Add a page, or its second reading."""
        if not keys:
            return
        page = _Page(len(keys), keys[0], keys[-1], hash(tuple(keys)))
        before = self.pages.get(number)
        if before and before.content == page.content:
            self.settled.add(number)
        self.pages[number] = page
        self._join(number, set(keys))

    def doubtful(self) -> int | None:
        """The number of the next page to request again, which is counted as requested."""
        if not self.pages:
            return None
        full, last = self.full, max(self.pages)
        short = {number for number, page in self.pages.items() if page.size < full}
        if len(short & self.settled - {last}) >= _SHORT_MAX:
            short &= {last}
        if self.in_order is not False:
            short |= self.joints | {number + 1 for number in self.joints}
        wanted = [n for n in short - self.settled if self.again[n] < _AGAIN_MAX]
        if not wanted:
            return None
        self.again[min(wanted)] += 1
        return min(wanted)

    def rising(self, keys: Sequence[Key | None]) -> list[str]:
        """The keys that are texts, in ascending order."""
        texts = [key for key in keys if isinstance(key, str)]
        return texts[::-1] if self.descending else texts

    @property
    def _order(self) -> str:
        return "falling key" if self.descending else "key"

    def _fall_from_neighbours(self, number: int, first: str) -> str | None:
        """Pages may overlap if the list changes, but none begins before its predecessor."""
        for place, before in ((number - 1, True), (number + 1, False)):
            other = self.pages[place].first if place in self.pages else None
            if not isinstance(other, str):
                continue
            pair = (other, first) if before is not self.descending else (first, other)
            if falls(*pair):
                side = "before" if before else "after"
                return f"it begins with {first}, and the page {side} it with {other}"
        return None

    def _join(self, number: int, keys: set[Key | None]) -> None:
        before, after = self.pages.get(number - 1), self.pages.get(number + 1)
        self.joints -= {number - 1, number}
        if before and not keys.isdisjoint((before.first, before.last)):
            self.joints.add(number - 1)
        if after and not keys.isdisjoint((after.first, after.last)):
            self.joints.add(number)
