"""The fields of a record that have no column, for people."""

from typing import Any

import msgspec
from msgspec import Raw

_NOTHING = (b"null", b"{}", b"[]", b'""')


def other_fields(extra: Any) -> dict[str, str]:
    """Those with a value, as text; the fields of an object are ``roi times``, ``roi currency``."""
    found: dict[str, str] = {}
    for name, value in _fields(extra).items():
        inner = _fields(value)
        found |= {f"{name} {key}": _text(each) for key, each in inner.items()} or (
            {} if bytes(value) in _NOTHING else {name: _text(value)}
        )
    return found


def _fields(value: Any) -> dict[str, Raw]:
    """An object's; others have none."""
    text = bytes(value) if isinstance(value, Raw) else b""
    return msgspec.json.decode(text, type=dict[str, Raw]) if text.startswith(b"{") else {}


def _text(value: Raw) -> str:
    """A text without its quotes, anything else as it is."""
    text = bytes(value)
    return msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()
