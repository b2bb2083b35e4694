"""How often a client may fail to log in."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

FREE_FAILURES = 3
FORGOTTEN_AFTER = 900.0  # seconds
WAIT_STEP, WAIT_MAX = 0.1, 5.0  # seconds
CLIENTS_MAX = 10_000


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
