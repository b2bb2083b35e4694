"""Lists with page numbers or record offsets."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from coinspider.http.pagination.protocol import IN_SEQUENCE, AnsweredPage, PageRequest, Step, Where
from coinspider.http.pagination.signs import Evidence, Told

_ROUND = 100  # records


@dataclass(frozen=True)
class PageNumber:
    """``page=1``, ``page=2``, ... until a page is empty, or ``last`` pages have been read.

    A short page is not the end: CoinGecko sends them in the middle. The pages count from
    ``first_page``; a ``limit`` asks for that many records per page, as ``limit_parameter``.
    """

    named: ClassVar[str] = "page"
    takes_errors: ClassVar[bool] = True
    last: int | None = None
    parameter: str = "page"
    first_page: int = 1
    limit: int = 0
    limit_parameter: str = "per_page"
    parameter_in: Where = "query"

    def first(self, request: PageRequest) -> PageRequest:
        return self.page(self.with_limit(request), 1)

    def with_limit(self, request: PageRequest) -> PageRequest:
        if not self.limit:
            return request
        return request.with_parameter(self.limit_parameter, self.limit, self.parameter_in)

    def page(self, request: PageRequest, number: int) -> PageRequest:
        """The request for the page of this number, which counts from 1."""
        value = self.first_page + number - 1
        numbered = request.with_parameter(self.parameter, value, self.parameter_in)
        return replace(numbered, number=number, place=f"{self.parameter}={value}")

    def following(self, page: AnsweredPage) -> Step:
        number = page.request.number
        if number == self.last and page.records:
            return Step(end="the last page that was wanted", by=Evidence.WANTED)
        if page.problem:
            return Step(problem=page.problem)
        if told := told_end(page):
            return Step.ended(told)
        return Step(self._after(replace(page.request, look_ahead=page.look_ahead)))

    def passing(self, page: PageRequest, size: int) -> tuple[PageRequest, ...]:
        """What follows a page that can't be had; ``size`` is how many records one has."""
        return self._after(page)

    def _after(self, page: PageRequest) -> tuple[PageRequest, ...]:
        numbers = (page.look_ahead or IN_SEQUENCE).after(page.number)
        return tuple(self.page(page, n) for n in numbers if self.last is None or n <= self.last)


@dataclass(frozen=True)
class Offset:
    """``offset=0``, ``offset=100``, ... with a ``limit`` of records a page, until one is empty.

    If the server sends fewer than ``limit``, the offset moves by the number that came. With a
    ``limit`` of 0, no limit is sent. Some APIs count from 1 (``first_record``).
    """

    named: ClassVar[str] = "offset"
    takes_errors: ClassVar[bool] = True
    parameter: str = "offset"
    limit: int = 100
    limit_parameter: str = "limit"
    first_record: int = 0
    parameter_in: Where = "query"

    def first(self, request: PageRequest) -> PageRequest:
        if self.limit:
            request = request.with_parameter(self.limit_parameter, self.limit, self.parameter_in)
        return self._at(request, self.first_record, 1)

    def following(self, page: AnsweredPage) -> Step:
        if problem := page.problem or self._capped(page):
            return Step(problem=problem)
        if told := told_end(page):
            return Step.ended(told)
        return Step(tuple(self._after(page)))

    def passing(self, page: PageRequest, size: int) -> tuple[PageRequest, ...]:
        """What follows a page that can't be had; ``size`` is how many records one has."""
        numbers = (page.look_ahead or IN_SEQUENCE).after(page.number)
        start = int(page.place) - size * page.number
        return tuple(self._at(page, start + size * number, number) for number in numbers)

    def _capped(self, page: AnsweredPage) -> str | None:
        """Why an empty page is no end: a search may end at a round number that is an estimate."""
        place = int(page.request.place) - self.first_record if page.request.place else 0
        for told in () if page.records else page.signs.estimates:
            if told.value == place and place % _ROUND == 0:
                cap = f"{told.name} says {place}, which may be as far as the API lets a search go"
                return f"{cap}; no argument can change that"
        return None

    def _after(self, page: AnsweredPage) -> Iterator[PageRequest]:
        number, count = page.request.number, len(page.records)
        start, look_ahead = int(page.request.place), page.look_ahead
        # The offsets of later pages are known only if pages are as long as requested.
        if look_ahead == IN_SEQUENCE or (number == look_ahead.start and count != self.limit):
            request = replace(page.request, look_ahead=IN_SEQUENCE)
            yield self._at(request, start + count, number + 1)
            return
        request = replace(page.request, look_ahead=look_ahead)
        for following in look_ahead.after(number):
            yield self._at(request, start + self.limit * (following - number), following)

    def _at(self, request: PageRequest, offset: int, number: int) -> PageRequest:
        moved = request.with_parameter(self.parameter, offset, self.parameter_in)
        return replace(moved, number=number, place=str(offset))


def told_end(page: AnsweredPage) -> Told | None:
    """The evidence that a numbered page is the end of its list."""
    number, total = page.request.number, page.signs.pages
    if page.error:
        return Told(f"page {number} answers {page.error}", Evidence.NO_SUCH_PAGE)
    if not page.records:
        return Told(f"page {number} is empty", Evidence.EMPTY_PAGE)
    if total and number >= total.value:
        return Told(f"{total.name} says {total.value} pages", Evidence.PAGE_COUNT)
    return page.signs.told
