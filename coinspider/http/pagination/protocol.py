"""The interface of pagination strategies: what they are given, and what they return.

:func:`read_page` makes a page of a response, or says why it is not one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import msgspec
from msgspec import Raw, Struct
from scrapy.http import Response
from w3lib.url import add_or_replace_parameter, url_query_parameter

from coinspider.errors import ConfigurationError, PageError
from coinspider.http.api_errors import explain_body, is_cap, is_error_object, read_error
from coinspider.http.limit.state import ConfiguredLimit
from coinspider.http.pagination.signs import NO_NAMES, Evidence, SignNames, Signs, Told
from coinspider.records.cutting import Cut, as_one_text, cut_records
from coinspider.records.json_path import find, find_value, parse_path, path_text

Where = Literal["query", "body", "header"]


class LookAhead(Struct, frozen=True):
    """How several pages are requested at once: as ``ways`` chains that each skip the others' pages.

    No chain goes past ``known`` pages, except for the one that reads the last of these: it goes on
    alone, page by page. ``None`` lets all of them run until they meet an empty page.
    """

    ways: int = 1
    known: int | None = None
    start: int = 1
    """The page after which the chains begin."""

    def after(self, page: int) -> list[int]:
        """The pages to request after ``page``; the first page starts all chains."""
        if page == self.start:
            pages = range(page + 1, page + self.ways + 1)
            return [p for p in pages if self._is_known(p) or p == page + 1]
        following = page + self.ways
        if self._is_known(following):
            return [following]
        return [page + 1] if self.known is not None and page >= self.known else []

    def _is_known(self, page: int) -> bool:
        return self.known is None or page <= self.known


IN_SEQUENCE = LookAhead()


def choose_look_ahead(
    ways: int,
    latency: float,
    latency_min: float,
    configured: ConfiguredLimit,
    known_pages: int | None,
) -> LookAhead:
    """How far to look ahead if a page takes ``latency`` seconds.

    It pays only if latency slows the crawl down, and not the limit. Under a limit, no page past
    those of the last complete crawl is requested ahead, because such a call may be wasted.
    """
    known = known_pages if configured.calls else None
    is_limited = configured.calls and (not known or latency * configured.calls < configured.period)
    if ways <= 1 or latency < latency_min or is_limited:
        return IN_SEQUENCE
    return LookAhead(ways, known)


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
    names: SignNames = NO_NAMES
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
    try:
        for step in path[:-1]:
            node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
        node[path[-1]] = value
    except (AttributeError, IndexError, TypeError, ValueError):
        raise ConfigurationError(f"the body has no place {path_text(tuple(path))}") from None
    return msgspec.json.encode(root)


@dataclass(frozen=True)
class AnsweredPage:
    """A request for a page, and what came."""

    request: PageRequest
    url: str
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes
    """The JSON text."""
    records: Sequence[Raw]
    """The text of each record in it."""
    look_ahead: LookAhead = IN_SEQUENCE
    """How many pages may be requested at once."""
    error: str | None = None
    """The API's error message (status 400 and above), for strategies that take errors."""

    @cached_property
    def problem(self) -> str | None:
        """Why a page without records is no end: it is an error, or the API gives no more."""
        if self.records:
            return None
        if self.error:
            told = f"page {self.request.number} answers {self.error}"
            return (
                f"{told}: the API gives no more of it, whatever it is asked"
                if is_cap(self.error)
                else None
            )
        if is_error_object(self.body):
            return f"page {self.request.number} says {explain_body(self.body)}"
        return None

    @property
    def lacks_list(self) -> bool:
        """Whether there is nothing, or null, where the other pages have their list."""
        cut = self.request.cut
        if self.records or self.error or not (cut and cut.path and self.body):
            return False
        return find_value(self.body, cut.path) is None

    @cached_property
    def signs(self) -> Signs:
        """What the page itself says about other pages, under the names that APIs use."""
        cut = self.request.cut
        return Signs(self.headers, self.body, cut.path if cut else None, self.request.names)


@dataclass(frozen=True)
class Step:
    """What a strategy concludes from a page: where to continue, or why not.

    Either ``requests`` for more pages; or ``end``, the evidence for the list's end in words; or the
    ``problem`` that prevents a decision. Without any of them, pending requests continue.
    """

    requests: tuple[PageRequest, ...] = ()
    end: str | None = None
    by: Evidence = Evidence.OWN
    """What kind of evidence it is."""
    problem: str | None = None
    is_repeat: bool = False
    """Whether the page was requested only to try something, and its records are already known."""
    overrules: bool = False
    """Whether this is the end even though the page seems to lead on."""
    strategy: Pagination | None = None
    """How the list is paged, as far as is known; with a ``note`` it is certain."""
    note: str | None = None
    """What was found out, for the log."""

    @classmethod
    def ended(cls, told: Told) -> Step:
        return cls(end=told.words, by=told.by)


