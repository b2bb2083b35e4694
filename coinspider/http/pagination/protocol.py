"""What a pagination strategy is given, and what it has to say."""

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
    """A request for a page and what came: headers by their lower-case names, the JSON text, the
    texts of the records in it. ``look_ahead`` is how many pages may be asked for at once."""

    request: PageRequest
    url: str
    headers: Mapping[str, str]
    body: bytes
    records: Sequence[Raw]
    look_ahead: LookAhead = IN_SEQUENCE
    error: str | None = None
    """What the API says in an error (a status of 400 and more), for a strategy that takes them."""

    @cached_property
    def signs(self) -> Signs:
        """What the page itself says of other pages, by the names that APIs use for it."""
        cut = self.request.cut
        return Signs(self.headers, self.body, cut.path if cut else None, self.request.names)


@dataclass(frozen=True)
class Step:
    """What a strategy makes of a page: where to go on, or why not.

    Either ``requests`` for further pages; or ``end``, the evidence of the list's end in words; or
    the ``problem``: why neither can be told. With none of them, other requests under way go on.
    """

    requests: tuple[PageRequest, ...] = ()
    end: str | None = None
    problem: str | None = None
    is_repeat: bool = False
    """Whether the page was asked for to try something out, and its records are known already."""
    overrules: bool = False
    """Whether the end holds although the page seems to lead on."""
    is_final: bool = False
    """Whether the rest of the list is not wanted."""
    strategy: Pagination | None = None
    """What the list is paged by, as far as is found out; with a ``note`` it is certain."""
    note: str | None = None
    """What the crawl has found out, for the log."""


@runtime_checkable
class Pagination(Protocol):
    """A strategy: which pages follow a page, and how the end is known.

    It is a frozen value and keeps nothing: what it must remember from one page to the next travels
    in the :class:`PageRequest`. Retries, several pages at once and a stop in the middle then cost
    nothing. One of your own needs these two methods. With ``takes_errors = True`` it is also asked
    about a second or later page that answers with an error, as pages past the end do.
    """

    def first(self, request: PageRequest) -> PageRequest:
        """The request for the first page, made of the one for the list."""

    def following(self, page: AnsweredPage) -> Step:
        """Where to go on after ``page``.

        Of the first page it must not say ``end`` unless that page tells: a list that is silently
        short is worse than a crawl that fails.
        """
