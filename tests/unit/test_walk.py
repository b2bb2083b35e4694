"""A walk is given answered pages, in any order, and says what follows."""

from contextlib import closing
from functools import partial
from itertools import permutations
from typing import Any

import pytest

from coinspider.crawl.key_order import PageChain
from coinspider.crawl.walk import Walk
from coinspider.http.pagination import AnsweredPage, NextLink, PageNumber, PageRequest
from coinspider.records.keys import SeenKeys
from tests.helpers.answered import URL, answered, things

SIZE = 10


@pytest.fixture
def make():
    with closing(SeenKeys()) as seen:
        yield partial(Walk, seen=seen, listed=PageRequest(URL), retry_times=2)


def page_of(number: int, count: int = SIZE, start: int | None = None, **headers: str):
    first = (number - 1) * SIZE if start is None else start
    rows = things(first, first + count)
    return answered(rows, PageRequest(f"{URL}?page={number}", number=number), **headers)


def keys(page: AnsweredPage) -> list[Any]:
    start = (
        int(bytes(page.records[0]).split(b":")[1].split(b",")[0].strip(b" }"))
        if page.records
        else 0
    )
    return [f"{start + place:05}" for place in range(len(page.records))]


def read(walk: Walk, *pages: AnsweredPage) -> list[Any]:
    return [walk.take(page, keys(page)) for page in pages]


def test_pages_lead_on_until_one_is_empty_twice(make):
    walk = make(PageNumber())
    answers = read(walk, page_of(1), page_of(2), page_of(3, 0))
    assert [[r.number for r in answer.requests] for answer in answers] == [[2], [3], []]
    verdict = walk.judge()
    assert verdict.again
    assert (verdict.again.page.number, verdict.again.why) == (3, "page 3 is empty")
    read(walk, page_of(3, 0))
    assert walk.judge().is_end
    assert walk.end_reached


@pytest.mark.parametrize("order", list(permutations([2, 3, 4, 5])))
def test_pages_may_come_in_any_order(make, order):
    walk = make(PageNumber())
    pages = {2: page_of(2), 3: page_of(3), 4: page_of(4, 4), 5: page_of(5, 0)}
    answers = read(walk, page_of(1), *(pages[number] for number in order))
    assert not any(answer.failure for answer in answers)
    assert sum(len(answer.texts) for answer in answers) == 34
    assert walk.judge().again.page.number == 5


def test_where_the_total_was_reached_nothing_is_asked_again(make):
    walk = make(PageNumber())
    read(walk, page_of(1, Total="14"), page_of(2, 4, Total="14"), page_of(3, 0))
    assert walk.expected_pages == 2
    assert walk.judge().is_end


def test_empty_page_in_the_middle_is_asked_for_as_often_as_a_failed_one(make):
    walk = make(PageNumber())
    read(walk, page_of(1), page_of(2, 0), page_of(3))
    for times in (1, 2):
        assert walk.judge().again.times == times
        read(walk, page_of(2, 0))
    verdict = walk.judge()
    assert verdict.failure.code == "end_in_doubt"
    assert "page 2 is empty, and yet page 3 has records" in verdict.failure.message


def test_page_that_repeats_another_is_read_once_more_and_then_fails(make):
    walk = make(PageNumber())
    read(walk, page_of(1))
    [first] = read(walk, page_of(2, start=0))
    assert "nothing that was not on an earlier page" in first.again.why
    assert not first.texts
    [second] = read(walk, page_of(2, start=0))
    assert second.failure.code == "page_spoiled"


def test_short_page_of_an_ordered_list_is_read_beside_the_list(make):
    walk = make(PageNumber(), chain=PageChain(SIZE))
    read(walk, page_of(1), page_of(2, 6), page_of(3), page_of(4, 0))
    read(walk, page_of(walk.judge().again.page.number, 0))
    again = walk.judge().again
    assert (again.page.number, again.is_reading) == (2, True)
    whole = page_of(2)
    assert len(walk.take_reading(whole, keys(whole))) == 4


def test_link_that_ends_against_a_flag_is_a_failure_that_keeps_the_records(make):
    walk = make(NextLink())
    body = {"results": things(0, 5), "next": None, "has_more": True}
    page = answered(body, PageRequest(URL), path=["results"])
    [answer] = read(walk, page)
    assert answer.failure.code == "pagination_unknown"
    assert "has_more is true" in answer.failure.message
    assert len(answer.texts) == 5


def test_list_longer_than_allowed_fails(make):
    walk = make(PageNumber(), pages_max=2)
    answers = read(walk, page_of(1), page_of(2))
    assert (
        answers[-1].failure.message == "the list does not end within PAGINATION_PAGES_MAX=2 pages"
    )
