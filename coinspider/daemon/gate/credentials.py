"""Checks this scrapyd's name and password."""

import binascii
import hmac
from base64 import b64decode
from collections.abc import Iterable
from hashlib import sha256
from math import ceil
from secrets import token_bytes
from typing import Any

from twisted.logger import Logger, LogLevel

from coinspider.daemon.gate.hosts import normal
from coinspider.daemon.gate.origins import header
from coinspider.daemon.gate.passwords import is_password
from coinspider.daemon.gate.throttle import Throttle
from coinspider.errors import RequestDeniedError
from coinspider.text import visible

log = Logger()
NAME_MAX = 100  # characters in the log


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

    def check_header(self, txrequest: Any) -> bool:
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

    def check(self, txrequest: Any, username: bytes, password: bytes) -> None:
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
            name=visible(username.decode("utf-8", "replace"))[:NAME_MAX], client=client,
            count=count,
        )  # fmt: skip
        raise RequestDeniedError(401, "wrong name or password")

    def _client(self, txrequest: Any) -> str:
        """The client: the last forwarded address that is not itself a trusted proxy.

        Anything before it in the header was set by the client.
        """
        client = normal(getattr(txrequest.getClientAddress(), "host", "unix socket"))
        told = ",".join(txrequest.requestHeaders.getRawHeaders("X-Forwarded-For", [])).split(",")
        while client in self._proxies and told:
            client = normal(told.pop()) or client
        return client
