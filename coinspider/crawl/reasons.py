"""Why a crawl ended as it did: a closed list of codes, each with a sentence and a remedy.

A :class:`Reason` is what the table ``crawl`` keeps in ``reason`` and ``reason_figures``. Messages,
remedies, pages and metrics are made of it, so that a changed sentence breaks nothing.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct, field

from coinspider.secrets import masked


class Kind(NamedTuple):
    """A sentence and a remedy, both with the names of figures in braces."""

    sentence: str
    remedy: str = "Its log says more."
    finish: str = ""
    """Scrapy's ``finish_reason``, if that is not the code."""


_PAGE = "page {url} could not be fetched: {why}"
_LEFT_OUT = "The API left something out: the next run tries again."
_DATABASE = (
    "Is PostgreSQL running, and is DATABASE_URL right? The next run stores everything again."
)
_RECORDS = "The API sends records that are not as expected: the rejected records say what is wrong."
_GONE = "If this many coins are really gone, raise {} for one crawl."
_NEXT_RUN = "The next run does its work."
_BY_HAND = {
    "the next run tries again": "run it again",
    "The next run stores everything again": "Run it again",
    "the next run uses it": "run it again",
    _NEXT_RUN: "Run it again.",
}

KINDS: dict[str, Kind] = {
    "page_failed": Kind(
        _PAGE,
        "The API could not be reached, or has a fault of its own: the next run tries again.",
    ),
    "page_denied": Kind(_PAGE, "Check {setting} in .env.", "page_failed"),
    "page_refused": Kind(
        _PAGE,
        "The API's limit is used up: lower {setting}, or let the schedule run less often.",
        "page_failed",
    ),
    "page_untrusted": Kind(
        _PAGE, "If the server is yours, name its authority in DOWNLOAD_CA_FILE.", "page_failed"
    ),
    "page_too_slow": Kind(
        _PAGE,
        "If the API is this slow, or its pages are this large, raise {setting}.",
        "page_failed",
    ),
    "page_unknown": Kind(
        _PAGE,
        "The API does not have what is asked for: check the arguments of the crawl.",
        "page_failed",
    ),
    "page_dropped": Kind(
        _PAGE,
        "A setting or a middleware of this project keeps the request back: see the log.",
        "page_failed",
    ),
    "page_spoiled": Kind(_PAGE, _LEFT_OUT, "page_failed"),
    "pages_missing": Kind(
        f"{_PAGE}{{others}}; the other pages are stored; if it is always so, accept it with"
        " -s PAGINATION_MISSING_MAX={missing_count}",
        f"{_LEFT_OUT} If it always does, PAGINATION_MISSING_MAX={{missing_count}} accepts it.",
        "finished",
    ),
    "pagination_unknown": Kind("the list may go on: {why}", _LEFT_OUT),
    "pagination_circle": Kind(
        "the link to {url} leads back to a page that was read already", _LEFT_OUT
    ),
    "list_moved": Kind(
        "the list may be incomplete: it changed while it was read, {times} times in a row; ask for"
        " an order that does not change, or accept it with -s PAGINATION_READINGS_MAX=1",
        "Ask for an order that does not change; PAGINATION_READINGS_MAX=1 accepts it.",
    ),
    "end_in_doubt": Kind("the list is incomplete: {why}", _LEFT_OUT),
    "key_not_unique": Kind("{why}", "Run it again with -a key=FIELD,FIELD."),
    "no_key": Kind("{why}", "Run it again with -a key=FIELD."),
    "too_many_pages": Kind(
        "the list does not end within PAGINATION_PAGES_MAX={most} pages",
        "If the list is this long, raise PAGINATION_PAGES_MAX.",
    ),
    "forbidden_link": Kind("{why}", "If you trust the host, name it in PAGINATION_HOSTS_ALLOWED."),
    "no_records": Kind("no page held any record, see the log", _LEFT_OUT),
    "records_lost": Kind("{lost} lost on their way, see the log", _LEFT_OUT),
    "records_uncounted": Kind("{why}, see the log", _LEFT_OUT),
    "records_rejected": Kind(
        "{rejected_count} records were rejected so far, more than REJECTED_SHARE_MAX={most} of all",
        _RECORDS,
    ),
    "rejected_share": Kind(
        "more than REJECTED_SHARE_MAX={most} of the records were rejected, see the log", _RECORDS
    ),
    "coins_missing": Kind(
        "{missing_count} of the {known_count} known coins are missing: more than"
        " DELISTED_SHARE_MAX={most} is taken for a fault of the API, and none is marked as"
        " delisted",
        _GONE.format("DELISTED_SHARE_MAX"),
    ),
    "coins_unchecked": Kind(
        "{missing_count} known coins did not come, more than DELISTING_CHECK_CALLS_MAX={most}"
        " calls can ask for: none is marked as delisted",
        _GONE.format("DELISTING_CHECK_CALLS_MAX"),
        "coins_missing",
    ),
    "found_by_key": Kind(
        "the list is incomplete: {found} came only when requested by key, more than"
        " DELISTED_SHARE_MAX={most} of all",
        f"{_LEFT_OUT} If it always does, raise DELISTED_SHARE_MAX.",
    ),
    "spider_exception": Kind("the spider raised an exception, see the log"),
    "feed_failed": Kind(
        "{why}", "Check the address of the feed, and whether it may be written to."
    ),
    "database_unreachable": Kind("{why}", _DATABASE),
    "database_unusable": Kind(
        "{why}", "Change the table as the message says; the next run uses it."
    ),
    "database_error": Kind("{why}", _DATABASE),
    "database_locked": Kind(
        "{why}",
        "End the session that holds the lock. The next run stores everything again.",
        "database_error",
    ),
    "database_full": Kind("{why}", "Make room on the disk of PostgreSQL.", "database_error"),
    "lease_lost": Kind(
        "{why}", "The process or its database stood still for a while: the other crawl went on."
    ),
    "not_finished": Kind("the crawl did not reach the last page: {why}", _LEFT_OUT),
    "not_begun": Kind("a part of the crawl could not begin, see the log"),
    "exhausted": Kind(
        "no calls are left for this crawl: {why}",
        "Wait until the month's calls are renewed, let the schedule run less often, or take a"
        " larger plan.",
    ),
    "skipped": Kind("{why}", "The run before takes longer than the time between two runs."),
    "interrupted": Kind("the crawl was interrupted", _NEXT_RUN, "shutdown"),
    "misconfigured": Kind("{why}", "Change the argument or the setting that the message names."),
    "died": Kind(
        "its process ended silently",
        "Its process was killed, or its machine or its network went away: see the end of its log.",
    ),
    "process_ended": Kind("{why}", "Its process could not close its row: see the end of its log."),
    "killed": Kind(
        "{why}",
        "Something killed its process, perhaps for lack of memory: see the log of the machine.",
    ),
    "stopped": Kind("it was told to stop before it began to crawl", _NEXT_RUN),
}


