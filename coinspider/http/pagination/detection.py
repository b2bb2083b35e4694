"""How a list may be paged, judging by its first page."""

from collections.abc import Iterator

from coinspider.http.pagination.candidate import Candidate, in_body, suggest
from coinspider.http.pagination.cursor import Cursor
from coinspider.http.pagination.named_values import Sign
from coinspider.http.pagination.next_links import LinkHeader, NextLink
from coinspider.http.pagination.numbered_candidates import numbered_candidates
from coinspider.http.pagination.protocol import AnsweredPage
from coinspider.http.pagination.request import Where
from coinspider.records.json_path import find

# Cursors that are sent back in a header: Heroku's ranges.
HEADER_PARAMETERS = ("Range",)


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
        strategy = Cursor(around.name, parameter_in=goes_in)
        yield from suggest(page, strategy, f"{around.name} has the next page's parameters")
    for sign, path_in in ((signs.cursor, "body"), (signs.header_cursor, "header")):
        for name in _parameters(sign, len(page.records)) if sign else ():
            assert sign
            where: Where = "header" if name in HEADER_PARAMETERS else goes_in
            strategy = Cursor(sign.name, in_body(page, name), path_in, where)  # type: ignore[arg-type]
            yield from suggest(page, strategy, f"{sign.name} has the next page's cursor")


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
    known = [own, *sign.known.parameters] if own[:1].isupper() else [*sign.known.parameters, own]
    other = [p for p in known if (is_camel and "_" in p) or (is_snake and p != p.lower())]
    ordered = dict.fromkeys([*(p for p in known if p not in other), *other])
    return [name for name in ordered if name != unlikely or name == own]
