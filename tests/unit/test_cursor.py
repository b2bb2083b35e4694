"""Cursors: where they are, where they go, and what counts as the end."""

import json

import pytest

from coinspider.http.pagination import Cursor, PageRequest
from tests.helpers.answered import URL, answered, query


@pytest.mark.parametrize(
    ("cursor", "value"), [("abc=", "abc="), (7, "7"), (0, "0"), ("+/x/+==", "+/x/+==")]
)
def test_cursor_goes_into_the_query(cursor, value):
    [request] = Cursor().following(answered({"next_cursor": cursor})).requests
    assert query(request) == {"vs_currency": "usd", "cursor": value}


@pytest.mark.parametrize("cursor", [None, "", False])
def test_empty_cursor_is_the_end(cursor):
    assert Cursor().following(answered({"next_cursor": cursor})).end


def test_same_cursor_again_is_the_end():
    [second] = Cursor().following(answered({"next_cursor": 5})).requests
    assert Cursor().following(answered({"next_cursor": 5}, second)).end


def test_cursor_may_be_in_a_header_or_in_the_last_record():
    header = Cursor("X-Next-Page", "page", path_in="header")
    [request] = header.following(answered([1], X_Next_Page="2")).requests
    assert query(request)["page"] == "2"
    assert header.following(answered([1], X_Next_Page="")).end
    record = Cursor("id", "starting_after", path_in="record")
    [request] = record.following(answered([{"id": "a"}, {"id": "b"}])).requests
    assert query(request)["starting_after"] == "b"
    assert record.following(answered([], request)).end


def test_cursor_may_go_into_the_json_body_or_a_header():
    graphql = Cursor("pageInfo.endCursor", "variables.after", parameter_in="body")
    asked = PageRequest(URL, "POST", body=b'{"query": "{coins}", "variables": {"first": 10}}')
    page = answered({"pageInfo": {"endCursor": "x", "hasNextPage": True}}, asked)
    [request] = graphql.following(page).requests
    expected = {"query": "{coins}", "variables": {"first": 10, "after": "x"}}
    assert (request.method, json.loads(request.body)) == ("POST", expected)
    cosmos = Cursor("x-ms-continuation", "x-ms-continuation", "header", "header")
    [request] = cosmos.following(answered([1], x_ms_continuation="t")).requests
    assert dict(request.headers) == {"x-ms-continuation": "t"}


def test_list_as_a_cursor_stays_a_list():
    elastic = Cursor("sort", "search_after", path_in="record", parameter_in="body")
    asked = PageRequest(URL, "POST", body=b"{}")
    [request] = elastic.following(answered([{"sort": [1, "a"]}], asked)).requests
    assert json.loads(request.body) == {"search_after": [1, "a"]}


def test_each_member_of_an_object_as_a_cursor_is_a_parameter():
    page = answered({"continue": {"cmcontinue": "x|y", "continue": "-||"}})
    [request] = Cursor("continue").following(page).requests
    assert query(request) == {"vs_currency": "usd", "cmcontinue": "x|y", "continue": "-||"}


def test_object_of_many_members_is_no_cursor():
    """For each of them the whole URL would be read and written again: hours of 5 MB."""
    page = answered({"continue": {f"p{number}": "x" for number in range(10_000)}})
    step = Cursor("continue").following(page)
    assert (step.requests, step.problem) == (
        (),
        "continue has 10000 members, too many for parameters",
    )
