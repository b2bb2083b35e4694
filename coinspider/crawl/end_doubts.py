"""Decides whether to believe that a list has ended."""

import re
from typing import NamedTuple

from scrapy import Request

from coinspider.crawl.page_log import End, PageLog

# Words of an error for a page past the end: "Invalid page.", "page number requested is larger".
_PAST_THE_END = re.compile(r"page|offset|skip|range|past|beyond|exceed|too (large|high)", re.I)


class Doubt(NamedTuple):
    """Why the end is not believed, and what to request again first."""

    reason: str
    request: Request | None = None
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
        again = None if end.is_error else end.request
        return Doubt(f"{end.evidence}, and yet page {log.last} has records", again)
    number = min(number for number in log.ends if number >= log.last)
    end = log.ends[number]
    if end.is_final:
        return None
    if not log.record_count and not (may_be_empty or log.says_nothing):
        return Doubt("the first page has no records", end.request, once=True)
    found = _doubt_of_end(end, log) or _doubt_of_key(log)
    return found or (None if told else _doubt_of_silence(end, log, known_pages))


def _doubt_of_end(end: End, log: PageLog) -> Doubt | None:
    again = end.request if end.is_empty else None
    if shortage := log.shortage(end.is_numbered):
        return Doubt(f"{shortage}; {end.evidence}", again)
    if end.is_error and not _is_past_the_end(end, log):
        return Doubt(end.evidence)
    return None


def _doubt_of_silence(end: End, log: PageLog, known_pages: int | None) -> Doubt | None:
    """An empty page is requested once more, or as often as a failed page if there must be more.

    So is an error that says there is no such page: some APIs say so of existing pages.
    """
    if not (end.is_empty and end.is_numbered) or end.is_told:
        return None
    if not end.is_error and log.last < (known_pages or 0):
        reason = f"the last complete crawl had {known_pages} pages, this one {log.last}"
        return Doubt(reason, end.request, fails=False)
    return Doubt(end.evidence, end.request, once=True, fails=False)


def _doubt_of_key(log: PageLog) -> Doubt | None:
    if not log.changed:
        return None
    reason = f"{log.changed} of {log.record_count} records have the key of another record"
    return Doubt(f"{reason}: the key does not identify them, name one with -a key=FIELD,FIELD")


def _is_past_the_end(end: End, log: PageLog) -> bool:
    """Whether an error means the end: it says so, or the page before it was not full."""
    short = log.counts.get(log.last, 0) < max(log.counts.values(), default=0)
    return short or bool(_PAST_THE_END.search(end.evidence.partition(" answers ")[2]))
