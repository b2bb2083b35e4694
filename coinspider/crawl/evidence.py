"""What a crawl has seen of the pages of its list, and whether the list has ended."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

import msgspec
from msgspec import Raw, Struct, field

from coinspider.crawl.key_order import PageChain
from coinspider.crawl.target import Shortage
from coinspider.http.api_errors import explain_body, is_error_object
from coinspider.http.pagination import (
    AnsweredPage,
    Evidence,
    PageNumber,
    PageRequest,
    Pagination,
)
from coinspider.http.pagination.protocol import command_arguments
from coinspider.records.keys import Key
from coinspider.text import in_shell

# How many records' contents are remembered, at about 100 bytes each.
KEYS_MAX = 1_000_000
# If this many short pages stay unchanged, such pages are normal for this API.
_SHORT_MAX = 3


class End(NamedTuple):
    """A page after which no other seems to come."""

    page: PageRequest
    evidence: str
    by: Evidence
    is_empty: bool
    is_numbered: bool
    """Whether the page's number says how much of the list came before it."""
    lacks_list: bool = False
    """Whether the list is missing, and not just empty."""


class Total(NamedTuple):
    """What the pages of a list give as the number of all records, by one name."""

    name: str
    first: int
    least: int
    most: int
    is_of_page: bool = False
    """Whether it turned out to be the number of records on a page."""

    def with_page(self, value: int, count: int, came: int) -> Self:
        """The same after a page with this value and ``count`` records, of ``came`` in all."""
        before = came - count
        if before and not value:
            return self._replace(is_of_page=self.is_of_page or self.most == before)
        if before and value == count:
            return self._replace(is_of_page=True)
        # Some count down what is left.
        value += before if value + before == self.first else 0
        return self._replace(least=min(self.least, value), most=max(self.most, value))


class Likeness:
    """What is the same at the top of every good page: ``retCode: 0``, ``success: true``."""

    def __init__(self) -> None:
        self.same: dict[str, Any] | None = None

    def note(self, page: AnsweredPage) -> None:
        """Learn from a page with records."""
        found = _status(page.body)
        if self.same is None:
            self.same = found
        elif self.same:
            self.same = {name: v for name, v in self.same.items() if found.get(name) == v}

    def unlike(self, page: AnsweredPage) -> str | None:
        """What a page without records says, if it is an error and no page."""
        found = _status(page.body)
        differs = any(found.get(name, value) != value for name, value in (self.same or {}).items())
        if not (differs or is_error_object(page.body)):
            return None
        words = explain_body(page.body)
        return None if _NO_MORE.search(words) else words


