"""Which page comes next."""

import json

import pytest
from scrapy.http import Response

from coinspider.http.pagination import (
    IN_SEQUENCE,
    Cursor,
    LinkHeader,
    LookAhead,
    NextLink,
    Offset,
    PageNumber,
)

URL = "https://api.example/coins/markets?vs_currency=usd"


def test_page_number_goes_into_the_query_and_is_read_from_it():
    url = PageNumber().url(URL, 7)
    assert url == f"{URL}&page=7"
    assert PageNumber().page(url) == 7
    assert PageNumber().url(url, 8) == f"{URL}&page=8"


def test_url_without_a_page_is_page_1():
    assert PageNumber().page(URL) == 1


def test_parameter_may_have_another_name():
    assert PageNumber(parameter="p").url(URL, 2) == f"{URL}&p=2"


@pytest.mark.parametrize(
    ("page", "records", "last", "end"),
    [
        pytest.param(3, 0, None, True, id="empty page"),
        pytest.param(3, 1, None, False, id="short page"),
        pytest.param(3, 250, None, False, id="full page"),
        pytest.param(3, 250, 3, True, id="last page wanted"),
        pytest.param(2, 250, 3, False, id="page before the last one wanted"),
        pytest.param(2, 0, 3, True, id="empty page before the last one wanted"),
    ],
)
def test_end(page, records, last, end):
    strategy = PageNumber(last=last)
    assert strategy.is_end(strategy.url(URL, page), records) is end


def walk(look_ahead: LookAhead, pages: int) -> list[int]:
    """The pages asked for, each in the order of its answer, given a list of so many pages."""
    asked, waiting = [], [1]
    while waiting:
        page = waiting.pop(0)
        asked.append(page)
        if page <= pages:
            waiting += look_ahead.after(page)
    return asked


@pytest.mark.parametrize("pages", [0, 1, 2, 7, 8, 9, 68])
@pytest.mark.parametrize("known", [None, 1, 2, 8, 9, 68, 80])
@pytest.mark.parametrize("ways", [1, 2, 8])
def test_every_page_and_the_empty_one_is_asked_for_once(pages, known, ways):
    asked = walk(LookAhead(ways, known), pages)
    assert len(asked) == len(set(asked))
    assert set(asked) >= set(range(1, pages + 2))


@pytest.mark.parametrize("pages", [1, 8, 68])
def test_no_call_is_wasted_where_the_number_of_pages_is_known(pages):
    assert sorted(walk(LookAhead(8, pages), pages)) == list(range(1, pages + 2))


def test_in_sequence_asks_for_one_page_after_the_other():
    assert walk(IN_SEQUENCE, 5) == [1, 2, 3, 4, 5, 6]


def test_look_ahead_has_several_pages_under_way():
    assert LookAhead(4).after(1) == [2, 3, 4, 5]
    assert LookAhead(4).after(3) == [7]


@pytest.mark.parametrize("page", [1, 2, 7])
def test_offset_is_a_page_number_in_other_words(page):
    strategy = Offset(limit=50)
    url = strategy.url(URL, page)
    assert url == f"{URL}&offset={(page - 1) * 50}&limit=50"
    assert strategy.page(url) == page
    assert strategy.is_end(url, 0)
    assert not strategy.is_end(url, 3)


def answer(body: object = None, **headers: str) -> Response:
    return Response(f"{URL}&page=2", body=json.dumps(body).encode(), headers=headers)


@pytest.mark.parametrize(
    ("link", "following"),
    [
        pytest.param("https://api.example/x?page=3", "https://api.example/x?page=3", id="absolute"),
        pytest.param("?page=3", "https://api.example/coins/markets?page=3", id="relative"),
        pytest.param("/v2/x", "https://api.example/v2/x", id="relative to the host"),
        pytest.param(None, None, id="null"),
        pytest.param("", None, id="empty"),
    ],
)
def test_next_link(link, following):
    assert NextLink().following(answer({"next": link, "results": []})) == following
    assert NextLink("links.next").following(answer({"links": {"next": link}})) == following


@pytest.mark.parametrize("body", [{}, [], {"results": []}, "text"])
def test_missing_next_link_is_the_end(body):
    assert NextLink().following(answer(body)) is None


@pytest.mark.parametrize(
    ("cursor", "following"),
    [
        ("abc=", f"{URL}&page=2&cursor=abc%3D"),
        (7, f"{URL}&page=2&cursor=7"),
        (0, f"{URL}&page=2&cursor=0"),
        (None, None),
        ("", None),
    ],
)
def test_cursor(cursor, following):
    assert Cursor().following(answer({"next_cursor": cursor})) == following


@pytest.mark.parametrize(
    ("header", "following"),
    [
        pytest.param('<https://api.example/x?page=3>; rel="next"', "https://api.example/x?page=3",
                     id="next"),
        pytest.param('<?page=1>; rel="prev", </x?page=3>; rel="next"', "https://api.example/x?page=3",
                     id="among others, relative"),
        pytest.param('</x?ids=1,2&page=3>; rel=next', "https://api.example/x?ids=1,2&page=3",
                     id="a comma in the URL"),
        pytest.param('</x>; rel="last next"', "https://api.example/x", id="two relations"),
        pytest.param('</x>; rel="prev"', None, id="none"),
    ],
)  # fmt: skip
def test_link_header(header, following):
    assert LinkHeader().following(answer([], Link=header)) == following


def test_no_link_header_is_the_end():
    assert LinkHeader().following(answer([])) is None
