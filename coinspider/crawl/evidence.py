"""What a crawl has seen of the pages of its list, and whether the list has ended."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct, field

from coinspider.crawl.key_order import PageChain
from coinspider.http.api_errors import explain_body, is_error_object
from coinspider.http.pagination import AnsweredPage, PageRequest
from coinspider.records.keys import Key

# How many records' contents are remembered, at about 100 bytes each.
KEYS_MAX = 1_000_000


class End(NamedTuple):
    """A page after which no other seems to come."""

    page: PageRequest
    evidence: str
    is_empty: bool
    is_error: bool
    is_numbered: bool
    """Whether the page's number says how much of the list came before it."""
    is_final: bool
    """Whether the rest of the list is deliberately left out."""
    is_told: bool = False
    """Whether the page itself says that it is the last one."""


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
    ends: dict[int, End] = field(default_factory=dict)
    """Where the list seems to end, by the page's number."""
    least_total: int | None = None
    least_pages: int | None = None
    total_name: str = ""
    chain: PageChain | None = None
    """How the pages join, for a list in the order of its keys."""
    asked_again: set[tuple[int, str]] = field(default_factory=set)
    """The numbers of pages that were requested again, each with the reason."""
    is_cached: bool = False
    """Whether pages come from Scrapy's cache: repeating a request then changes nothing."""
    likeness: Likeness = field(default_factory=Likeness)
    says_nothing: bool = False
    """Whether a page says that the list has no records at all."""

    @property
    def record_count(self) -> int:
        return sum(self.counts.values())

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
        self._note_totals(page)

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
        # A list that shrinks while it is read has less at its end.
        for sign in signs.totals if self._are_exact(page) else ():
            if "estimat" in sign.name.lower():
                continue
            if sign.value and count <= sign.value <= (self.least_total or sign.value):
                self.least_total, self.total_name = sign.value, sign.name
        if signs.pages and signs.pages.value > 1:
            self.least_pages = min(signs.pages.value, self.least_pages or signs.pages.value)

    @staticmethod
    def _are_exact(page: AnsweredPage) -> bool:
        """Whether a total is one: Elasticsearch's may be the least that there is."""
        return not re.search(
            rb'"relation"\s*:\s*"gte"', page.body[:_TOP_MAX] + page.body[-_TOP_MAX:]
        )

    def has_two_of_a_key(self, records: Sequence[Raw], keys: Sequence[Key | None]) -> bool:
        """Whether two records of a page have the same key but different content."""
        if self.contents is None or len(set(keys)) == len(keys):
            return False
        different = {(key, bytes(record)) for key, record in zip(keys, records, strict=True)}
        known = [key for key, _ in different if key is not None]
        return len(set(known)) < len(known)

    def shortage(self, is_numbered: bool) -> str | None:
        """What the pages say there is, if it is more than what came.

        Numbered pages may be short in the middle, so the number says how far the crawl is.
        """
        longest = max(self.counts.values(), default=0)
        reached = max(self.record_count, self.last * longest) if is_numbered else self.record_count
        if self.least_total and reached < self.least_total:
            return f"{self.total_name} says {self.least_total} records, {self.record_count} came"
        if self.least_pages and self.last < self.least_pages:
            return f"the pages say that there are {self.least_pages}, {self.last} came"
        return None

    def reached_total(self) -> str | None:
        """The evidence that all records came, if as many did as the pages announced."""
        if not self.least_total or self.record_count < self.least_total:
            return None
        return f"{self.total_name} says {self.least_total} records, and as many came"

    def ask_again(self, number: int, what: str) -> bool:
        """Whether a page may be requested again for this reason, which it may be once."""
        if (number, what) in self.asked_again:
            return False
        self.asked_again.add((number, what))
        return True

    def hole(self) -> int | None:
        """The number of a page without records before the last one that has some."""
        return next((n for n in sorted(self.ends) if self.ends[n].is_empty and n < self.last), None)


# What accepts the end that nothing else proves.
_ACCEPT = "; -a pagination=page -a last={} if these are all"
# Totals are around the records.
_TOP_MAX = 1000  # bytes
# Members at the top of a page that say whether it is one, and not how far the list is.
_STATUS = frozenset(
    ["retcode", "code", "success", "status", "ok", "errno", "errcode", "errorcode", "returncode"]
)
# Words that are no error: Etherscan says "No transactions found" with status "0".
_NO_MORE = re.compile(
    r"\bno (more |further |other )?\w+( \w+)? (were |was )?found\b|\bno more\b", re.I
)
_NOISE = str.maketrans("", "", "_-")


class Doubt(NamedTuple):
    """Why the end is not believed, and what to request again first."""

    reason: str
    page: PageRequest | None = None
    once: bool = False
    """Whether to request it only once, and not as often as a failed page."""
    fails: bool = True
    """Whether the crawl fails if the doubt remains."""


def doubt(
    log: PageLog, known_pages: int | None, may_be_empty: bool = False, told: str | None = None
) -> Doubt | None:
    """The doubt about the end; ``None`` if there is none.

    ``known_pages`` is how many pages the last complete crawl of the same list had; ``told`` is the
    evidence that all records came, if there is any.
    """
    if (hole := log.hole()) is not None:
        end = log.ends[hole]
        again = None if end.is_error else end.page
        return Doubt(f"{end.evidence}, and yet page {log.last} has records", again)
    number = min(number for number in log.ends if number >= log.last)
    end = log.ends[number]
    if end.is_final:
        return None
    if not log.record_count and not (may_be_empty or log.says_nothing):
        return Doubt("the first page has no records", end.page, once=True)
    found = _doubt_of_end(end, log) or _doubt_of_key(log)
    return found or (None if told else _doubt_of_silence(end, log, known_pages))


def _doubt_of_end(end: End, log: PageLog) -> Doubt | None:
    again = end.page if end.is_empty else None
    if shortage := log.shortage(end.is_numbered):
        return Doubt(f"{shortage}; {end.evidence}", again)
    if end.is_error and not _follows_a_short_page(log):
        return Doubt(f"{end.evidence}, and the page before it was full{_ACCEPT.format(log.last)}")
    return None


def _doubt_of_silence(end: End, log: PageLog, known_pages: int | None) -> Doubt | None:
    """An empty page is requested once more, or as often as a failed page if there must be more.

    So is an error that says there is no such page: some APIs say so of existing pages.
    """
    if not (end.is_empty and end.is_numbered) or end.is_told:
        return None
    if not end.is_error and log.last < (known_pages or 0):
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
