"""A name for an API and a key, by which calls are counted; it does not reveal the key."""

from hashlib import sha256
from urllib.parse import urlsplit

_DIGITS = 8


def account_name(url: str, key: str | None) -> str:
    """``api.example key 1a2b3c4d``: the host, and a part of the key's hash.

    Calls without a key form one account, because most APIs count them by address.
    """
    host = urlsplit(url).netloc.rpartition("@")[2].lower()
    if not key:
        return f"{host} without key"
    return f"{host} key {sha256(key.encode()).hexdigest()[:_DIGITS]}"
