"""The one reader of an API's errors: what a body says, and whether it refuses a call.

Every way out of it is linear in what it reads, and reads no more than ``BODY_MAX`` bytes.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any, NamedTuple

import msgspec
from scrapy.http import Response

from coinspider.http.limit.headers import clock_of, limit_in_headers, text_of
from coinspider.secrets import masked

WORDS_MAX = 200  # characters
BODY_MAX = 200_000  # bytes: no error is longer
_TEXT_MAX = 50_000  # bytes: nor what comes before its message
_DEPTH_MAX = 6
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Where APIs put the message, the most useful place first; without case, _ and -, and without what
# says that it is an error's: error_message and retMsg are here, too.
_PREFIX = r"^(error|err|ret)(?=(message|msg|description|code)$)"
_USUAL = "rootcause message msg detail details description title reason info"
_SENTENCES = tuple(_USUAL.split())
_RARE_SENTENCES = ("note", "information", "faultstring")
# Where the message may be below, or be the value itself.
_PLACES = ("error", "errors", "err", "fault", "status", "meta", "data", "result", "response")
_NAMES = (*_SENTENCES, *_RARE_SENTENCES, *_PLACES, "code", "type")
_ERRORS = ("error", "errors", "err", "errormessage", "errormsg", "errmsg")
_FLAGS = ("success", "ok", "status", "response", "state", "result", "message")
_FAILURE = frozenset(("error", "fail", "failed", "failure", "notok", "false"))
_SAYS_NOTHING = _FAILURE | {"ok", "success", "successful", "true"}
_NOISE = str.maketrans("", "", "_-")
_SUCCESS_CODES = (0, 200, 200_000)
_LONGEST_CODE = 18  # digits
_UNESCAPED_MAX = 4000  # characters
_MASKED_MAX = 4000  # characters: a key that begins in the words ends in these


class ErrorBody(NamedTuple):
    """What the body of an error says."""

    code: int | str | None
    words: str
    """The message on one line; empty if there is none."""


def read_error(body: bytes) -> ErrorBody:
    """The code and the message of an error, whatever its form and however deep they are.

    A JSON object says it at one of the usual places, an HTML page in its title, a text itself.
    """
    value = _decoded(body)
    if value is None:
        return ErrorBody(None, _short(_text_of(body.removeprefix(_BYTE_ORDER_MARK)[:_TEXT_MAX])))
    return ErrorBody(_code(value), _short(_sentence(value)))


def explain_body(body: bytes) -> str:
    """The same for people: where nothing is said, the first characters that came."""
    if not _is_text(body):
        return f"bytes that are not text ({body[:8].hex(' ')} ...)"
    return read_error(body).words or _short(body[:_TEXT_MAX].decode("utf-8", "replace"))


def is_error_object(body: bytes) -> bool:
    """Whether a JSON object is an error rather than a page of records."""
    value = _decoded(body)
    if not isinstance(value, dict):
        return False
    if any(part and _plain(name) in _ERRORS for name, part in value.items()):
        return True
    named = _named(value)
    flags = [named[name] for name in _FLAGS if name in named]
    if any(flag is False or _word(flag) in _FAILURE for flag in flags):
        return True
    # A code beside a message may be that of success; alone, it may be a record's.
    code = _code({"code": named.get("code")})
    has_words = any(isinstance(named.get(name), str) for name in _SENTENCES)
    return isinstance(code, int) and code not in _SUCCESS_CODES and has_words


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body.removeprefix(_BYTE_ORDER_MARK)[:BODY_MAX])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _plain(name: object) -> str:
    return str(name).lower().translate(_NOISE)


def _named(value: dict[Any, Any]) -> dict[str, Any]:
    """The members by their plain names."""
    return {re.sub(_PREFIX, "", _plain(name)): part for name, part in value.items()}


def _word(value: object) -> str:
    return value.strip().lower() if isinstance(value, str) else ""


def _sentence(value: Any, depth: int = _DEPTH_MAX) -> str:
    """The first sentence at one of the usual places."""
    match value:
        case str():
            is_empty = _word(value) in _SAYS_NOTHING or not any(map(str.isalpha, value))
            return "" if is_empty else value
        case list() if depth:
            return next(filter(None, (_sentence(part, depth - 1) for part in value[:3])), "")
        case dict() if depth:
            named = _named(value)
            found = (_sentence(named.get(name), depth - 1) for name in _NAMES)
            return next(filter(None, found), "")
    return ""


def _code(value: Any, depth: int = _DEPTH_MAX) -> int | str | None:
    """The first code of an error, as a number where it is one."""
    if not isinstance(value, dict) or not depth:
        return None
    named = _named(value)
    match named.get("code"):
        case int() as code if not isinstance(code, bool):
            return code
        case str() as code if code:
            is_number = code.isascii() and code.isdecimal() and len(code) <= _LONGEST_CODE
            return int(code) if is_number else code
    below = (_code(named.get(name), depth - 1) for name in _PLACES)
    return next((code for code in below if code is not None), None)


def _is_text(body: bytes) -> bool:
    """Whether it is text, and not for example a compressed file without a header that says so."""
    start = body[:1000]
    wrong = start.decode("utf-8", "replace").count("\ufffd")
    return b"\0" not in start and start.count(b"\x1b") < 3 and 3 * wrong <= len(start)


def _text_of(body: bytes) -> str:
    """The title of an HTML page, or else its text."""
    lower = body.lower()
    title = lower.find(b"<title")
    begin, end = lower.find(b">", title) + 1, lower.find(b"</title", title)
    found = body[begin:end] if 0 <= title < begin <= end else b"".join(_outside_markup(body))
    # Shortened first: unescape makes numbers of digits, however many there are.
    return unescape(_short(found.decode("utf-8", "replace"), _UNESCAPED_MAX))


def _outside_markup(body: bytes) -> Iterator[bytes]:
    """What is outside of tags, comments, scripts and styles; each byte is looked at once."""
    lower, at = body.lower(), 0
    while (start := lower.find(b"<", at)) >= 0:
        yield body[at:start] + b" "
        closing = _closing(lower, start)
        end = lower.find(closing, start)
        if end < 0:  # and there is none further on
            yield body[start:] if closing == b">" else b""
            return
        at = end + len(closing)
    yield body[at:]


def _closing(lower: bytes, start: int) -> bytes:
    """What ends the markup that begins there."""
    for opening, closing in _CLOSINGS.items():
        if lower.startswith(opening, start):
            return closing
    return b">"


_CLOSINGS = {b"<!--": b"-->", b"<script": b"</script>", b"<style": b"</style>"}


def _short(text: str, longest: int = WORDS_MAX) -> str:
    """The text on one line, without control characters; no part of a key is left at the cut."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = masked(line[:_MASKED_MAX])
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


