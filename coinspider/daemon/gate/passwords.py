"""The name and the password: how they are kept, compared, and guessed at only slowly."""

import binascii
import hmac
import re
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Iterable
from getpass import getpass
from hashlib import scrypt, sha256
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from secrets import token_bytes
from typing import NamedTuple

from twisted.logger import Logger, LogLevel

from coinspider.daemon.gate.browsers import TxRequest, header, normal
from coinspider.errors import RequestDeniedError
from coinspider.text import visible

log = Logger()
NAME_MAX = 100  # characters in the log
FREE_FAILURES = 3
FORGOTTEN_AFTER = 900.0  # seconds
WAIT_STEP, WAIT_MAX = 0.1, 5.0  # seconds
CLIENTS_MAX = 10_000
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


class _Failures(NamedTuple):
    number: int
    until: float
    last: float


class Throttle:
    """After three failures in a row a client's next attempt waits, longer each time, up to 5 s.

    The password is compared only after the wait, so more connections don't help a client.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._clients: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, client: str) -> float:
        """Seconds until it may try again."""
        found = self._clients.get(_network(client))
        return max(0.0, found.until - self._now()) if found else 0.0

    def fail(self, client: str) -> int:
        """The number of failures in a row, including this one."""
        now, client = self._now(), _network(client)
        found = self._clients.pop(client, None)
        count = found.number + 1 if found and now - found.last < FORGOTTEN_AFTER else 1
        wait = min(max(0, count - FREE_FAILURES) * WAIT_STEP, WAIT_MAX)
        self._clients[client] = _Failures(count, now + wait, now)
        if len(self._clients) > CLIENTS_MAX:
            self._clients.popitem(last=False)
        return count

    def succeed(self, client: str) -> None:
        self._clients.pop(_network(client), None)


def _network(client: str) -> str:
    """All IPv6 addresses of one customer count as one client."""
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if isinstance(address, IPv6Address) and not address.ipv4_mapped:
        return str(ip_network(f"{address}/64", strict=False))
    return client


class Credentials:
    """Compares them in constant time; delays clients that fail, and logs each failure."""

    def __init__(
        self,
        username: str,
        password: str,
        throttle: Throttle | None = None,
        proxies_trusted: Iterable[str] = (),
    ):
        self._username, self._password = username.encode(), password
        self._proxies = frozenset(map(normal, proxies_trusted))
        self._throttle = throttle or Throttle()
        # Credentials that were right once need no other hash, and no waiting for others' failures.
        self._key = token_bytes(32)
        self._right = b""

    def check_header(self, txrequest: TxRequest) -> bool:
        """Whether the request has them in ``Authorization``. Raises if they are wrong."""
        scheme, _, encoded = header(txrequest, "Authorization").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            username, _, password = b64decode(encoded).partition(b":")
        except (binascii.Error, ValueError):
            username = password = b""
        self.check(txrequest, username, password)
        return True

    def check(self, txrequest: TxRequest, username: bytes, password: bytes) -> None:
        """Raises :exc:`RequestDeniedError` if they are wrong, or if the client has to wait."""
        digest = hmac.digest(self._key, username + b":" + password, sha256)
        if hmac.compare_digest(digest, self._right):
            return
        client = self._client(txrequest)
        if wait := self._throttle.wait(client):
            raise RequestDeniedError(
                429, f"too many log-ins failed: try again in {ceil(wait)} s", wait
            )
        # Both are compared, so that the time does not reveal which was wrong.
        is_user = hmac.compare_digest(username, self._username)
        if is_password(password, self._password) and is_user:
            self._throttle.succeed(client)
            self._right = digest
            return
        count = self._throttle.fail(client)
        log.emit(
            LogLevel.warn,
            "Log-in as {name} from {client} failed, {count} in a row",
            name=visible(username.decode("utf-8", "replace"))[:NAME_MAX],
            client=client,
            count=count,
        )
        raise RequestDeniedError(401, "wrong name or password")

    def _client(self, txrequest: TxRequest) -> str:
        """The client: the last forwarded address that is not itself a trusted proxy.

        Anything before it in the header was set by the client.
        """
        client = normal(getattr(txrequest.getClientAddress(), "host", "unix socket"))
        told = ",".join(txrequest.requestHeaders.getRawHeaders("X-Forwarded-For", [])).split(",")
        while client in self._proxies and told:
            client = normal(told.pop()) or client
        return client


if __name__ == "__main__":
    print(hashed(getpass("Password: ")))  # noqa: T201
