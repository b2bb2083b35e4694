"""How an API says that it was asked too often, and for how long, and in what words."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from scrapy.http import Response

from coinspider.http.limit_headers import told_limit

WORDS_MAX = 200  # characters
_MESSAGES = ("error_message", "message", "detail", "error_description", "error", "title", "reason")
_COMMENT = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1>", re.S | re.I)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.S | re.I)
_TAG = re.compile(r"<[^>]*>")
# Of a limit that only time until the next month (or money) moves. A page about prices, which
# CoinGecko names in each refusal, is not such a word.
_MONTH = re.compile(r"\bmonth(ly|'s)?\b|\bcredits?\b", re.I)
_QUOTA = re.compile(r"\bquota\b|(exceed|reach|used up|exhaust|limit\b)[^.]*\bplan\b", re.I)
_SHORT = re.compile(r"(\b(per|every|an?) |/\s?)(s|sec|second|min|minute|h|hour)s?\b", re.I)
_RATE = re.compile(r"\b(rate limit|too many requests)", re.I)


def is_refusal(response: Response) -> bool:
    """Whether a server says by its status and its headers that it was asked too often."""
    if response.status == 429:
        return True
    if response.status not in (403, 503):
        return False
    told = told_limit(response, datetime.now(UTC))
    return "Retry-After" in response.headers or bool(told and told.remaining == 0)


def is_exhausted(response: Response) -> bool:
    """Whether the words of a refusal (401, 402, 403, 429) are of what a month or a plan allows."""
    if response.status not in (401, 402, 403, 429):
        return False
    words = refusal_words(response)
    if _SHORT.search(words):
        return False
    return bool(_MONTH.search(words) or (_QUOTA.search(words) and not _RATE.search(words)))


def retry_after(response: Response, now: datetime) -> float | None:
    """The seconds that ``Retry-After`` says; ``None`` without it, or where it says nothing.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    value = (response.headers.get("Retry-After") or b"").decode("latin-1").strip()
    try:
        seconds = float(value) if value.isdecimal() else _until(value, now)
    except (ValueError, TypeError):
        return None
    return seconds if seconds > 0 else None


def _until(http_date: str, now: datetime) -> float:
    return (parsedate_to_datetime(http_date) - now).total_seconds()


def refusal_words(response: Response) -> str:
    """What the body of an error says, as one line; nothing where it says nothing."""
    try:
        text = _message(msgspec.json.decode(response.body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        html = _COMMENT.sub(" ", response.body[:20_000].decode("utf-8", "replace"))
        title = _TITLE.search(html)
        text = title[1] if title else _TAG.sub(" ", html)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= WORDS_MAX else f"{text[: WORDS_MAX - 1]}…"


def _message(body: Any) -> str:
    """The first message in an error's JSON, however deep CoinGecko and others put it."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return next(filter(None, map(_message, body[:3])), "")
    if not isinstance(body, dict):
        return ""
    own = (body[name] for name in _MESSAGES if isinstance(body.get(name), str))
    below = (_message(body[n]) for n in ("status", "error", "errors", "meta") if n in body)
    return next(filter(None, [*own, *below]), "")
