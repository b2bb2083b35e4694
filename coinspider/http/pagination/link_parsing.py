"""Reads the links in a ``Link`` header, or in a list of link objects."""

import re
from typing import Any

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