def _status(body: bytes) -> dict[str, Any]:
    if body.lstrip()[:1] != b"{":
        return {}
    try:
        top = msgspec.json.decode(body, type=dict[str, Raw])
        plain = {name.lower().translate(_NOISE): text for name, text in top.items()}
        return {name: msgspec.json.decode(plain[name]) for name in _STATUS & plain.keys()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


class PageLog(Struct):
    """The pages that came, the keys on them, and where the list seems to end."""

    counts: dict[int, int] = field(default_factory=dict)
    """How many records each page had, by its number."""
    contents: dict[int, int] | None = None
    """The hash of each record by that of its key, if the key may turn out not to identify it."""
    changed: int = 0
    """How many records had the key of an earlier record but other content."""
    firsts: dict[Key, int] = field(default_factory=dict)
    """The numbers of the pages by their first keys."""
    ends: dict[int, End] = field(default_factory=dict)
    """Where the list seems to end, by the page's number."""
    totals: dict[str, Total] = field(default_factory=dict)
    """What pages give as the number of all records, by its name."""
    least_pages: int | None = None
    mostly_repeated: int = 0
    """How many of the last pages in a row had mostly records that came earlier."""
    repeated: int = 0
    """How many records came earlier in the same reading."""
    chain: PageChain | None = None
    """How the pages join, for a list in the order of its keys."""
    asked_again: set[tuple[int, str]] = field(default_factory=set)
    """The numbers of pages that were requested again, each with the reason."""
    is_cached: bool = False
    """Whether pages come from Scrapy's cache: repeating a request then changes nothing."""
    likeness: Likeness = field(default_factory=Likeness)
    says_nothing: bool = False
    """Whether a page says that the list has no records at all."""
    doubted: int | None = None
    """The number of a short page that is read again."""

    @property
    def record_count(self) -> int:
        return sum(self.counts.values())

    @property
    def different_count(self) -> int:
        return self.record_count - self.repeated

    @property
    def total(self) -> Total | None:
        """The number of all records, if the pages have a figure that makes sense as one."""
        return next((total for total in self.totals.values() if not total.is_of_page), None)

    @property
    def last(self) -> int:
        """The number of the last page with records."""
        return max((number for number, count in self.counts.items() if count), default=0)

    def note(self, page: AnsweredPage, keys: Sequence[Key | None]) -> None:
        """Add a page that came; its keys, where they could be read."""
        self.counts[page.request.number] = len(page.records)
        self.ends.pop(page.request.number, None)
        if self.chain:
            self.chain.note(page.request.number, keys)
        if self.contents is not None and len(self.contents) < KEYS_MAX:
            self._note_contents(keys, page.records)
        if page.records:
            self.likeness.note(page)
        if keys and keys[0] is not None:
            self.firsts.setdefault(keys[0], page.request.number)
        self._note_totals(page)

    def note_repeated(self, count: int, of: int) -> None:
        """Add how many records of a page came earlier in the same reading."""
        self.repeated += count
        self.mostly_repeated = self.mostly_repeated + 1 if 2 * count > of else 0

    def _note_contents(self, keys: Sequence[Key | None], records: Sequence[Raw]) -> None:
        assert self.contents is not None
        for key, text in zip(keys, records, strict=True):
            content = hash(bytes(text))
            if key is not None:
                self.changed += self.contents.setdefault(hash(key), content) != content

    def _note_totals(self, page: AnsweredPage) -> None:
        signs, count = page.signs, len(page.records)
        if not count and any(sign.value == 0 for sign in signs.totals):
            self.says_nothing = True
        for sign in signs.totals:
            known = self.totals.get(sign.name)
            if known or (sign.value and sign.value >= count):
                known = known or Total(sign.name, *[sign.value] * 3)
                self.totals[sign.name] = known.with_page(sign.value, count, self.record_count)
        if signs.pages and signs.pages.value > 1:
            self.least_pages = min(signs.pages.value, self.least_pages or signs.pages.value)

    def has_two_of_a_key(self, records: Sequence[Raw], keys: Sequence[Key | None]) -> bool:
        """Whether two records of a page have the same key but different content."""
        if self.contents is None or len(set(keys)) == len(keys):
            return False
        different = {(key, bytes(record)) for key, record in zip(keys, records, strict=True)}
        known = [key for key, _ in different if key is not None]
        return len(set(known)) < len(known)

    def shortage(self, is_numbered: bool) -> Shortage | None:
        """The total that the pages give, if it is more than what came.

        Numbered pages may be short in the middle, so the number says how far the crawl is. Records
        that came twice count once, unless the list is in the order of its keys: there a record that
        moved is noticed, and requested by its key.
        """
        came = self.record_count if self.chain else self.different_count
        by_number = self.last * max(self.counts.values(), default=0) if is_numbered else 0
        reached = came + max(by_number - self.record_count, 0)
        if self.total and reached < self.total.least:
            return Shortage(self.total.least, came)
        return None

    def lack(self, short: Shortage | None) -> str | None:
        """What the pages say there is, if it is more than what came."""
        if short and self.total:
            return f"{self.total.name} says {short.total} records, {short.came} came"
        if self.least_pages and self.last < self.least_pages:
            return f"the pages say that there are {self.least_pages}, {self.last} came"
        return None

    def reached_total(self) -> str | None:
        """The evidence that all records came, if as many did as the pages announced."""
        total = self.total
        if not total or self.different_count < total.least:
            return None
        return f"{total.name} says {total.least} records, and as many came"

    @property
    def is_shrinking(self) -> bool:
        """Whether the total became smaller from one page to another."""
        return self.total is not None and self.total.least < self.total.first

    @property
    def is_growing(self) -> bool:
        return self.total is not None and self.total.most > self.total.first

    def ask_again(self, number: int, what: str) -> bool:
        """Whether a page may be requested again for this reason, which it may be once."""
        if (number, what) in self.asked_again:
            return False
        self.asked_again.add((number, what))
        return True

    def short_page(self) -> int | None:
        """The next page in the middle to read again because others are longer, if there is one.

        Where some stay as they are, the API has such pages.
        """
        longest = max(self.counts.values(), default=0)
        is_less = self.total is not None and self.record_count < self.total.least
        last = self.last if is_less else self.last - 1
        short = [n for n, count in self.counts.items() if count < longest and n <= last]
        if sum((n, "short") in self.asked_again for n in short) < _SHORT_MAX:
            self.doubted = next((n for n in short if self.ask_again(n, "short")), None)
        return self.doubted

    def hole(self) -> int | None:
        """The number of a page without records before the last one that has some."""
        return next((n for n in sorted(self.ends) if self.ends[n].is_empty and n < self.last), None)


# Members at the top of a page that say whether it is one, and not how far the list is.
_STATUS = frozenset(
    ["retcode", "code", "success", "status", "ok", "errno", "errcode", "errorcode", "returncode"]
)
# Words that are no error: Etherscan says "No transactions found" with status "0".
_NO_MORE = re.compile(
    r"\bno (more |further |other )?\w+( \w+)? (were |was )?found\b|\bno more\b", re.I
)
_NOISE = str.maketrans("", "", "_-")


# Searches end at such numbers of records: 100, 1000, 10000.
_ROUND = 100


def acceptance(log: PageLog, strategy: Pagination) -> str:
    """What accepts the end of the list as it is, to append to the doubt about it."""
    came = log.different_count
    if log.changed or log.hole() is not None:
        return ""
    is_less = bool(log.total and came < log.total.least)
    is_full = len(log.counts) > 1 and not _follows_a_short_page(log)
    if came and (came % _ROUND == 0 or (is_less and is_full)):
        return f"; it seems to give no more than {came}, which no argument can change"
    if is_less:
        return "; -a total=none if these are all"
    if not isinstance(strategy, PageNumber):
        return ""
    told = command_arguments(replace(strategy, last=log.last))
    return f"; {in_shell(told)} if these are all"


class Doubt(NamedTuple):
    """Why the end is not believed, and what to request again first."""

    reason: str
    page: PageRequest | None = None
    once: bool = False
    """Whether to request it only once, and not as often as a failed page."""
    fails: bool = True
    """Whether the crawl fails if the doubt remains."""
    shortage: Shortage | None = None


def doubt(
    log: PageLog,
    known_pages: int | None,
    may_be_empty: bool = False,
    told: str | None = None,
    earlier: Shortage | None = None,
) -> Doubt | None:
    """The doubt about the end; ``None`` if there is none.

    ``known_pages`` is how many pages the last complete crawl of the same list had, ``earlier`` what
    it fell short of; ``told`` is the evidence that all records came, if there is any.
    """
    if (hole := log.hole()) is not None:
        end = log.ends[hole]
        again = None if end.by is Evidence.NO_SUCH_PAGE else end.page
        return Doubt(f"{end.evidence}, and yet page {log.last} has records", again)
    number = min(number for number in log.ends if number >= log.last)
    end = log.ends[number]
    if end.by is Evidence.WANTED:
        return None
    if not log.record_count and not (may_be_empty or log.says_nothing):
        return Doubt("the first page has no records", end.page, once=True)
    found = _doubt_of_end(end, log, bool(told), earlier) or _doubt_of_key(log)
    return found or (None if told else _doubt_of_silence(end, log, known_pages))


def _doubt_of_end(end: End, log: PageLog, is_told: bool, earlier: Shortage | None) -> Doubt | None:
    again = end.page if end.is_empty else None
    short = log.shortage(end.is_numbered)
    is_habit = bool(short and short.confirms(earlier))
    lack = log.lack(short)
    if lack and not is_habit:
        return Doubt(f"{lack}; {end.evidence}", again, shortage=short)
    is_error = end.by is Evidence.NO_SUCH_PAGE and not is_told
    if is_error and not _follows_a_short_page(log):
        return Doubt(f"{end.evidence}, and the page before it was full")
    if lack:
        why = f"{lack}, as in the crawl before: the figure is not believed"
        return Doubt(why, again, once=True, fails=False, shortage=short)
    return None


def _doubt_of_silence(end: End, log: PageLog, known_pages: int | None) -> Doubt | None:
    """An empty page is requested once more, or as often as a failed page if there must be more.

    So is an error that says there is no such page: some APIs say so of existing pages. And so is a
    page that has neither a link or cursor nor a list.
    """
    if end.by not in (Evidence.EMPTY_PAGE, Evidence.NO_SUCH_PAGE) and not end.lacks_list:
        return None
    if end.by is Evidence.EMPTY_PAGE and log.last < (known_pages or 0):
        reason = f"the last complete crawl had {known_pages} pages, this one {log.last}"
        return Doubt(reason, end.page, fails=False)
    return Doubt(end.evidence, end.page, once=True, fails=False)


def _doubt_of_key(log: PageLog) -> Doubt | None:
    if not log.changed:
        return None
    reason = f"{log.changed} of {log.record_count} records have the key of another record"
    return Doubt(f"{reason}: the key does not identify them, name one with -a key=FIELD,FIELD")


def _follows_a_short_page(log: PageLog) -> bool:
    """Whether an error means the end: the page before it was not full.

    Its words prove nothing: "page 4 exceeds the allowed maximum" is a cap of the API's.
    """
    return log.counts.get(log.last, 0) < max(log.counts.values(), default=0)