# A refusal only if a header says so. The first is for clients that ignore many refusals:
# https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits
_WITH_A_SIGN = (418, 403, 503)
_OF_A_KEY = (401, 402, 403, 429)
_NUMBER = r"[0-9]+(\.[0-9]+)?"  # some APIs send fractions
_LONGEST = 1e9  # seconds: anything longer makes no difference
# The month's calls are used up if one sentence says that something is used up, and either names a
# month, or a quota and no shorter time. CoinGecko's hint at its prices, in each refusal, does not.
_END_OF_SENTENCE = r"[.!?;]+(?:\s|$)"
_USED_UP = (
    r"(?i)exceed|reach|us(ed|ing) up|used all|exhaust|deplet|consum|insufficient"
    r"|not (enough|within)\b"
    r"|(ran|run|are) out\b|out of\b|\bover\b|\bhit\b|\bno\b|\bleft\b|remain|limit\b"
)
_UNIT = r"(sec(ond)?|min(ute)?|hr|hour|day|week)s?\b"
_TIME = (
    r"(?i)(?P<month>\bmonth(ly|'s|s)?\b|/mo(nth)?\b|\bbilling (period|cycle)\b"
    r"|\b((per|every|in|last|past)\s)?(28|30|31)[ -]?days?\b)"
    r"|\b(hourly|daily|weekly|today|tomorrow)\b"
    rf"|\b(per|every|each|an?|one|this|in|the|current|last|next|past)\s(\d+[ -]?)?{_UNIT}"
    rf"|\b\d+[ -]?{_UNIT}"
    rf"|(/\s?|\bper\s)(\d+[ -]?)?([smhdw]\b|{_UNIT})"
)
_QUOTA = r"(?i)\bcredits?\b|\bquota\b|\bplan\b"
_RATE = r"(?i)\brate[- ]?limit|too many (requests|calls)|throttl"
# A refusal may come with status 200. It is short, and has no records.
_SHORT_BODY = 4000  # bytes
_FEW_FIELDS = 2
_REFUSES = (
    r"(?i)rate[- ]?limit|too many (requests|calls|visits)|too (much|frequent)|throttl"
    r"|\bfrequency (limit|exceeded)"
)


