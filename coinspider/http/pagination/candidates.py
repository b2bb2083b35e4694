"""How a list may be paged, judging by its first page, and the requests that would show it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from coinspider.errors import ConfigurationError
from coinspider.http.pagination.known_names import (
    OFFSET_PARAMETERS,
    PAGE_PARAMETERS,
    RECORD_PARAMETERS,
)
from coinspider.http.pagination.next_page import Cursor, LinkHeader, NextLink
from coinspider.http.pagination.numbered import Offset, PageNumber
from coinspider.http.pagination.protocol import (
    AnsweredPage,
    PageRequest,
    Pagination,
    Where,
    command_arguments,
)
from coinspider.http.pagination.signs import Sign
from coinspider.records.discovery import word_fields
from coinspider.records.json_path import find, find_value, parse_path
from coinspider.text import in_shell

# Cursors that are sent back in a header: Heroku's ranges.
HEADER_PARAMETERS = ("Range",)
# How many fields beside the key may name a record: Typeform's tokens stand beside its ids.
_FIELDS_MAX = 2
MARKS_MAX = 20


class Candidate(NamedTuple):
    """A strategy that the first page suggests, why, and its request for the second page."""

    strategy: Pagination
    why: str
    second: PageRequest
    is_guess: bool = False

    def note(self) -> str:
        """What was found out, for the log."""
        arguments = in_shell(command_arguments(self.strategy))
        return f"The list is paged by {arguments} ({self.why})"


def suggest(page: AnsweredPage, strategy: Pagination, why: str) -> Iterator[Candidate]:
    """The candidate for a strategy, if the strategy finds a second page.

    An API may name a field as no argument can: ``a.`` or ``a"b``.
    """
    with suppress(ConfigurationError):
        for second in strategy.following(page).requests[:1]:
            yield Candidate(strategy, why, second)


def in_body(page: AnsweredPage, name: str) -> str:
    """A parameter's place in GraphQL's and JSON-RPC's bodies; the parameter itself elsewhere."""
    body = page.request.body
    if find(body, ("params", 0)) is not None:  # JSON-RPC
        return f"params[0].{name}"
    return f"variables.{name}" if find(body, ("variables",)) is not None else name


def candidates(page: AnsweredPage) -> list[Candidate]:
    """The strategies that a first page suggests, the likeliest first."""
    if page.signs.says_last:
        return []
    return [*_links(page), *_cursors(page), *numbered_candidates(page), *_last_records(page)]


def read_candidates(page: AnsweredPage) -> list[Candidate]:
    """Those that use a link or cursor in the page, which any page of the list may have."""
    return [*_links(page), *_cursors(page)]


def _links(page: AnsweredPage) -> Iterator[Candidate]:
    signs = page.signs
    if signs.header_link:
        yield from suggest(page, LinkHeader(), 'the header Link has rel="next"')
    if signs.link:
        name = signs.link.name
        yield from suggest(page, NextLink(name), f"{name} has the next URL")


def _cursors(page: AnsweredPage) -> Iterator[Candidate]:
    signs = page.signs
    goes_in: Where = "body" if page.request.body else "query"
    if around := signs.cursor_object:
        name = next(iter(around.known.parameters), Cursor.parameter)
        strategy = Cursor(around.name, name, parameter_in=goes_in)
        yield from suggest(page, strategy, f"{around.name} has the next page's parameters")
    for sign, path_in in ((signs.cursor, "body"), (signs.header_cursor, "header")):
        for name in _parameters(sign, len(page.records)) if sign else ():
            assert sign
            where: Where = "header" if name in HEADER_PARAMETERS else goes_in
            strategy = Cursor(sign.name, in_body(page, name), path_in, where)  # type: ignore[arg-type]
            yield from suggest(page, strategy, f"{sign.name} has the next page's cursor")


def marked_candidates(page: AnsweredPage) -> list[Candidate]:
    """Those of a cursor whose name no table has, though it sounds like one."""
    goes_in: Where = "body" if page.request.body else "query"
    return [
        candidate
        for sign in page.signs.marks[:MARKS_MAX]
        for name in _parameters(sign, len(page.records))
        for candidate in suggest(
            page,
            Cursor(sign.name, in_body(page, name), parameter_in=goes_in),
            f"{sign.name} may be the next page's cursor",
        )
    ]


