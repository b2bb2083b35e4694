"""What is evidence that a list goes on, has ended, or can't be read further, and what is none."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from coinspider.errors import ConfigurationError, PageError
from coinspider.http.api_errors import is_cap
from coinspider.http.pagination import Cursor, Evidence, NextLink, Offset, PageNumber, PageRequest
from coinspider.http.pagination.auto import Auto
from coinspider.http.pagination.signs import Signs
from coinspider.records.cutting import cut_records
from coinspider.records.discovery import find_cut, with_keys
from tests.helpers.answered import URL, answered, query, things

ERRORS = [
    {"retCode": 10006, "retMsg": "Too many visits!", "result": {}},
    {"code": "429000", "msg": "Too many requests"},
    {"status": "error", "err-msg": "Request frequency exceeded", "data": None},
    {"success": False, "reason": "rate limited"},
]


@pytest.mark.parametrize("strategy", [NextLink(), Cursor(), PageNumber(), Offset()], ids=str)
@pytest.mark.parametrize("body", ERRORS, ids=str)
def test_error_with_status_200_ends_no_list(strategy, body):
    request = PageRequest(URL, number=3, place="20")
    step = strategy.following(answered(body, request))
    assert step.end is None
    assert step.problem


@pytest.mark.parametrize(
    ("words", "cap"),
    [
        ("Requesting page 4 exceeds the allowed maximum of 200 records.", True),
        ("page above 5 requires an access token", True),
        ("Result window is too large, from + size must be less than or equal to: [10000]", True),
        ("Only the first 1000 search results are available", False),
        ("Only the first 1000 results are given", True),
        ("Upgrade your plan to go further", True),
        ("Invalid page.", False),
        ("The page number requested is larger than the number of pages available.", False),
        ("Page exceeds the total of 12 pages", False),
        ("Not found", False),
    ],
)
def test_cap_is_told_from_the_end(words, cap):
    assert is_cap(words) is cap
    page = replace(answered([], number=4), error=f"HTTP status 400, {words}")
    step = PageNumber().following(page)
    assert (step.problem is not None, step.end is not None) == (cap, not cap)


def signs(body: Any) -> Signs:
    return Signs({}, json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [
        {"totalItems": -1, "totalPages": -1},
        {"hits": {"total": {"value": 100, "relation": "gte"}}},
        {"estimatedTotalHits": 100},
    ],
)
def test_figures_that_are_no_totals(body):
    assert signs(body).totals == []
    assert signs(body).pages is None
    assert signs(body).says_end(100) is None


def test_estimate_at_a_round_number_is_no_end_of_an_offset():
    body = {"estimatedTotalHits": 100, "hits": []}
    page = answered(body, PageRequest(URL, number=6, place="100"), path=["hits"])
    assert Offset().following(page).problem


def read(answer: Any, body: bytes = b"") -> tuple[set[int], Any]:
    """The ids that came from an API that is only asked by its URL, and the last step."""
    pending, ids = [PageRequest(URL, "POST" if body else "GET", body=body)], set()
    for _ in range(60):
        request = pending.pop(0)
        page = answered(answer(request), request, path=["rows"])
        cut = page.request.cut
        assert cut
        page = replace(page, request=replace(page.request, cut=with_keys(cut, page.body, ["id"])))
        step = (request.strategy or Auto()).following(page)
        ids |= {json.loads(bytes(record))["id"] for record in page.records}
        pending += step.requests
        if not pending:
            return ids, step
    raise AssertionError("it does not end")


def test_object_that_is_a_cursor_goes_back_as_it_is():
    def answer(request: PageRequest) -> Any:
        start = json.loads(request.body).get("ExclusiveStartKey", {"id": {"N": "0"}})["id"]["N"]
        rows = things(int(start), min(int(start) + 13, 30))
        more = {"LastEvaluatedKey": {"id": {"N": str(int(start) + 13)}}} if len(rows) == 13 else {}
        return {"rows": rows} | more

    ids, step = read(answer, b'{"TableName": "t"}')
    assert (len(ids), bool(step.end)) == (30, True)


def test_marker_goes_into_the_parameters_of_json_rpc():
    def answer(request: PageRequest) -> Any:
        start = int(json.loads(request.body)["params"][0].get("marker", 0))
        more = {"marker": str(start + 10)} if start < 20 else {}
        return {"rows": things(start, min(start + 10, 25))} | more

    ids, step = read(answer, b'{"method": "list", "params": [{}]}')
    assert (len(ids), bool(step.end)) == (25, True)


def test_place_that_a_body_has_not_is_told_in_one_line():
    with pytest.raises(ConfigurationError, match="the body has no place"):
        PageRequest(URL, "POST", body=b'{"params": []}').with_parameter("params[0].a", 1, "body")


@pytest.mark.parametrize("name", ["next_cursor_id", "continueFrom", "lastId"])
def test_cursor_of_an_unknown_name_is_never_one_page(name):
    ids, step = read(lambda _: {"rows": things(0, 9), name: "abc"})
    assert len(ids) == 9
    assert step.end is None
    assert f"-a path={name} -a parameter=NAME" in step.problem


def test_live_prices_do_not_make_a_page_a_new_one():
    prices = iter(range(1000))

    def answer(_: PageRequest) -> Any:
        return {"rows": [row | {"price": next(prices)} for row in things(0, 25)]}

    ids, step = read(answer)
    assert len(ids) == 25
    assert "doesn't mention more" in step.problem


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"prices": [[1, 2]] * 9, "caps": [[1, 2]] * 9},
            "lists (prices, caps): name one with -a records=prices",
        ),
        ({"bars": {"A": [{"t": 1}] * 40, "B": [{"t": 1}]}}, "several lists (bars.A, bars.B)"),
    ],
)
def test_records_are_never_half_of_what_came(body, words):
    with pytest.raises(PageError) as refused:
        find_cut(json.dumps(body).encode())
    assert words in str(refused.value)


def test_arrays_at_a_named_place_become_records():
    body = json.dumps({"prices": [[1, 2]] * 3, "caps": [[1, 3]] * 3}).encode()
    records = cut_records(body, find_cut(body, "caps"))
    assert [msgspec.json.decode(record) for record in records] == [{"c1": 1, "c2": 3}] * 3


def test_array_that_names_the_columns_is_no_record():
    body = json.dumps([["NAME", "STATE"], ["Ohio", "39"], ["Iowa", "19"]]).encode()
    cut = find_cut(body)
    assert [msgspec.json.decode(record) for record in cut_records(body, cut)] == [
        {"c1": "Ohio", "c2": "39"},
        {"c1": "Iowa", "c2": "19"},
    ]


@pytest.mark.parametrize(
    ("first", "key"),
    [
        ({"market": "KRW-A", "price": "1"}, "market"),
        ({"i": "A_USD", "h": "1.5"}, "i"),
        ({"time": "2026-01-01T00:00:00Z", "price": "1"}, "id"),
        ({"price": "1.5", "note": "x"}, "id"),
    ],
)
def test_first_field_identifies_a_record_if_it_has_words(first, key):
    other = {name: value.replace("A", "B").replace("1", "2") for name, value in first.items()}
    body = json.dumps([first, other]).encode()
    assert with_keys(find_cut(body), body, []).keys == (key,)


def test_page_after_a_record_that_is_named_by_its_key_is_found():
    def answer(request: PageRequest) -> Any:
        before = int(query(request).get("before", 31))
        return {"rows": [row for row in things(1, 31)[::-1] if row["id"] < before][:10]}

    ids, step = read(answer)
    assert (len(ids), step.by) == (30, Evidence.EMPTY_PAGE)


def test_page_after_a_record_that_is_named_by_another_field_is_found():
    """Typeform: https://developer.typeform.com/responses/reference/retrieve-responses/"""
    rows = [{"id": number, "token": f"t{number}"} for number in range(62)]

    def answer(request: PageRequest) -> Any:
        before = query(request).get("before")
        start = next((n + 1 for n, row in enumerate(rows) if row["token"] == before), 0)
        left = len(rows) - start
        return {"rows": rows[start : start + 25], "page_count": -(-left // 25)}

    ids, _ = read(answer)
    assert len(ids) == 62


TRADES = [{"S": "ab"[n % 2], "t": f"2026-01-{n // 2 + 1:02}", "o": str(n)} for n in range(20)]


@pytest.mark.parametrize(
    ("rows", "keys"),
    [(TRADES, ("S", "t")), ([{"price": "1", "size": "2"}, {"price": "1", "size": "3"}], ("id",))],
)
def test_words_and_times_may_identify_a_record_together_but_no_amounts(rows, keys):
    body = json.dumps(rows).encode()
    assert with_keys(find_cut(body), body, []).keys == keys


def test_date_among_the_records_of_an_object_is_none():
    rates = {name: {"rate": number} for number, name in enumerate("ABCD")}
    body = json.dumps({"rates": {"date": "2026-01-01", **rates}}).encode()
    cut = find_cut(body)
    assert (cut.path, len(cut_records(body, cut))) == (("rates",), 4)
