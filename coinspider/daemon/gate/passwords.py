"""Passwords, plain or hashed: ``python -m coinspider.daemon.gate.passwords``."""

import hmac
import re
from getpass import getpass
from hashlib import scrypt
from secrets import token_bytes

# https://www.rfc-editor.org/rfc/rfc7914: 16 MB and about 50 ms
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
_HASHED = re.compile(r"scrypt:([0-9a-f]{32}):([0-9a-f]{128})")


def hashed(password: str) -> str:
    """For ``SCRAPYD_PASSWORD``: ``scrypt:SALT:HASH``."""
    salt = token_bytes(16)
    return f"scrypt:{salt.hex()}:{_hash(password.encode(), salt).hex()}"


def is_password(given: bytes, kept: str) -> bool:
    """Whether it is the stored one, plain or hashed, in constant time."""
    if found := _HASHED.fullmatch(kept):
        salt, wanted = map(bytes.fromhex, found.groups())
        return hmac.compare_digest(_hash(given, salt), wanted)
    return hmac.compare_digest(given, kept.encode())


def _hash(password: bytes, salt: bytes) -> bytes:
    return scrypt(password, salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL)


if __name__ == "__main__":
    print(hashed(getpass("Password: ")))  # noqa: T201
