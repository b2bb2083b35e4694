"""A name for an API and a key, by which calls are counted; it does not reveal the key."""

import re
from collections.abc import Mapping
from hashlib import sha256

from coinspider.http.links import origin

_DIGITS = 8
_SECRET_HEADER = re.compile("authorization|cookie|key|token|secret", re.IGNORECASE)
_USUAL_PORTS = (80, 443)


def account_name(url: str, key: str | None) -> str:
    """``api.example key 1a2b3c4d``: the host, and a part of the key's hash.

    Calls without a key form one account, because most APIs count them by address.
    """
    _, host, port = origin(url)
    host = f"[{host}]" if ":" in host else host
    place = host if port in _USUAL_PORTS else f"{host}:{port}"
    if not key:
        return f"{place} without key"
    return f"{place} key {sha256(key.encode()).hexdigest()[:_DIGITS]}"


def key_in_headers(headers: Mapping[str, str]) -> str | None:
    """The key that somebody has put into a header, without the word ``Bearer`` before it."""
    for name, value in headers.items():
        if _SECRET_HEADER.search(name) and value.strip():
            return value.split()[-1]
    return None
