"""Who asks: a client's address, whether it has to wait, and whether it has logged in before."""

import hmac
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from secrets import token_bytes, token_urlsafe
from typing import Any, NamedTuple

from twisted.logger import Logger, LogLevel

from coinspider.daemon.gate.browsers import TxRequest, header_values, host_name, normal, set_cookie

log = Logger()
FREE_FAILURES = 3
FORGOTTEN_AFTER = 900.0  # seconds
WAIT_STEP, WAIT_MAX = 0.1, 5.0  # seconds
CLIENTS_MAX = 10_000
KNOWN_FOR = 30 * 86_400  # seconds
TOLD_EVERY = 60.0  # seconds
_NAMED = 3


def client_address(txrequest: TxRequest, proxies: frozenset[str]) -> str:
    """The last forwarded address that is not itself a trusted proxy.

    Anything before it in ``X-Forwarded-For`` was set by the client. Some proxies add its port.
    """
    client = normal(getattr(txrequest.getClientAddress(), "host", "unix socket"))
    told = ",".join(header_values(txrequest, "X-Forwarded-For")).split(",")
    while client in proxies and told:
        name = told.pop().strip()
        client = host_name(name) or normal(name) or client
    return client


def _network(client: str) -> str:
    """All IPv6 addresses of one customer count as one client, and all of this machine."""
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if address.is_loopback:
        return "127.0.0.1"
    if isinstance(address, IPv6Address) and not address.ipv4_mapped:
        return str(ip_network(f"{address}/64", strict=False))
    return client


class Tally:
    """Logs what may happen too often for one line each: the first, then each minute's number."""

    def __init__(self, clock: Any, line: str):
        self._clock, self._line = clock, line
        self._counts: Counter[str] = Counter()
        self._is_running = False

    def note(self, client: str) -> None:
        self._counts[client] += 1
        if not self._is_running:
            self._tell()

    def _tell(self) -> None:
        self._is_running = bool(self._counts)
        if not self._is_running:
            return
        most = ", ".join(f"{client} ({n})" for client, n in self._counts.most_common(_NAMED))
        log.emit(LogLevel.warn, self._line, number=self._counts.total(), most=most)
        self._counts.clear()
        self._clock.callLater(TOLD_EVERY, self._tell)


class _Failures(NamedTuple):
    number: int
    until: float
    last: float


class Throttle:
    """After three failures in a row a client's next attempt waits, longer each time, up to 5 s.

    A success changes nothing: who shares the address of one that is let in must not gain by it.
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

    def count(self, client: str) -> None:
        """Note an attempt of a client that has to wait: the next wait is longer, this one is not.

        Otherwise those who share an address with somebody who guesses would wait for ever.
        """
        found = self._clients[_network(client)]
        self._clients[_network(client)] = found._replace(number=found.number + 1, last=self._now())


class KnownClients:
    """Clients that have logged in themselves: their failures are counted apart.

    A cookie tells, because an address may be shared with somebody who guesses. It holds for the one
    name, so that who may only read gains nothing for guessing another's password.
    https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
    """

    def __init__(self) -> None:
        self._key = token_bytes(32)

    def find(self, txrequest: TxRequest, username: bytes) -> str:
        """What the client is called for the throttle; empty if it is not known by that name."""
        cookie = txrequest.getCookie(_cookie_name(txrequest).encode()) or b""
        number, _, mark = cookie.partition(b".")
        is_known = hmac.compare_digest(mark, self._mark(number, username))
        return f"known client {number.decode()}" if is_known else ""

    def remember(self, txrequest: TxRequest, username: bytes) -> None:
        if not self.find(txrequest, username):
            number = token_urlsafe(12)
            value = f"{number}.{self._mark(number.encode(), username).decode()}"
            set_cookie(txrequest, _cookie_name(txrequest), value, KNOWN_FOR)

    def _mark(self, number: bytes, username: bytes) -> bytes:
        return hmac.new(self._key, number + b":" + username, sha256).hexdigest().encode()


def _cookie_name(txrequest: TxRequest) -> str:
    return f"coinspider_known_{getattr(txrequest.getHost(), 'port', 'socket')}"