@runtime_checkable
class Pagination(Protocol):
    """A strategy: which pages follow a page, and how the end is recognised.

    It is a frozen value without state: what it must remember from one page to the next is in the
    :class:`PageRequest`, so retries, concurrent pages and interruptions need no special care. Your
    own strategy needs these two methods. With ``takes_errors = True`` it also gets error responses
    from the second page on, which is how some APIs answer past the end.
    """

    def first(self, request: PageRequest) -> PageRequest:
        """The request for the first page, made from the one for the list."""

    def following(self, page: AnsweredPage) -> Step:
        """Where to continue after ``page``.

        It must not return ``end`` for the first page unless that page says so: a list that is
        silently incomplete is worse than a failed crawl.
        """


def identities(page: AnsweredPage) -> frozenset[object]:
    """What identifies the records of a page: their keys and words, or else what they are.

    A live price may differ between two readings of one record.
    """
    from coinspider.records.discovery import word_fields  # not for lists of known records

    cut = page.request.cut
    paths = [(key,) for key in (*cut.keys, *word_fields(page.records))] if cut and cut.keys else []
    found = [tuple(find(record, path) for path in paths) for record in page.records]
    if not paths or any(None in key for key in found):
        return frozenset(map(bytes, page.records))
    return frozenset(tuple(map(bytes, key)) for key in found)  # type: ignore[arg-type]


def command_arguments(strategy: Any) -> list[str]:
    """``-a NAME=VALUE`` for each argument that makes a strategy; the defaults are left out.

    None for a strategy that only finds one, or that is not this project's own.
    """
    if not hasattr(strategy, "named"):
        return []
    given = {
        field.name: getattr(strategy, field.name)
        for field in fields(strategy)
        if getattr(strategy, field.name) != field.default
    }
    return [f"pagination={strategy.named}", *(f"{key}={value}" for key, value in given.items())]


def absent(page: AnsweredPage, what: str, is_trace: bool = False) -> Step:
    """The step after a page without anything that leads to the next.

    It is the end if earlier pages had it, if the page has an empty place for it (a null, an empty
    object of links), or if the page says so in another way. On a first page, the list may also be
    paged differently.
    """
    if page.request.number > 1:
        return Step(end=f"{what} was there before and is not now", by=Evidence.NO_LEAD)
    if is_trace:
        return Step(end=f"{what} is there, and empty", by=Evidence.NO_LEAD)
    if told := page.signs.says_end(len(page.records)):
        return Step.ended(told)
    return Step(problem=f"the first page has no {what}")


def repeated(page: AnsweredPage, what: str) -> Step:
    """The step after a page that leads to itself, which is how some APIs mark the end."""
    if page.request.number == 1 and page.records and not page.signs.says_end(len(page.records)):
        return Step(problem=f"{what} leads to the first page itself")
    return Step(end=f"{what} stays the same", by=Evidence.NO_LEAD, overrules=True)


@dataclass(frozen=True)
class SinglePage:
    """All records on one page; if the page says that there is more, the crawl fails."""

    named: ClassVar[str] = "none"

    def first(self, request: PageRequest) -> PageRequest:
        return request

    def following(self, page: AnsweredPage) -> Step:
        return Step(end="the list is said to have one page", by=Evidence.ARGUMENT)


@dataclass(frozen=True)
class KnownPages:
    """Pages whose URLs are known beforehand, one after the other; any may be empty."""

    urls: tuple[str, ...]

    def first(self, request: PageRequest) -> PageRequest:
        return replace(request, url=self.urls[0], number=1)

    def following(self, page: AnsweredPage) -> Step:
        number = page.request.number
        if number >= len(self.urls):
            return Step(end="all of the pages that were wanted", by=Evidence.WANTED)
        return Step((replace(page.request, url=self.urls[number], number=number + 1),))


# How often a page is requested again if a proxy's error text came in its place.
TEXT_RETRY_TIMES = 2


def read_page(
    response: Response, request: PageRequest, find_cut: Callable[[bytes], Cut] | None = None
) -> AnsweredPage:
    """The page in a response.

    Raises :exc:`PageError`, with the body's message, if it holds no records.
    """
    body = as_one_text(response.body)
    headers = {
        name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
        for name, values in response.headers.items()
    }
    if response.status == 204:
        return AnsweredPage(request, response.url, headers, b"", ())
    try:
        cut = request.cut or (find_cut(body) if find_cut else Cut())
        later = msgspec.structs.replace(cut, optional=request.number > 1 and bool(cut.path))
        records = cut_records(body, later)
    except PageError as error:
        raise _with_words(error, body, is_first=request.number == 1) from None
    request = replace(request, cut=cut)
    return AnsweredPage(request, response.url, headers, body, records)


def _with_words(error: PageError, body: bytes, is_first: bool) -> PageError:
    """The same error with the body's own words, and how many retries are worthwhile."""
    start = body.lstrip()[:1]
    if not start:
        return PageError("the body is empty")
    words = explain_body(body)
    if is_error_object(body):
        # On a later page it may pass, as a status 500 does.
        return PageError(f"the API says: {words}", 0 if is_first else None)
    if _is_json(body):
        said = read_error(body).words
        return PageError(f"{error}: it says {said}" if said else str(error), 0)
    if start in (b"{", b"["):
        return error  # cut short now, but probably complete the next time
    return PageError(f"it is not JSON but says: {words}", TEXT_RETRY_TIMES)


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
