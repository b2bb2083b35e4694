"""Numbered pages and offsets: which pages come next, and what counts as the end."""

import json

import pytest

from coinspider.http.pagination import IN_SEQUENCE, LookAhead, Offset, PageNumber, PageRequest, Step
from tests.helpers.answered import LIST, URL, answered, query, things


def test_page_number_goes_into_the_query():
    first = PageNumber().first(LIST)
    assert first.url == f"{URL}&page=1"
    [second] = PageNumber().following(answered(things(0, 3), first)).requests
    assert (second.url, second.number) == (f"{URL}&page=2", 2)


def test_pages_may_count_from_any_number_by_any_name_and_in_the_body():
    strategy = PageNumber(parameter="p", first_page=0, limit=50, limit_parameter="size")
    first = strategy.first(LIST)
    assert query(first) == {"vs_currency": "usd", "p": "0", "size": "50"}
    body = PageNumber(parameter="paging.page", parameter_in="body")
    [second] = body.following(answered([1], body.first(PageRequest(URL, "POST")))).requests
    assert json.loads(second.body) == {"paging": {"page": 2}}


@pytest.mark.parametrize(
    ("number", "records", "last", "end"),
    [
        pytest.param(3, 0, None, True, id="empty page"),
        pytest.param(3, 1, None, False, id="short page"),
        pytest.param(3, 250, None, False, id="full page"),
        pytest.param(3, 250, 3, True, id="last page wanted"),
        pytest.param(2, 250, 3, False, id="page before the last one wanted"),
        pytest.param(2, 0, 3, True, id="empty page before the last one wanted"),
    ],
)
def test_end_of_numbered_pages(number, records, last, end):
    step = PageNumber(last=last).following(answered(things(0, records), number=number))
    assert bool(step.end) is end
    assert bool(step.requests) is not end


@pytest.mark.parametrize(
    "headers",
    [{"X_Total_Pages": "3"}, {"X_WP_TotalPages": "3"}, {"total_pages": "3"}],
    ids=lambda headers: next(iter(headers)),
)
def test_number_of_pages_in_a_header_is_the_end(headers):
    assert PageNumber().following(answered(things(0, 9), number=2, **headers)).requests
    assert PageNumber().following(answered(things(0, 9), number=3, **headers)).end


def offsets(step: Step) -> list[int]:
    return [int(query(request)["offset"]) for request in step.requests]


def test_offset_moves_by_the_number_of_records_that_came():
    strategy = Offset(limit=50)
    first = strategy.first(LIST)
    assert query(first) == {"vs_currency": "usd", "offset": "0", "limit": "50"}
    [second] = strategy.following(answered(things(0, 20), first)).requests
    assert offsets(Step((second,))) == [20]
    [third] = strategy.following(answered(things(20, 27), second)).requests
    assert offsets(Step((third,))) == [27]
    assert strategy.following(answered([], third)).end


def test_offset_looks_ahead_if_the_first_page_is_full():
    strategy, ahead = Offset(limit=10, first_record=1), LookAhead(3)
    first = strategy.first(LIST)
    full = strategy.following(answered(things(0, 10), first, look_ahead=ahead))
    assert offsets(full) == [11, 21, 31]
    short = strategy.following(answered(things(0, 4), full.requests[0], look_ahead=ahead))
    assert offsets(short) == [41], "a short page in the middle does not move the others"
    capped = strategy.following(answered(things(0, 4), first, look_ahead=ahead))
    assert offsets(capped) == [5]
    assert capped.requests[0].look_ahead == IN_SEQUENCE


def test_offset_without_a_limit_sends_none():
    assert query(Offset(limit=0).first(LIST)) == {"vs_currency": "usd", "offset": "0"}
