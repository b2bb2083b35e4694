"""What an API, or a server in front of it, says in a body without records."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any

import msgspec
from scrapy.http import Response

from coinspider.http.limit.headers import clock_of, told_limit

WORDS_MAX = 200  # characters
_TITLE = r"(?is)<title[^>]*>(.*?)</title>"
_MARKUP = r"(?is)<!--.*?-->|<(script|style)\b.*?</\1>|<[^>]+>"
# Where APIs put the message, the most useful place first.
_SENTENCES = (
    "error_message", "errorMessage", "message", "Message", "error_description", "detail", "msg",
    "description", "title", "reason", "Note", "Information", "error", "errors", "status", "data",
    "result", "code", "fault", "faultstring", "__type",
)  # fmt: skip


def explain_body(body: bytes) -> str:
    """The sentence of an error object, the title of an HTML page, or the first words of a text."""
    text = body[:100_000].decode("utf-8", "replace").strip()
    if text.startswith(("{", "[")):
        try:
            return _short(_sentence(msgspec.json.decode(body)) or text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _short(text)
    if not _is_text(body):
        return f"bytes that are not text ({body[:8].hex(' ')} ...)"
    if title := re.search(_TITLE, text):
        return _short(unescape(title[1]))
    return _short(unescape(re.sub(_MARKUP, " ", text)))


def is_error_object(body: bytes) -> bool:
    """Whether a JSON object is an error rather than a page of records."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return any(fields.get(name) for name in ("error", "errors", "error_message", "errorMessage"))


def _is_text(body: bytes) -> bool:
    """Whether it is text, and not for example a compressed file without a header that says so."""
    start = body[:1000]
    wrong = start.decode("utf-8", "replace").count("\ufffd")
    return b"\0" not in start and start.count(b"\x1b") < 3 and 3 * wrong <= len(start)


def _sentence(value: Any, depth: int = 4) -> str | None:
    """The first sentence at one of the usual places."""
    match value:
        case str():
            return value
        case [first, *_] if depth:
            return _sentence(first, depth - 1)
        case dict() if depth:
            found = (_sentence(value.get(name), depth - 1) for name in _SENTENCES)
            return next(filter(None, found), None)
    return None


def _short(text: str) -> str:
    return " ".join(text.split())[:WORDS_MAX]


WORDS_MAX2 = 200  # characters
# A refusal only if a header says so. The first is for clients that ignore many refusals:
# https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits
_WITH_A_SIGN = (418, 403, 503)
_MESSAGES = (
    "error_message", "message", "detail", "error_description", "error", "title", "reason",
    "info", "description", "msg",
)  # fmt: skip
_BELOW = ("status", "error", "errors", "err", "meta")
_NUMBER = r"[0-9]+(\.[0-9]+)?"  # some APIs send fractions
_LONGEST = 1e9  # seconds: anything longer makes no difference
_COMMENT = r"(?si)<!--.*?-->|<(script|style)\b.*?</\1>"
_TITLE2 = r"(?si)<title[^>]*>(.*?)</title>"
_TAG = r"<[^>]*>"
# The month's calls are used up if one sentence says that something is used up, and either names a
# month, or a quota and no shorter time. CoinGecko's hint at its prices, in each refusal, does not.
_SENTENCE = r"[.!?;]+(?:\s|$)"
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


def is_refusal(response: Response) -> bool:
    """Whether the status and headers of a response say that there were too many calls."""
    if response.status == 429:
        return True
    if response.status not in _WITH_A_SIGN:
        return False
    told = told_limit(response, datetime.now(UTC))
    return "Retry-After" in response.headers or bool(told and told.remaining == 0)


def is_exhausted(response: Response) -> bool:
    """Whether the message of a refusal (401, 402, 403, 429) is about a month or a plan."""
    if response.status not in (401, 402, 403, 429):
        return False
    said = map(_is_of_the_month, re.split(_SENTENCE, refusal_words(response)))
    return next((is_so for is_so in said if is_so is not None), False)


def _is_of_the_month(sentence: str) -> bool | None:
    """``None`` if the sentence does not say what is used up."""
    if not re.search(_USED_UP, sentence):
        return None
    if time := re.search(_TIME, sentence):  # of several, the first says what the sentence is about
        return bool(time["month"])
    return True if re.search(_QUOTA, sentence) and not re.search(_RATE, sentence) else None


def retry_after(response: Response, now: datetime) -> float | None:
    """The seconds in ``Retry-After``; ``None`` without it, or if it can't be read.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    value = (response.headers.get("Retry-After") or b"").decode("latin-1").strip()
    try:
        is_number = re.fullmatch(_NUMBER, value)
        said = float(value) if is_number else _until(value, clock_of(response, now))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(said, _LONGEST) if said > 0 else None


def _until(http_date: str, now: datetime) -> float:
    moment = parsedate_to_datetime(http_date)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()


def refusal_words(response: Response) -> str:
    """The message in the body of an error, as one line; empty if there is none."""
    try:
        text = _message(msgspec.json.decode(response.body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        html = re.sub(_COMMENT, " ", response.body[:20_000].decode("utf-8", "replace"))
        title = re.search(_TITLE2, html)
        text = title[1] if title else re.sub(_TAG, " ", html)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= WORDS_MAX2 else f"{text[: WORDS_MAX - 1]}…"


def _message(body: Any) -> str:
    """The first message in an error's JSON, however deep it is."""
    match body:
        case str():
            return body
        case list():
            return next(filter(None, map(_message, body[:3])), "")
        case dict():
            return _message_of_object(body)
    return ""


def _message_of_object(body: dict[str, Any]) -> str:
    named = {str(name).lower(): value for name, value in body.items()}
    own = (named[name] for name in _MESSAGES if isinstance(named.get(name), str))
    below = (_message(named[name]) for name in _BELOW if name in named)
    return next(filter(None, [*own, *below]), "")
