"""Links that an API sends: how they are read, and whether they may be followed."""

import asyncio
import re
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from scrapy import Request
from w3lib.url import safe_url_string

from coinspider.errors import ConfigurationError, ForbiddenLinkError
from coinspider.secrets import masked
from coinspider.text import visible

# The longest header that is read; no link in one is longer.
_HEADER_MAX = 65_536  # characters
_LINK_SHOWN = 200  # characters
# A parameter of a link in a header; a text in quotes may contain anything.
_PARAMETER = re.compile(
    r"""\s*;\s*([^\s=;,"<>]*)\s*(?:=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^\s",;<>]*)))?\s*""",
    re.DOTALL,
)
# What no link needs, and what other programs than this one read in another way.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_HOST = re.compile(r"(?:[0-9A-Za-z_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


def linked(links: list[object]) -> str | None:
    """The next URL in a list of objects, each with its ``rel`` and its ``href``."""
    for link in links:
        if isinstance(link, dict) and link.get("rel") == "next":
            return str(link.get("href") or link.get("url") or "") or None
    return None


def parse_links(header: str) -> dict[str, str]:
    """The URLs of a ``Link`` header by relation; the first if there are several.

    A link to a page without results does not count: https://docs.sentry.io/api/pagination/.
    """
    links: dict[str, str] = {}
    header, at = header[:_HEADER_MAX], 0
    while (start := header.find("<", at)) >= 0 and (end := header.find(">", start)) >= 0:
        named, at = _parameters(header, end + 1)
        if named.get("results") != "false":
            for relation in named.get("rel", "").split():
                links.setdefault(relation, header[start + 1 : end])
    return links


def _parameters(header: str, at: int) -> tuple[dict[str, str], int]:
    """The parameters of a link, and where they end; each character is looked at once."""
    named: dict[str, str] = {}
    while parameter := _PARAMETER.match(header, at):
        name, quoted, plain = parameter.groups("")
        named.setdefault(name.lower(), (quoted or plain).lower())
        at = parameter.end()
    return named, at


# The key in a request's meta for the URL that the crawl began with.
HOME_META = "home_url"
DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what credentials are bound to."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)


def normal_url(url: str) -> str:
    """The one form of a URL: as Scrapy asks for it, with a host that all programs read alike.

    Raises :exc:`ValueError` for anything else, such as a backslash, a user or a control character.
    """
    url = url.strip(" \t\r\n")
    if _FORBIDDEN.search(url.replace(" ", "%20")):
        raise ValueError("it has a backslash or a control character")
    normal = safe_url_string(url)
    parts = urlsplit(normal)
    parts.port  # noqa: B018 (it is only parsed here)
    if "@" in parts.netloc:
        raise ValueError("it has a user or a password")
    if parts.netloc and not _HOST.fullmatch(parts.netloc):
        raise ValueError("its host is no name or address")
    return normal


def is_at_home(request: Request) -> bool:
    """Whether a request goes where its crawl began, judging by what is really sent."""
    home = request.meta.get(HOME_META)
    return not home or origin(request.url) == origin(normal_url(home))


def check_url(name: str, url: str) -> None:
    """Raise :exc:`ConfigurationError` if a crawl can't begin at the URL of that name."""
    try:
        normal_url(url)
    except ValueError as error:
        if "Port" in str(error) or "port" in str(error):
            message = f"the port in {name} is not a number from 0 to 65535"
        elif "user" in str(error):
            message = f"{name} has a user or a password: set API_USERNAME and API_PASSWORD instead"
        else:
            message = f"{name} is not a URL: {error}"
        raise ConfigurationError(message) from None


def check_link(
    link: str, home: str, allowed_hosts: Sequence[str] = (), rewrites: bool = False
) -> str:
    """The URL to request for ``link``, in its normal form, in a crawl that began at ``home``.

    A link to the same host that says ``http`` where the crawl began with ``https`` comes from an
    API behind a TLS proxy that it doesn't know about: it is followed with ``https``. With
    ``rewrites``, any other host that is not allowed is replaced by the home host. Raises
    :exc:`ForbiddenLinkError` for any other host that is not allowed.
    """
    home = safe_url_string(home)
    home_parts = urlsplit(home)
    try:
        link = normal_url(link)
    except ValueError as error:
        shown = visible(masked(link))[:_LINK_SHOWN]
        raise ForbiddenLinkError(f"a link is not a URL: {shown} ({error})") from None
    parts = urlsplit(link)
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
        if is_at_home(request):
            return
        home = request.meta[HOME_META]
        if await _is_private(request.url) and not await _is_private(home):
            host = urlsplit(request.url).hostname
            raise ForbiddenLinkError(f"a link leads from {urlsplit(home).hostname} to {host}, which"
                                   " is an address in the crawl's own network")  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is always this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def _is_private(url: str) -> bool:
    _, host, port = origin(url)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return False  # the download will report it
    addresses = (str(address[0]).partition("%")[0] for *_, address in found)
    return any(not ip_address(address).is_global for address in addresses)
