"""A walk is given answered pages, in any order, and says what follows."""

from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import Any
from urllib.parse import urlsplit

import pytest

from coinspider.crawl.key_order import PageChain
from coinspider.crawl.reasons import page_reason
from coinspider.crawl.target import Shortage
from coinspider.crawl.walk import Walk
from coinspider.http.pagination import AnsweredPage, NextLink, Offset, PageNumber, PageRequest
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
    assert verdict.again.times == 0, "it is asked for again at once"
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


STATUS = [
    ({"retCode": 0}, {"retCode": 10006, "retMsg": "Too many visits"}, "Too many visits"),
    ({"success": True}, {"success": False, "message": "no such market"}, "no such market"),
    ({}, {"error": {"message": "try later"}}, "try later"),
    ({"code": 0}, {"code": 0, "msg": "no more"}, None),
    ({"page": 1}, {"page": 2}, None),
    ({"status": "1"}, {"status": "0", "message": "No transactions found"}, None),
]


@pytest.mark.parametrize(("good", "bad", "words"), STATUS)
def test_page_unlike_the_others_is_an_error_and_no_end(make, good, bad, words):
    walk = make(PageNumber())
    first = answered({**good, "result": {"list": things(0, 10)}}, path=["result", "list"])
    read(walk, first)
    body = {**bad, "result": {"list": []}}
    page = answered(body, PageRequest(URL, number=2), path=["result", "list"])
    answers = read(walk, page, page, page)
    if words is None:
        assert walk.judge().again.why == "page 2 is empty"
        return
    assert [answer.again and answer.again.times for answer in answers] == [1, 2, None]
    assert words in answers[-1].failure.message


@pytest.mark.parametrize(
    ("strategy", "following"),
    [(PageNumber(), "page=3"), (Offset(limit=SIZE), "offset=20"), (Offset(limit=0), "offset=20")],
)
@pytest.mark.parametrize("missing_max", [0, 1])
def test_one_page_that_can_not_be_had_costs_one_page(make, strategy, following, missing_max):
    walk = make(strategy, missing_max=missing_max)
    [answer] = read(walk, answered(things(0, SIZE), walk.first()))
    [second] = answer.requests
    lost = page_reason(second.url, "HTTP status 500", 500)
    [third] = walk.pass_over(second, lost).requests
    assert (third.number, urlsplit(third.url).query.endswith(following)) == (3, True)
    empty = replace(page_of(4, 0), request=replace(third, number=4))
    read(walk, replace(page_of(3), request=third), empty, empty)
    walk.judge()
    verdict = walk.judge()
    assert verdict.is_end is (missing_max == 1)
    if verdict.is_end:
        assert verdict.remark.startswith("without page http")
        assert verdict.remark.endswith("HTTP status 500: PAGINATION_MISSING_MAX accepts it")
        assert walk.seen.incomplete
        return
    assert verdict.failure.code == "pages_missing"
    assert "HTTP status 500; the other pages are stored" in verdict.failure.message
    assert verdict.failure.message.endswith(" -s PAGINATION_MISSING_MAX=1")


def test_two_pages_in_a_row_that_can_not_be_had_end_the_crawl(make):
    walk = make(PageNumber())
    read(walk, page_of(1))
    lost = page_reason(URL, "HTTP status 500", 500)
    assert not walk.pass_over(PageRequest(URL, number=2), lost).failure
    assert walk.pass_over(PageRequest(URL, number=3), lost).failure == lost


def test_pages_behind_one_that_is_empty_are_read_if_they_are_announced(make):
    walk = make(PageNumber())
    pages = {"X_Total_Pages": "4"}
    read(walk, page_of(1, **pages), page_of(2, 0, **pages))
    again = walk.judge().again
    assert (again.page.number, again.times) == (3, 0), "it is no retry, and waits for nothing"
    [answer] = read(walk, page_of(3, **pages))
    assert [request.number for request in answer.requests] == [4]
    read(walk, page_of(4, 5, **pages))
    assert walk.judge().again.page.number == 2, "it may have been spoiled"
    read(walk, page_of(2, 0, **pages), page_of(2, 0, **pages))
    walk.judge()
    assert "page 2 is empty, and yet page 4 has records" in walk.judge().failure.message


@pytest.mark.parametrize(
    ("body", "number"), [({"rows": []}, 3), ({"rows": None}, 4), ({}, 4)], ids=str
)
def test_page_that_lacks_its_list_is_no_end_before_the_next_one_was_asked_for(make, body, number):
    walk = make(PageNumber())
    for n in (1, 2):
        read(walk, answered({"rows": things(10 * n, 10 * n + 10)}, number=n, path=["rows"]))
    read(walk, answered(body, number=3, path=["rows"]))
    assert walk.judge().again.page.number == number


