"""Lists whose pages say what the next one is: by a link or by a cursor."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from urllib.parse import urljoin

from coinspider.http.links import linked, parse_links
from coinspider.http.pagination.protocol import (
    AnsweredPage,
    PageRequest,
    Step,
    Where,
    absent,
    repeated,
)
from coinspider.http.pagination.signs import Evidence
from coinspider.records.json_path import find, find_value, parse_path


@dataclass(frozen=True)
class NextLink:
    """The URL of the next page at ``path`` in the body; missing, null or empty at the end.

    If there is a list of link objects, it is the one whose ``rel`` is ``next``.
    """

    named: ClassVar[str] = "next"
    path: str = "next"

    def first(self, request: PageRequest) -> PageRequest:
        return request

    def following(self, page: AnsweredPage) -> Step:
        if page.problem:
            return Step(problem=page.problem)
        path = parse_path(self.path)
        link = find_value(page.body, path)
        if isinstance(link, list):
            link = linked(link)
        if page.signs.says_last:
            return Step(end=page.signs.says_last, by=Evidence.FLAG)
        if not link:
            is_there = find(page.body, path) is not None
            parent = len(path) > 1 and find_value(page.body, path[:-1]) is not None
            return absent(page, self.path, is_there or parent)
        return _to(page, str(link), self.path)


@dataclass(frozen=True)
class LinkHeader:
    """The header ``Link: <...>; rel="next"``, of https://www.rfc-editor.org/rfc/rfc8288."""

    named: ClassVar[str] = "link"
    header: str = "Link"
    relation: str = "next"

    def first(self, request: PageRequest) -> PageRequest:
        return request

    def following(self, page: AnsweredPage) -> Step:
        if page.problem:
            return Step(problem=page.problem)
        header = page.headers.get(self.header.lower(), "")
        link = parse_links(header).get(self.relation)
        what = f'header {self.header} with rel="{self.relation}"'
        if link is None:
            return absent(page, what, bool(header))
        return _to(page, link, what)


def _to(page: AnsweredPage, link: str, what: str) -> Step:
    try:
        url = urljoin(page.url, link.strip())
    except ValueError:  # which is said by who checks all links
        url = link
    if url in (page.url, page.request.url):
        return repeated(page, what)
    return Step((page.request.moved(url=url, place=url),))


Place = Literal["body", "header", "record"]
# Of a cursor: each becomes a parameter, for which the whole URL is read and written.
_MEMBERS_MAX = 20


@dataclass(frozen=True)
class Cursor:
    """A token for the next page, at ``path``, which is sent back as ``parameter``.

    ``path_in`` says where it is: in the ``body``, in a ``header`` of the name ``path``, or in the
    last ``record`` (a field of it). ``parameter_in`` says where it goes: into the ``query``, the
    JSON ``body`` (``variables.after`` is a path), or a ``header``. The list ends if the cursor is
    missing, null, empty or repeated, if a page is empty (with ``path_in=record``), or by a flag.
    """

    named: ClassVar[str] = "cursor"
    path: str = "next_cursor"
    parameter: str = "cursor"
    path_in: Place = "body"
    parameter_in: Where = "query"

    def first(self, request: PageRequest) -> PageRequest:
        return request

    def following(self, page: AnsweredPage) -> Step:
        if page.problem:
            return Step(problem=page.problem)
        signs = page.signs
        if signs.says_last:
            return Step(end=signs.says_last, by=Evidence.FLAG)
        if self.path_in == "record" and not page.records:
            return Step(end="a page after the last record is empty", by=Evidence.EMPTY_PAGE)
        cursor, is_there = self._read(page)
        if cursor is None or cursor is False or cursor in ("", [], {}):
            return absent(page, self.path, is_there)
        if str(cursor) == page.request.place or self._is_own(page, cursor):
            return repeated(page, self.path)
        return self._next(page.request, cursor)

    def _read(self, page: AnsweredPage) -> tuple[Any, bool]:
        """The cursor, and whether the page has a place for one."""
        if self.path_in == "header":
            value = page.headers.get(self.path.lower())
            return value, value is not None
        path = parse_path(self.path)
        if self.path_in == "record":
            return find_value(page.records[-1], path), False
        is_there = find(page.body, path) is not None
        parent = len(path) > 1 and find(page.body, path[:-1]) is not None
        return find_value(page.body, path), is_there or parent

    def _is_own(self, page: AnsweredPage, cursor: Any) -> bool:
        own = page.request.parameter(self.parameter) if self.parameter_in == "query" else None
        return own is not None and own == str(cursor)

    def _next(self, request: PageRequest, cursor: Any) -> Step:
        # MediaWiki's cursor is an object whose members are parameters:
        # https://www.mediawiki.org/wiki/API:Continue
        is_members = isinstance(cursor, dict) and self.parameter == Cursor.parameter
        members = cursor if is_members else {self.parameter: cursor}
        if len(members) > _MEMBERS_MAX:
            return Step(problem=f"{self.path} has {len(members)} members, too many for parameters")
        following = request
        for name, value in members.items():
            following = following.with_parameter(name, value, self.parameter_in)
        return Step((following.moved(place=str(cursor)),))
