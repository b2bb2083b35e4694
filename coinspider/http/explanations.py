"""What an API, or a server in front of it, says in a body without records."""

import re
from html import unescape
from typing import Any

import msgspec

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