def test_page_without_list_and_cursor_is_asked_for_again(make):
    walk = make(NextLink())
    first = {"rows": things(0, 10), "next": URL + "&page=2"}
    read(walk, answered(first, path=["rows"]))
    read(walk, answered({}, number=2, path=["rows"]))
    again = walk.judge().again
    assert (again.page.number, again.times) == (2, 0)
    read(walk, answered({}, number=2, path=["rows"]))
    assert walk.judge().is_end


def test_page_out_of_order_that_comes_again_unchanged_is_stored(make):
    walk = make(PageNumber(), chain=PageChain(SIZE))
    read(walk, page_of(1))
    page = page_of(2)
    spoiled = [*keys(page)[:8], "00001-x", "00018"]
    assert walk.take(page, spoiled).again
    answer = walk.take(page, spoiled)
    assert len(answer.texts) == SIZE
    assert walk.chain.in_order is False
    assert not read(walk, page_of(3))[0].failure


@pytest.mark.parametrize(
    ("total", "earlier", "is_believed"),
    [
        pytest.param("15", None, False, id="for the first time"),
        pytest.param("15", Shortage(15, 14), False, id="by much"),
        pytest.param("103", Shortage(103, 100), True, id="in the same way"),
        pytest.param("103", Shortage(105, 99), False, id="by more before"),
        pytest.param("103", Shortage(100, 95), False, id="somewhere else"),
        pytest.param("120", Shortage(120, 100), False, id="by much, twice"),
    ],
)
def test_total_that_two_crawls_contradict_alike_is_disbelieved(make, total, earlier, is_believed):
    walk = make(NextLink(), earlier=earlier)
    count = 100 if int(total) > 100 else 14
    for number, (start, end) in enumerate([(0, 10), (10, count)], start=1):
        link = f"{URL}&from=10" if number == 1 else None
        body = {"total": int(total), "results": things(start, end), "next": link}
        read(walk, answered(body, PageRequest(URL, number=number), path=["results"]))
    verdict = walk.judge()
    assert verdict.shortage == (int(total), count)
    assert verdict.is_end == is_believed
    said = f"total says {total} records, {count} came"
    assert said in (verdict.remark if is_believed else verdict.failure.message)


def after_two_full_pages(make, words):
    walk = make(PageNumber())
    read(walk, page_of(1), page_of(2))
    return walk, *read(walk, replace(page_of(3, 0), error=f"HTTP status 400, {words}"))


def test_error_after_a_full_page_is_no_end_without_a_total(make):
    walk, answer = after_two_full_pages(make, "Invalid page.")
    assert not answer.failure
    assert "-a last=2 if these are all" in walk.judge().failure.message


def test_cap_is_no_end(make):
    walk, answer = after_two_full_pages(make, "page 3 exceeds the allowed maximum")
    assert "the API gives no more of it" in answer.failure.message
    assert not walk.end_reached


def ended(make, *totals: int, **options: Any) -> Walk:
    """A walk whose numbered pages came, the last of them empty, as often as it asks for that."""
    walk = make(PageNumber(), readings_max=2, **options)
    for number, total in enumerate(totals, start=1):
        count = 0 if number == len(totals) else SIZE
        headers = {"Total": str(total)} if total else {}
        read(walk, page_of(number, count, **headers))
    return walk


def test_list_without_a_total_is_proven_by_its_first_page(make):
    walk = ended(make, 0, 0, 0)
    read(walk, page_of(walk.judge().again.page.number, 0))
    again = walk.judge().again
    assert (again.page.number, again.is_reading) == (1, True)
    first = page_of(1)
    assert not walk.take_reading(first, keys(first))
    assert walk.judge().is_end


def test_list_that_moved_is_read_again_and_fails_if_it_goes_on(make):
    walk = ended(make, 0, 0, 0)
    read(walk, page_of(walk.judge().again.page.number, 0))
    assert walk.judge().again.is_reading
    walk.take_reading(page_of(1, start=1), keys(page_of(1, start=1)))
    again = walk.judge().again
    assert (again.page.number, again.is_reading, walk.movement.reading) == (1, False, 2)
    # One record fell between the first two pages, and another is new.
    answers = read(walk, page_of(1, start=1), page_of(2, start=11), page_of(3, 0))
    assert [len(answer.texts) for answer in answers] == [0, 1, 0]
    read(walk, page_of(3, 0))
    walk.judge()
    walk.take_reading(page_of(1, start=2), keys(page_of(1, start=2)))
    failure = walk.judge().failure
    assert "it changed while it was read, 2 times in a row" in failure.message
    assert "-s PAGINATION_READINGS_MAX=1" in failure.message


def test_new_records_in_front_of_a_list_move_nothing_out_of_sight(make):
    walk = ended(make, 0, 0, 0)
    read(walk, page_of(walk.judge().again.page.number, 0))
    assert walk.judge().again.is_reading
    walk.take_reading(page_of(1), ["new", *keys(page_of(1))[:-1]])
    assert walk.judge().is_end


