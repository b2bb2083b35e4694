"""The names that this scrapyd answers to, so that no foreign name can be made to lead here."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)


class AllowedHosts:
    """The loopback names, the address that is bound, and those that are ``named``.

    DNS rebinding: a page's own name, which its owner lets point to 127.0.0.1, is none of them.
    """

    def __init__(self, bind_address: str, named: Iterable[str] = ()):
        self.named = frozenset(map(normal, named))
        self.names = LOOPBACK | self.named | {normal(bind_address)}

    def allows(self, txrequest: Any) -> bool:
        """Whether the request has one ``Host``, and that is a name of this scrapyd."""
        name = host_name(_host(txrequest))
        # Bound to all addresses, it is the one that the client has connected to.
        own = getattr(txrequest.getHost(), "host", "")
        return bool(name) and (name in self.names or name == normal(own))

    def owns(self, origin: str, txrequest: Any) -> bool:
        """Whether a page of this origin is one of this scrapyd's."""
        _, _, netloc = origin.partition("://")
        if not netloc:
            return False
        return netloc.lower() == _host(txrequest).lower() or host_name(netloc) in self.named


def normal(name: str) -> str:
    """A host's name or address in the form in which it is compared."""
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
