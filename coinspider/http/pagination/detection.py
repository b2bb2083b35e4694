"""How a list is paged, as far as its first page tells."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from coinspider.http.pagination.cursor import Cursor
from coinspider.http.pagination.known_names import OFFSET_PARAMETERS, PAGE_PARAMETERS
from coinspider.http.pagination.links import LinkHeader, NextLink
from coinspider.http.pagination.numbered import Offset, PageNumber
from coinspider.http.pagination.protocol import AnsweredPage, Pagination
from coinspider.http.pagination.request import PageRequest
from coinspider.http.pagination.signs import Sign
from coinspider.records.json_path import find


class Candidate(NamedTuple):
    """A strategy that the first page suggests, why, and its request for the second page."""

    strategy: Pagination
    why: str
    second: PageRequest

    def note(self) -> str:
        """What was found out, for the log."""
        from coinspider.http.pagination.registry import command_arguments

        arguments = " ".join(f"-a {text}" for text in command_arguments(self.strategy))
        return f"The list is paged by {arguments} ({self.why})"


def candidates(page: AnsweredPage) -> list[Candidate]:
    """The strategies for which a first page has signs, the likeliest first."""
    if page.signs.says_last:
        return []
    return [*_links(page), *_cursors(page), *_numbers(page), *_last_records(page)]


def read_candidates(page: AnsweredPage) -> list[Candidate]:
    """Those that a page itself leads to, whichever page of the list it is."""
    return [*_links(page), *_cursors(page)]


def guesses(page: AnsweredPage) -> list[Candidate]:
    """The numbered strategies for which there are no signs, by the usual parameters."""
    names = [name for name in PAGE_PARAMETERS.names if page.request.parameter(name) is None]
    numbered = [c for name in names for c in _page_numbers(page, name, "a guess")]
    offsets = [_offset(page, name, 0, "a guess") for name in OFFSET_PARAMETERS.names]
    # page=1 before page=2: it tells from where pages count.
    return [*numbered[:2], *offsets, *numbered[2:]]


def all_guesses(page: AnsweredPage) -> PageRequest:
    """The first page's request with all the usual parameters at once."""
    request = page.request
    for name in PAGE_PARAMETERS.names:
        request = request.with_parameter(name, 2)
    for name in OFFSET_PARAMETERS.names:
        request = request.with_parameter(name, len(page.records))
    return replace(request, number=2)


def _links(page: AnsweredPage) -> Iterator[Candidate]:
    signs = page.signs
    if signs.header_link:
        yield from _made(page, LinkHeader(), 'the header Link has rel="next"')
    if signs.link:
        yield from _made(page, NextLink(signs.link.name), f"{signs.link.name} has the next URL")


def _cursors(page: AnsweredPage) -> Iterator[Candidate]:
    signs, is_post = page.signs, bool(page.request.body)
    for sign, path_in in ((signs.cursor, "body"), (signs.header_cursor, "header")):
        for name in _parameters(sign) if sign else ():
            assert sign
            parameter = f"variables.{name}" if b'"variables"' in page.request.body else name
            strategy = Cursor(sign.name, parameter, path_in, "body" if is_post else "query")  # type: ignore[arg-type]
            yield from _made(page, strategy, f"{sign.name} has the next page's mark")


def _last_records(page: AnsweredPage) -> Iterator[Candidate]:
    """Where the mark of the next page is the last record's: its id, or what it was sorted by."""
    signs = page.signs
    if page.request.body and find(page.records[-1], ("sort",)):
        yield from _made(page, Cursor("sort", "search_after", "record", "body"), "hits have a sort")
    elif signs.more and not (signs.cursor or signs.link):
        strategy = Cursor("id", "starting_after", "record")
        yield from _made(page, strategy, f"{signs.more.name} is {signs.more.value}")


def _parameters(sign: Sign) -> list[str]:
    """The parameters that go with a cursor's name: first those in the API's own way of writing."""
    own = sign.name.rpartition(".")[2]
    is_camel, is_snake = own != own.lower(), "_" in own
    known = [own, *sign.known.parameters] if own[:1].isupper() else [*sign.known.parameters, own]
    other = [p for p in known if (is_camel and "_" in p) or (is_snake and p != p.lower())]
    return list(dict.fromkeys([*(p for p in known if p not in other), *other]))


def _made(page: AnsweredPage, strategy: Pagination, why: str) -> Iterator[Candidate]:
    for second in strategy.following(page).requests[:1]:
        yield Candidate(strategy, why, second)


def _numbers(page: AnsweredPage) -> Iterator[Candidate]:
    signs, echo, start = page.signs, page.signs.page, page.signs.offset
    if signs.pages and signs.pages.value <= 1:
        return
    yield from _named_in_url(page)
    if echo and echo.value in (0, 1):
        for name in echo.known.parameters:
            yield _page_number(page, name, echo.value, f"{echo.name} says {echo.value}")
    if start and start.value in (0, 1):
        name = start.known.parameters[0]
        yield _offset(page, name, start.value, f"{start.name} says {start.value}")
    if signs.pages and not echo:
        why = f"{signs.pages.name} says {signs.pages.value} pages"
        yield from _page_numbers(page, "page", why)


def _named_in_url(page: AnsweredPage) -> Iterator[Candidate]:
    """Where the URL has the first page's number or offset."""
    for made, names in ((_page_number, PAGE_PARAMETERS.names), (_offset, OFFSET_PARAMETERS.names)):
        for name in names:
            value = page.request.parameter(name)
            if value is not None and value.isdecimal():
                yield made(page, name, int(value), f"the URL has {name}={value}")


def _page_numbers(page: AnsweredPage, name: str, why: str) -> Iterator[Candidate]:
    """Pages that count from 0 or from 1: ``page=1`` is then the second one, or the first again."""
    yield _page_number(page, name, 0, why)
    yield _page_number(page, name, 1, why)


def _page_number(page: AnsweredPage, name: str, first: int, why: str) -> Candidate:
    strategy = PageNumber(parameter=name, first_page=first)
    return Candidate(strategy, why, strategy.page(page.request, 2))


def _offset(page: AnsweredPage, name: str, first: int, why: str) -> Candidate:
    strategy = Offset(parameter=name, limit=0, first_record=first)
    place = first + len(page.records)
    second = page.request.with_parameter(name, place)
    return Candidate(strategy, why, replace(second, number=2, place=str(place)))