def is_refusal(response: Response) -> bool:
    """Whether a response says that there were too many calls: its status, headers or body."""
    if response.status == 429:
        return True
    if response.status == 200:
        return _is_refusing_body(response.body)
    if response.status not in _WITH_A_SIGN:
        return False
    limit = limit_in_headers(response, datetime.now(UTC))
    return "Retry-After" in response.headers or bool(limit and limit.remaining == 0)


def _is_refusing_body(body: bytes) -> bool:
    if len(body) > _SHORT_BODY or body[:1] == b"[" or not re.search(_REFUSES.encode(), body):
        return False
    value = _decoded(body)
    only_words = value is None or (
        isinstance(value, dict) and all(isinstance(part, str) for part in value.values())
    )
    says_error = is_error_object(body) or (only_words and len(value or "") <= _FEW_FIELDS)
    return says_error and bool(re.search(_REFUSES, read_error(body).words))


def is_exhausted(response: Response) -> bool:
    """Whether the message of a refusal (401, 402, 403, 429) is about a month or a plan."""
    if response.status not in _OF_A_KEY:
        return False
    said = map(_is_of_the_month, re.split(_END_OF_SENTENCE, read_error(response.body).words))
    return next((is_so for is_so in said if is_so is not None), False)


def _is_of_the_month(sentence: str) -> bool | None:
    """``None`` if the sentence does not say what is used up."""
    if not re.search(_USED_UP, sentence):
        return None
    if time := re.search(_TIME, sentence):  # of several, the first says what the sentence is about
        return bool(time["month"])
    return True if re.search(_QUOTA, sentence) and not re.search(_RATE, sentence) else None


# An API that gives only so much of a list says so with the same statuses as one whose list is over.
_CAP = (
    r"(?i)exceed|maximum|too (large|high|deep|many)|only the first|must be (less|lower|at most)"
    r"|not allowed|access token|upgrade|subscri|\bplan\b|limited to"
)
_NO_SUCH_PAGE = r"(?i)total|number of pages|last page|no (more|such|further)|available|not found"


def is_cap(words: str) -> bool:
    """Whether an error says that no more of a list is given, rather than that there is no more."""
    return bool(re.search(_CAP, words)) and not re.search(_NO_SUCH_PAGE, words)


class KnownErrors(NamedTuple):
    """What one API's own codes mean, beside what all APIs have in common.

    Its methods are what ``RATELIMIT_REFUSAL`` and ``RATELIMIT_EXHAUSTED`` may name.
    """

    refusals: Collection[int] = ()
    """Codes that say, with any status, that there were too many calls."""
    refusal_pages: bytes = rb"(?!)"
    """An expression for the pages with which a server in front refuses calls (403 and 503)."""
    used_up: Collection[int] = ()
    """Codes that say that the month's calls are used up."""
    hints: Mapping[int, str] = {}
    """What to do about other codes, which never mean that."""

    def is_refusal(self, response: Response) -> bool:
        """Whether the API refuses a call because of the rate limit, in whatever form."""
        if is_refusal(response):
            return True
        if response.status == 200:
            return response.body[:1] == b"{" and read_error(response.body).code in self.refusals
        page = response.body[:BODY_MAX] if response.status in (403, 503) else b""
        return bool(re.search(self.refusal_pages, page))

    def is_exhausted(self, response: Response) -> bool:
        """Whether it says that the month's credits are used up, and not that a key is wrong."""
        if response.status == 200 and response.body[:1] != b"{":
            return False
        code = read_error(response.body).code
        return code in self.used_up or (code not in self.hints and is_exhausted(response))

    def explain(self, response: Response) -> str:
        """What the API says in an error, and what to do about it."""
        error = read_error(response.body)
        hint = self.hints.get(error.code) if isinstance(error.code, int) else None
        return f"{error.words} ({hint})" if hint else error.words


def retry_after(response: Response, now: datetime) -> float | None:
    """The seconds in ``Retry-After``; ``None`` without it, or if it can't be read.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    value = text_of(response, "Retry-After")
    try:
        is_number = re.fullmatch(_NUMBER, value)
        said = float(value) if is_number else _until(value, clock_of(response, now))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(said, _LONGEST) if said > 0 else None


def _until(http_date: str, now: datetime) -> float:
    moment = parsedate_to_datetime(http_date)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