@pytest.mark.parametrize("total", [19, 20])
def test_total_that_shrinks_is_a_list_that_moved(make, total):
    verdict = ended(make, 20, total, total).judge()
    assert verdict.is_end is (total == 20)
    assert verdict.is_end or verdict.again.page.number == 1


def test_list_in_key_order_is_not_read_again(make):
    walk = ended(make, 20, 19, 19, chain=PageChain(SIZE))
    assert walk.judge().is_end


def test_short_page_in_the_middle_is_read_once_more(make):
    walk = make(PageNumber(), readings_max=2)
    read(walk, page_of(1), page_of(2, 6), page_of(3), page_of(4, 0), page_of(4, 0))
    read(walk, page_of(walk.judge().again.page.number, 0))
    again = walk.judge().again
    assert (again.page.number, again.is_reading) == (2, True)
    assert len(walk.take_reading(page_of(2), keys(page_of(2)))) == 4
    assert walk.judge().again.page.number == 1


@pytest.mark.parametrize("is_habit", [False, True])
def test_list_whose_records_come_twice_is_read_again_until_nothing_is_new(make, is_habit):
    """Without a unique order, each call may have its own: others than those did not come at all."""
    walk = make(PageNumber(), readings_max=3)
    pages = {"X_Total_Pages": "3"}
    read(walk, page_of(1, **pages), page_of(2, **pages), page_of(3, start=15, **pages))
    again = walk.judge().again
    assert (again.page.number, again.is_reading) == (1, True), "nothing is new in front of it"
    walk.take_reading(page_of(1, **pages), keys(page_of(1)))
    assert walk.judge().again.why == "the list moved while it was read"
    last = page_of(3, start=15 if is_habit else 18, **pages)
    read(walk, page_of(1, **pages), page_of(2, **pages), last)
    walk.judge()
    walk.take_reading(page_of(1, **pages), keys(page_of(1)))
    verdict = walk.judge()
    assert verdict.is_end is is_habit
    assert is_habit or verdict.again.why == "the list moved while it was read"


def test_page_that_comes_again_after_all_records_is_the_end(make):
    walk = make(PageNumber())
    answers = read(walk, page_of(1, Total="20"), page_of(2, Total="20"), page_of(3, start=10))
    assert not answers[-1].texts
    assert walk.judge().is_end


@pytest.mark.parametrize(
    ("total", "words"),
    [(25, "; -a total=none if these are all"), (None, "")],
)
def test_wrong_total_is_accepted_by_an_argument(make, total, words):
    walk = make(NextLink())
    first = answered(
        {"rows": things(0, 10), "next": URL + "&page=2", "total": total}, path=["rows"]
    )
    second = answered(
        {"rows": things(10, 15), "next": None, "total": total}, number=2, path=["rows"]
    )
    read(walk, first, second)
    verdict = walk.judge()
    assert verdict.is_end is (total is None)
    assert verdict.is_end or verdict.failure.message.endswith(words)


def test_list_that_stops_at_a_round_number_is_cut_by_the_api(make):
    walk = make(NextLink())
    rows = [
        {"rows": things(n, n + 50), "total": 130, "next": n or URL + "&page=2"} for n in (0, 50)
    ]
    read(walk, answered(rows[0], path=["rows"]))
    read(walk, answered({**rows[1], "next": None}, number=2, path=["rows"]))
    assert "no more than 100, which no argument can change" in walk.judge().failure.message


def test_list_that_stops_after_a_full_page_is_cut_by_the_api(make):
    walk = make(PageNumber())
    read(walk, page_of(1, Total="50"), page_of(2, Total="50"))
    for _ in range(4):
        read(walk, page_of(3, 0, Total="50"))
        verdict = walk.judge()
    assert "no more than 20, which no argument can change" in verdict.failure.message


@pytest.mark.parametrize(("total", "least"), [(25, 0), (None, 1)])
def test_proof_takes_one_call_and_none_where_the_total_was_reached(make, total, least):
    walk, calls = make(NextLink(), readings_max=3), 0
    for number in (1, 2, 3):
        rows = things(10 * number - 10, min(10 * number, 25))
        link = f"{URL}&page={number + 1}" if number < 3 else None
        page = answered({"rows": rows, "next": link, "total": total}, number=number, path=["rows"])
        read(walk, page)
    while again := walk.judge().again:
        assert again.is_reading
        walk.take_reading(page_of(1), [f"{n:05}" for n in range(10)])
        calls += 1
    assert (calls, walk.end_reached) == (least, True)


def test_live_list_that_ignores_its_parameter_does_not_go_on_for_ever(make):
    walk = make(PageNumber())
    pages = [page_of(number, start=number) for number in range(1, 8)]
    failures = [answer.failure for answer in read(walk, *pages)]
    assert [bool(failure) for failure in failures] == [False] * 6 + [True]
    assert "the last 5 pages hold little that is new" in failures[-1].message
