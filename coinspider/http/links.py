"""Links that an API sends: how they are read, and whether they may be followed."""

import asyncio
import re
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from scrapy import Request

from coinspider.errors import ConfigurationError, ForbiddenLinkError
from coinspider.text import visible

# One link of the header: its URL, then parameters, some in quotes that may contain anything.
_PARAMETER = r""";\s*([^\s=;,"]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",;]*)))?\s*"""
_LINK = rf"\s*<([^>]*)>\s*((?:{_PARAMETER})*)"


def linked(links: list[Any], relation: str = "next") -> str | None:
    """The URL of a relation in a list of objects, each with its ``rel`` and its ``href``."""
    for link in links:
        if isinstance(link, dict) and link.get("rel") == relation:
            return str(link.get("href") or link.get("url") or "") or None
    return None


def parse_links(header: str) -> dict[str, str]:
    """The URLs of a ``Link`` header by relation; the first if there are several.

    A link to a page without results does not count: https://docs.sentry.io/api/pagination/.
    """
    links: dict[str, str] = {}
    for url, parameters, *_ in re.findall(_LINK, header):
        named: dict[str, str] = {}
        for name, quoted, plain in re.findall(_PARAMETER, parameters):
            named.setdefault(name.lower(), (quoted or plain).lower())
        if named.get("results") != "false":
            for relation in named.get("rel", "").split():
                links.setdefault(relation, url)
    return links


# The key in a request's meta for the URL that the crawl began with.
HOME_META = "home_url"
DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what credentials are bound to."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)


def check_port(name: str, url: str) -> None:
    """Raise :exc:`ConfigurationError` if the port in the URL of that name is wrong."""
    try:
        origin(url)
    except ValueError:
        message = f"the port in {name} is not a number from 0 to 65535"
        raise ConfigurationError(message) from None


def check_link(
    link: str, home: str, allowed_hosts: Sequence[str] = (), rewrites: bool = False
) -> str:
    """The URL to follow for ``link``, in a crawl that began at ``home``.

    A link to the same host that says ``http`` where the crawl began with ``https`` comes from an
    API behind a TLS proxy that it doesn't know about: it is followed with ``https``. With
    ``rewrites``, any other host that is not allowed is replaced by the home host. Raises
    :exc:`ForbiddenLinkError` for any other host that is not allowed.
    """
    home_parts = urlsplit(home)
    try:
        parts = urlsplit(link)
        parts.port  # noqa: B018 (it is only parsed here)
    except ValueError as error:
        raise ForbiddenLinkError(f"a link is not a URL: {visible(link)[:200]} ({error})") from None
    if _is_behind_proxy(parts, home_parts):
        link = parts._replace(scheme="https", netloc=home_parts.netloc).geturl()
    if origin(link) == origin(home):
        return link
    if parts.scheme in DEFAULT_PORTS and parts.hostname in allowed_hosts:
        return link
    if rewrites and parts.scheme in DEFAULT_PORTS:
        return parts._replace(scheme=home_parts.scheme, netloc=home_parts.netloc).geturl()
    raise ForbiddenLinkError(
        f"a link leads from {home_parts.scheme}://{home_parts.netloc} to"
        f" {parts.scheme}://{parts.hostname or ''}, which PAGINATION_HOSTS_ALLOWED does not name;"
        " PAGINATION_REWRITE_ENABLED=1 requests the same from the first host"
    )


def _is_behind_proxy(parts: SplitResult, home: SplitResult) -> bool:
    upgrades = parts.scheme == "http" and home.scheme == "https"
    return upgrades and parts.hostname == home.hostname and parts.port in (None, 80, home.port)


class PrivateAddressMiddleware:
    """Keeps a link to another host from reaching into the network that the crawl runs in.

    If a request's meta has ``home_url``, where the crawl began, it is dropped if its host has a
    loopback, link-local or private address and that of ``home_url`` has not.
    """

    async def process_request(self, request: Request) -> None:
        home = request.meta.get(HOME_META)
        if not home or origin(request.url) == origin(home):
            return
        if await _is_private(request.url) and not await _is_private(home):
            host = urlsplit(request.url).hostname
            raise ForbiddenLinkError(f"a link leads from {urlsplit(home).hostname} to {host}, which"
                                   " is an address in the crawl's own network")  # fmt: skip


async def _is_private(url: str) -> bool:
    _, host, port = origin(url)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return False  # the download will report it
    addresses = (str(address[0]).partition("%")[0] for *_, address in found)
    return any(not ip_address(address).is_global for address in addresses)
