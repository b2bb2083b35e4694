"""The page numbers and offsets by which a list may be paged."""

from collections.abc import Iterator
from dataclasses import replace

from coinspider.http.pagination.candidate import Candidate, in_body
from coinspider.http.pagination.known_names import OFFSET_PARAMETERS, PAGE_PARAMETERS
from coinspider.http.pagination.numbered import Offset, PageNumber
from coinspider.http.pagination.protocol import AnsweredPage
from coinspider.http.pagination.request import PageRequest, Where
from coinspider.records.json_path import find_value, parse_path


def numbered_candidates(page: AnsweredPage) -> Iterator[Candidate]:
    """Those with numbers that the page or its request has, the likeliest first."""
    signs, echo, start = page.signs, page.signs.page, page.signs.offset
    if signs.pages and signs.pages.value <= 1:
        return
    yield from _named_in_request(page)
    for where in _places(page):
        if echo and echo.value in (0, 1):
            for name in echo.known.parameters:
                why = f"{echo.name} says {echo.value}"
                yield _page_number(page, name, echo.value, why, where)
        if start and start.value in (0, 1):
            name = start.known.parameters[0]
            yield _offset(page, name, start.value, f"{start.name} says {start.value}", where)
        if signs.pages and not echo:
            why = f"{signs.pages.name} says {signs.pages.value} pages"
            yield from _page_numbers(page, "page", why, where)


def guesses(page: AnsweredPage) -> list[Candidate]:
    """The strategies with the usual parameters for numbers, which nothing suggests."""
    names = [name for name in PAGE_PARAMETERS.names if page.request.parameter(name) is None]
    found: list[Candidate] = []
    why = "a guess"
    for where in _places(page):
        numbered = [c for name in names for c in _page_numbers(page, name, why, where)]
        offsets = [_offset(page, name, 0, why, where) for name in OFFSET_PARAMETERS.names]
        # page=1 before page=2: it shows where pages start counting.
        found += [*numbered[:2], *offsets, *numbered[2:]]
    return [candidate._replace(is_guess=True) for candidate in found]


def all_guesses(page: AnsweredPage) -> PageRequest:
    """The first page's request with all the usual parameters at once."""
    request = page.request
    for where in _places(page):
        for name in PAGE_PARAMETERS.names:
            request = request.with_parameter(_placed(page, name, where), 2, where)
        for name in OFFSET_PARAMETERS.names:
            place = _placed(page, name, where)
            request = request.with_parameter(place, len(page.records), where)
    return replace(request, number=2)


def _named_in_request(page: AnsweredPage) -> Iterator[Candidate]:
    """Those with a number or offset that the first page's own URL or body has."""
    for made, names in ((_page_number, PAGE_PARAMETERS.names), (_offset, OFFSET_PARAMETERS.names)):
        for name in names:
            for where in _places(page):
                value = _given(page, name, where)
                if value is not None and value.isdecimal():
                    yield made(page, name, int(value), f"it was asked for {name}={value}", where)


def _places(page: AnsweredPage) -> tuple[Where, ...]:
    """Where parameters may go, the likeliest place first."""
    return ("body", "query") if page.request.body else ("query",)


def _placed(page: AnsweredPage, name: str, where: Where) -> str:
    return in_body(page, name) if where == "body" else name


def _given(page: AnsweredPage, name: str, where: Where) -> str | None:
    if where == "query":
        return page.request.parameter(name)
    value = find_value(page.request.body, parse_path(in_body(page, name)))
    return None if value is None else str(value)


def _page_numbers(page: AnsweredPage, name: str, why: str, where: Where) -> Iterator[Candidate]:
    """Pages that count from 0 or from 1: ``page=1`` is either the second page or the first."""
    yield _page_number(page, name, 0, why, where)
    yield _page_number(page, name, 1, why, where)


def _page_number(page: AnsweredPage, name: str, first: int, why: str, where: Where) -> Candidate:
    parameter = _placed(page, name, where)
    strategy = PageNumber(parameter=parameter, first_page=first, parameter_in=where)
    return Candidate(strategy, why, strategy.page(page.request, 2))


def _offset(page: AnsweredPage, name: str, first: int, why: str, where: Where) -> Candidate:
    parameter, place = _placed(page, name, where), first + len(page.records)
    strategy = Offset(parameter=parameter, limit=0, first_record=first, parameter_in=where)
    second = page.request.with_parameter(parameter, place, where)
    return Candidate(strategy, why, replace(second, number=2, place=str(place)))
