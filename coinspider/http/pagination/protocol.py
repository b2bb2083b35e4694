"""The interface of pagination strategies: what they are given, and what they return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

from msgspec import Raw

from coinspider.http.pagination.look_ahead import IN_SEQUENCE, LookAhead
from coinspider.http.pagination.request import PageRequest
from coinspider.http.pagination.signs import Signs


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
    problem: str | None = None
    is_repeat: bool = False
    """Whether the page was requested only to try something, and its records are already known."""
    overrules: bool = False
    """Whether this is the end even though the page seems to lead on."""
    is_final: bool = False
    """Whether the rest of the list is deliberately left out."""
    strategy: Pagination | None = None
    """How the list is paged, as far as is known; with a ``note`` it is certain."""
    note: str | None = None
    """What was found out, for the log."""


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
