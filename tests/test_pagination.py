"""Which page comes next."""

import pytest

from coinspider.pagination import IN_SEQUENCE, LookAhead, PageNumber

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
