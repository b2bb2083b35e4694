"""The names and passwords: how they are kept, compared, and guessed at only slowly."""

import binascii
import hmac
import re
from base64 import b64decode
from collections.abc import Iterable
from getpass import getpass
from hashlib import scrypt, sha256
from math import ceil
from secrets import token_bytes
from typing import NamedTuple

from twisted.internet import reactor
from twisted.logger import Logger, LogLevel

from coinspider.daemon.gate.browsers import TxRequest, header, normal
from coinspider.daemon.gate.clients import KnownClients, Tally, Throttle, client_address
from coinspider.errors import RequestDeniedError
from coinspider.text import visible

log = Logger()
NAME_MAX = 100  # characters in the log
# https://www.rfc-editor.org/rfc/rfc7914: 16 MB and about 50 ms
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
_HASHED = re.compile(r"scrypt:([0-9a-f]{32}):([0-9a-f]{128})")
_WAITING = "{number} log-ins were refused unread, because their clients have to wait: {most}"


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


class Account(NamedTuple):
    """Who may log in; ``password`` is plain or hashed."""

    username: str
    password: str
    may_change: bool = True


class Credentials:
    """Compares them in constant time; delays clients that fail, and logs each failure."""

    def __init__(
        self,
        accounts: Iterable[Account],
        throttle: Throttle | None = None,
        proxies_trusted: Iterable[str] = (),
    ):
        self._accounts = tuple(accounts)
        self._proxies = frozenset(map(normal, proxies_trusted))
        self._throttle = throttle or Throttle()
        self._known = KnownClients()
        self._waiting = Tally(reactor, _WAITING)
        # Credentials that were right once need no other hash.
        self._key = token_bytes(32)
        self._right: dict[bytes, Account] = {}

    def check_header(self, txrequest: TxRequest) -> Account | None:
        """Whose credentials are in ``Authorization``, if any are. Raises if they are wrong."""
        scheme, _, encoded = header(txrequest, "Authorization").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            username, _, password = b64decode(encoded).partition(b":")
        except (binascii.Error, ValueError):
            username = password = b""
        return self.check(txrequest, username, password)

    def check(self, txrequest: TxRequest, username: bytes, password: bytes) -> Account:
        """Raises :exc:`RequestDeniedError` if they are wrong, or if the client has to wait.

        While it has to, nothing is compared, so that the answer tells nothing about a guess.
        """
        address = client_address(txrequest, self._proxies)
        client = self._known.find(txrequest, username) or address
        if wait := self._throttle.wait(client):
            self._throttle.count(client)
            self._waiting.note(address)
            raise RequestDeniedError(
                429, f"too many log-ins failed: try again in {ceil(wait)} s", wait
            )
        account = self._find(username, password)
        if account is None:
            self._fail(client, address, username)
            raise RequestDeniedError(401, "wrong name or password")
        self._known.remember(txrequest, username)
        return account

    def _find(self, username: bytes, password: bytes) -> Account | None:
        digest = hmac.digest(self._key, username + b":" + password, sha256)
        if account := self._right.get(digest):
            return account
        # All are compared, so that the time does not reveal which was wrong.
        named = [hmac.compare_digest(username, one.username.encode()) for one in self._accounts]
        account = self._accounts[named.index(True) if any(named) else 0]
        if is_password(password, account.password) and any(named):
            self._right[digest] = account
            return account
        return None

    def _fail(self, client: str, address: str, username: bytes) -> None:
        log.emit(
            LogLevel.warn,
            "Log-in as {name} from {client} failed, {count} in a row",
            name=visible(username.decode("utf-8", "replace"))[:NAME_MAX],
            client=address,
            count=self._throttle.fail(client),
        )


if __name__ == "__main__":
    print(hashed(getpass("Password: ")))  # noqa: T201
