"""Whether a list stood still while it was read: what moves up between two calls is on no page."""

from collections.abc import Iterable, Sequence

import msgspec

from coinspider.crawl.evidence import PageLog
from coinspider.http.pagination import AnsweredPage, Evidence, PageRequest
from coinspider.records.keys import Key


class Movement:
    """Compares the totals of a list's pages, and one page with its second reading.

    A list that moved is read again from its beginning, ``readings_max`` times in all. One in the
    order of its keys (``is_ordered``) is not: what it lost is asked for by key.
    """

    def __init__(self, readings_max: int, is_ordered: bool):
        self.readings_max = readings_max
        self.is_checked = readings_max > 1 and not is_ordered
        self.reading = 1
        """How often the list has been read from its beginning."""
        self.came: set[Key] = set()
        """The keys that came in this reading, if it is not the first."""
        self.page: PageRequest | None = None
        """The page that is read again at the end."""
        self.keys: tuple[Key | None, ...] = ()
        self.is_keyset = False
        """Whether a page begins after the record that ends the one before it."""
        self.is_compared = self.page_changed = False
        self.inserted = 0
        """How many records are new in front of the page that was read again."""
        self.new = 0
        """How many records came in this reading that none before had."""

    def note(
        self,
        page: AnsweredPage,
        keys: Sequence[Key | None],
        following: Iterable[PageRequest],
        last: int,
    ) -> None:
        """Keep the first page; the ``last`` one, where the cursor is a value of the last record.

        Then nothing shifts from page to page.
        """
        self.is_keyset |= any(_is_of_last_record(page, request.place) for request in following)
        if self.page is None or (self.is_keyset and page.request.number == last):
            self.page, self.keys = page.request, tuple(keys)

    def repeated(self, keys: Sequence[Key | None]) -> int:
        """How many of these keys came earlier in this reading, which is not the first."""
        before, known = len(self.came), [key for key in keys if key is not None]
        self.came.update(known)
        return before + len(known) - len(self.came)

    def compare(self, keys: Sequence[Key | None]) -> None:
        """Take the second reading: what is new in front of a list moves nothing out of sight."""
        new = keys.index(self.keys[0]) if self.keys and self.keys[0] in keys else 0
        both = zip(keys[new:], self.keys, strict=False)
        self.is_compared, self.inserted = True, new
        self.page_changed = len(keys) < len(self.keys) or any(a != b for a, b in both)

    def moved(self, log: PageLog) -> bool:
        """Whether the list lost records while it was read, or their order changed."""
        return self.is_checked and (log.is_shrinking or self.page_changed or self._is_shuffled(log))

    def _is_shuffled(self, log: PageLog) -> bool:
        """Whether records came twice, and so others perhaps not at all.

        As many as are new in front of the list moved behind. A reading that brings nothing new
        shows that it is the API's habit.
        """
        is_habit = self.is_keyset or (self.reading > 1 and not self.new)
        return self.is_compared and log.repeated > self.inserted and not is_habit

    def begins_again(self, log: PageLog) -> bool:
        """Whether the list is to be read again; then that reading begins."""
        if not self.moved(log) or self.reading >= self.readings_max:
            return False
        self.reading += 1
        self.came, self.page, self.is_compared, self.page_changed = set(), None, False, False
        self.inserted = self.new = 0
        return True

    def to_compare(self, log: PageLog, told: str | None) -> PageRequest | None:
        """The page to read again; none if all came, as is ``told``, and nothing can have moved."""
        ends = {log.ends[number].by for number in log.ends if number >= log.last}
        is_whole = told is not None and not log.is_growing and not log.repeated
        is_needless = is_whole or log.is_cached or log.last < 2 or Evidence.WANTED in ends
        return None if self.is_compared or is_needless or not self.is_checked else self.page


def _is_of_last_record(page: AnsweredPage, cursor: str) -> bool:
    """Whether a cursor is a value of the page's last record, and not a number of records."""
    try:
        last = msgspec.json.decode(page.records[-1])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    values = last.values() if isinstance(last, dict) else ()
    return cursor not in ("", str(len(page.records))) and cursor in map(str, values)
