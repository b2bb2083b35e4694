"""Lists whose pages have the URL of the next page."""

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urljoin

from coinspider.http.links import linked, parse_links
from coinspider.http.pagination.protocol import AnsweredPage, PageRequest, Step, absent, repeated
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
            parent = len(path) > 1 and find(page.body, path[:-1]) not in (None, b"null")
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
    url = urljoin(page.url, link.strip())
    if url in (page.url, page.request.url):
        return repeated(page, what)
    return Step((page.request.moved(url=url, place=url),))
