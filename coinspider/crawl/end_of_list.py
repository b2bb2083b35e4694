"""Whether the end that a crawl has come to is believed."""

import re
from typing import NamedTuple

from scrapy import Request

from coinspider.crawl.page_log import End, PageLog

# Words of an error for a page past the end: "Invalid page.", "page number requested is larger".
_PAST_THE_END = re.compile(r"page|offset|skip|range|past|beyond|exceed|too (large|high)", re.I)


class Doubt(NamedTuple):
    """Why the end is not believed; what to ask for again, and how often, before that counts."""

    reason: str
    request: Request | None = None
    times: int | None = None
    fails: bool = True


def doubt(log: PageLog, known_pages: int | None, may_be_empty: bool = False) -> Doubt | None:
    """What speaks against the end; ``None`` where it is well seen.

    ``known_pages`` is how many pages the last complete crawl of the same list had.
    """
    if (hole := log.hole()) is not None:
        end = log.ends[hole]
        again = None if end.is_error else end.request
        return Doubt(f"{end.evidence}, and yet page {log.last} has records", again)
    end = log.ends[min(number for number in log.ends if number >= log.last)]
    if end.is_final:
        return None
    if not log.record_count and not (may_be_empty or log.says_nothing):
        return Doubt("the first page has no records", end.request, times=1)
    return _doubt_of_end(end, log, known_pages) or _doubt_of_key(log)


def _doubt_of_end(end: End, log: PageLog, known_pages: int | None) -> Doubt | None:
    again = end.request if end.is_empty else None
    if shortage := log.shortage(end.is_numbered):
        return Doubt(f"{shortage}; {end.evidence}", again)
    if end.is_error and not _is_past_the_end(end, log):
        return Doubt(end.evidence)
    if again and not log.least_total and log.last < (known_pages or 0):
        reason = f"the last complete crawl had {known_pages} pages, this one {log.last}"
        return Doubt(reason, again, times=1, fails=False)
    return None


def _doubt_of_key(log: PageLog) -> Doubt | None:
    if not log.changed:
        return None
    reason = f"{log.changed} of {log.record_count} records came under the key of another one"
    return Doubt(f"{reason}: the key does not identify them, name one with -a key=FIELD,FIELD")


def _is_past_the_end(end: End, log: PageLog) -> bool:
    """Whether an error stands for the end: it says so, or the page before it was not full."""
    short = log.counts.get(log.last, 0) < max(log.counts.values(), default=0)
    return short or bool(_PAST_THE_END.search(end.evidence.partition(" answers ")[2]))
