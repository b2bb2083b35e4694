"""The request for a page, as a value that holds everything a strategy must remember."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from w3lib.url import add_or_replace_parameter, url_query_parameter

from coinspider.http.pagination.look_ahead import LookAhead
from coinspider.records.cutting import Cut
from coinspider.records.json_path import parse_path

if TYPE_CHECKING:
    from coinspider.http.pagination.protocol import Pagination

Where = Literal["query", "body", "header"]


@dataclass(frozen=True)
class SignNames:
    """Where a page says how much there is, if not under the usual names.

    Each is a path in the body, or the name of a header: of the ``total`` of all records (``none``
    if a usual name means something else), of a flag that is true while there is ``more``, and of a
    flag that is true on the ``last`` page.
    """

    total: str = ""
    more: str = ""
    last: str = ""


@dataclass(frozen=True)
class PageRequest:
    """The URL, the method, the headers and, for ``POST``, the JSON body."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    number: int = 1
    """Which page of the list this is, counted from 1."""
    place: str = ""
    """Where the page begins, in the strategy's own words: a cursor, an offset."""
    look_ahead: LookAhead | None = None
    """How many pages are requested at once, after that is decided."""
    names: SignNames = SignNames()
    strategy: Pagination | None = None
    """How the list is paged, if the crawl itself found that out."""
    cut: Cut | None = None
    """Where the records are on the page, once that is known."""

    def with_parameter(self, name: str, value: Any, where: Where = "query") -> PageRequest:
        """The same with one parameter set; in the body ``variables.after`` is a path."""
        if where == "header":
            headers = dict(self.headers) | {name: _text(value)}
            return replace(self, headers=tuple(headers.items()))
        if where == "body":
            return replace(self, body=_with_value(self.body, list(parse_path(name)), value))
        return replace(self, url=add_or_replace_parameter(self.url, name, _text(value)))

    def parameter(self, name: str) -> str | None:
        """The value of a query parameter."""
        value = url_query_parameter(self.url, name)
        return value if value is None else str(value)

    def moved(self, **changes: Any) -> PageRequest:
        """The request for the page after this one."""
        return replace(self, **{"number": self.number + 1, **changes})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _with_value(body: bytes, path: list[str | int], value: Any) -> bytes:
    root: Any = msgspec.json.decode(body or b"{}")
    node = root
    for step in path[:-1]:
        node = node.setdefault(step, {})
    node[path[-1]] = value
    return msgspec.json.encode(root)
