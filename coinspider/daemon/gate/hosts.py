"""The host names that this scrapyd answers to; foreign names that lead here are rejected."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)


class AllowedHosts:
    """The loopback names, the address that is bound, and those that are ``named``.

    In DNS rebinding, a page's own name points to 127.0.0.1, and is not among them.
    """

    def __init__(self, bind_address: str, named: Iterable[str] = ()):
        self.named = frozenset(map(normal, named))
        self.names = LOOPBACK | self.named | {normal(bind_address)}

    def allows(self, txrequest: Any) -> bool:
        """Whether the request has one ``Host``, and that is a name of this scrapyd."""
        name = host_name(_host(txrequest))
        # If it is bound to all addresses, the one that the client connected to.
        own = getattr(txrequest.getHost(), "host", "")
        return bool(name) and (name in self.names or name == normal(own))

    def owns(self, origin: str, txrequest: Any) -> bool:
        """Whether this origin is this scrapyd."""
        _, _, netloc = origin.partition("://")
        if not netloc:
            return False
        return netloc.lower() == _host(txrequest).lower() or host_name(netloc) in self.named


def normal(name: str) -> str:
    """A host's name or address, normalised for comparison."""
    name = name.strip().lower().removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def host_name(host: str) -> str:
    """The name in ``name:port``; empty where it is none."""
    found = _HOST.fullmatch(host)
    return normal(found[1]) if found else ""


def _host(txrequest: Any) -> str:
    hosts = txrequest.requestHeaders.getRawHeaders("Host", [])
    return str(hosts[0]) if len(hosts) == 1 else ""