def _last_records(page: AnsweredPage) -> Iterator[Candidate]:
    """The cursor may be in the last record: its id, or what it was sorted by."""
    signs = page.signs
    if page.request.body and find(page.records[-1], ("sort",)):
        strategy = Cursor("sort", "search_after", "record", "body")
        yield from suggest(page, strategy, "hits have a sort")
    elif signs.more and not (signs.cursor or signs.link):
        strategy = Cursor("id", "starting_after", "record")
        yield from suggest(page, strategy, f"{signs.more.name} is {signs.more.value}")


def _parameters(sign: Sign, count: int) -> list[str]:
    """The parameters for a cursor of this name; those in the API's own spelling first.

    If the cursor is equal to the number of records so far, it is an offset, not a page.
    """
    own = sign.name.rpartition(".")[2]
    is_count, is_second = str(sign.value) == str(count), str(sign.value) == "2"
    unlikely = None if is_count is is_second else "page" if is_count else "offset"
    is_camel, is_snake = own != own.lower(), "_" in own
    parameters = sign.known.parameters or _likely(own)
    known = [own, *parameters] if own[:1].isupper() else [*parameters, own]
    other = [p for p in known if (is_camel and "_" in p) or (is_snake and p != p.lower())]
    ordered = dict.fromkeys([*(p for p in known if p not in other), *other])
    return [name for name in ordered if name != unlikely or name == own]


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
    why, fields = "a guess", _cursor_fields(page)
    for where in _places(page):
        numbered = [c for name in names for c in _page_numbers(page, name, why, where)]
        offsets = [_offset(page, name, 0, why, where) for name in OFFSET_PARAMETERS.names]
        # page=1 before page=2: it shows where pages start counting.
        after = [c for field in fields for c in _after_records(page, where, field)]
        found += [*numbered[:2], *offsets, *after, *numbered[2:]]
    return [candidate._replace(is_guess=True) for candidate in found]


def _key(page: AnsweredPage) -> tuple[str, ...]:
    """The field that is the key of a record; none if several are, or it is not known."""
    keys = page.request.cut.keys if page.request.cut else ()
    return keys if len(keys) == 1 else ()


def _cursor_fields(page: AnsweredPage) -> list[str]:
    """The fields by which a record may be named: its key, or another one that only it has."""
    key = _key(page)
    return list(dict.fromkeys([*key, *word_fields(page.records)[:_FIELDS_MAX]])) if key else []


def _after_records(page: AnsweredPage, where: Where, field: str) -> Iterator[Candidate]:
    """The next page may begin after a record that is named by this field."""
    for name in RECORD_PARAMETERS.names:
        strategy = Cursor(field, _placed(page, name, where), "record", where)
        yield from suggest(page, strategy, "a guess")


def all_guesses(page: AnsweredPage) -> PageRequest:
    """The first page's request with all the usual parameters at once."""
    request = page.request
    for where in _places(page):
        for name in PAGE_PARAMETERS.names:
            request = request.with_parameter(_placed(page, name, where), 2, where)
        for name in OFFSET_PARAMETERS.names:
            place = _placed(page, name, where)
            request = request.with_parameter(place, len(page.records), where)
        for candidate in (c for field in _key(page) for c in _after_records(page, where, field)):
            # Both before and after one record there is nothing.
            name = getattr(candidate.strategy, "parameter")  # noqa: B009
            if name != _placed(page, "after", where):
                request = request.with_parameter(name, candidate.second.place, where)
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


def _likely(name: str) -> tuple[str, ...]:
    """The parameters that a cursor of an unknown name may go back as: its name without ``next``."""
    plain = re.sub(r"(?i)^next[_-]?", "", name)
    plain = plain[:1].lower() + plain[1:] if name[:1].islower() else plain
    return tuple(dict.fromkeys(filter(None, (plain, "cursor", "after", "next"))))