class Reason(Struct, frozen=True):
    """A code of :data:`KINDS`, and the figures of its sentence.

    A figure whose name ends in ``_count`` is a number of things.
    """

    code: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str:
        return KINDS[self.code].sentence.format_map(self.figures)

    def masked(self) -> "Reason":
        """The same without secrets in its figures."""
        shown = {
            name: masked(value) if isinstance(value, str) else value
            for name, value in self.figures.items()
        }
        return Reason(self.code, shown)

    @property
    def remedy(self) -> str:
        """What to do about it, in one sentence."""
        return KINDS[self.code].remedy.format_map(self.figures)

    @property
    def finish(self) -> str:
        """Scrapy's ``finish_reason``."""
        return KINDS[self.code].finish or self.code

    def for_people(self) -> str:
        """The message, with separators in its counts: ``17,000 known coins``."""
        shown = {
            name: f"{value:,}" if name.endswith("_count") and isinstance(value, int) else value
            for name, value in self.figures.items()
        }
        return KINDS[self.code].sentence.format_map(shown)


def database_reason(error: Exception, why: str) -> Reason:
    """An error of the database, by its SQLSTATE: the disk may be full, or a table locked."""
    # https://www.postgresql.org/docs/current/errcodes-appendix.html
    codes = {"53100": "database_full", "55P03": "database_locked"}
    code = codes.get(getattr(error, "sqlstate", None) or "", "database_error")
    return Reason(code, {"why": why})


def stored_reason(code: str | None, figures: Mapping[str, Any] | None) -> Reason | None:
    """The reason in a row; ``None`` if there is none, or it is one of a newer coinspider."""
    reason = Reason(code or "", figures or {})
    try:
        return reason if reason.message and reason.remedy else None
    except KeyError:
        return None


def by_hand(remedy: str) -> str:
    """The remedy for a crawl that no schedule runs again."""
    for said, instead in _BY_HAND.items():
        remedy = remedy.replace(said, instead)
    return remedy


def remarks_of(figures: Mapping[str, Any] | None) -> list[str]:
    """What a row says besides its reason, also about a crawl that is complete."""
    remarks = (figures or {}).get("remarks")
    return list(map(str, remarks)) if isinstance(remarks, list) else []  # a row may have anything


# What a page's HTTP status says about the cause.
_CAUSES = {
    **dict.fromkeys((401, 403), "page_denied"),
    429: "page_refused",
    **dict.fromkeys((400, 404, 405, 410, 422), "page_unknown"),
}


def page_reason(
    url: str, why: str, status: int | None = None, code: str = "", setting: str | None = None
) -> Reason:
    """Why a page did not come: by the status of its response, or by a setting that is too low.

    ``setting`` is the one that the remedy names.
    """
    figures = {"url": url, "why": why, "status": status, "setting": setting}
    other = "page_too_slow" if setting and not status else "page_failed"
    cause = _CAUSES.get(status or 0, other)
    return Reason(code or cause, {name: value for name, value in figures.items() if value})
