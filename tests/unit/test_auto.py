"""Finds out from the pages alone how a list is paged."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from coinspider.http.pagination import PageRequest
from coinspider.http.pagination.auto import Auto, make_strategy
from coinspider.http.pagination.protocol import command_arguments
from tests.helpers.answered import URL, answered, things

COUNT, SIZE = 25, 10


def query(request: PageRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))


def walk(answer: Any, strategy: Any = None, body: bytes = b"") -> tuple[set[int], Any, list[str]]:
    """The ids that came, the last step, and the arguments of the strategy that was found."""
    pending = [PageRequest(URL, "POST" if body else "GET", body=body)]
    ids: set[int] = set()
    found: list[str] = []
    for _ in range(40):
        request = pending.pop(0)
        came = answer(request)
        page = answered(came, request, path=["results"] if isinstance(came, dict) else [])
        if came == "error":
            page = replace(page, error="HTTP status 400")
        step = (request.strategy or strategy or Auto()).following(page)
        ids |= {json.loads(bytes(record))["id"] for record in page.records}
        found = command_arguments(step.strategy) if step.strategy else found
        pending += step.requests
        if not pending:
            return ids, step, found
    raise AssertionError("it does not end")


def by_number(parameter: str, first: int, **envelope: Any) -> Any:
    def answer(request: PageRequest) -> Any:
        number = int(query(request).get(parameter, first)) - first
        rows = things(number * SIZE, min((number + 1) * SIZE, COUNT))
        return {"results": rows, **envelope} if envelope else rows

    return answer


def by_offset(parameter: str, **envelope: Any) -> Any:
    def answer(request: PageRequest) -> Any:
        start = int(query(request).get(parameter, 0))
        rows = things(start, min(start + SIZE, COUNT))
        return {"results": rows, **envelope} if envelope else rows

    return answer


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("parameter", ["page", "p", "pageNumber"])
def test_numbered_pages_are_found_whatever_their_first_number(parameter, first):
    ids, step, found = walk(by_number(parameter, first))
    assert (len(ids), bool(step.end)) == (COUNT, True)
    assert f"first_page={first}" in found or first == 1


@pytest.mark.parametrize("first", [0, 1])
def test_first_number_of_named_pages_is_found(first):
    ids, step, _ = walk(by_number("page", first), make_strategy("page", {}))
    assert (len(ids), bool(step.end)) == (COUNT, True)


@pytest.mark.parametrize("parameter", ["offset", "skip", "start", "$offset", "$skip", "from"])
@pytest.mark.parametrize("envelope", [{}, {"total": COUNT}], ids=str)
def test_offsets_are_found(parameter, envelope):
    ids, step, found = walk(by_offset(parameter, **envelope))
    assert (len(ids), bool(step.end)) == (COUNT, True)
    assert found[0] == "pagination=offset"


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("next_cursor", "cursor"), ("nextCursor", "cursor"), ("next_cursor", "starting_after"),
        ("nextPageToken", "pageToken"), ("nextPageToken", "nextPageToken"),
        ("next_page_token", "page_token"), ("next_page_token", "next_page_token"),
        ("next_token", "pagination_token"), ("nextToken", "nextToken"), ("after", "after"),
        ("endCursor", "after"), ("NextMarker", "Marker"), ("cursor", "cursor"), ("next", "next"),
        ("next_page", "page"), ("next_offset", "offset"), ("bookmark", "bookmark"),
        ("continuationToken", "continuationToken"), ("scroll_id", "scroll_id"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("container", [(), ("meta",), ("paging", "cursors")], ids=str)
def test_cursor_and_its_parameter_are_found(name, parameter, container):
    def answer(request: PageRequest) -> Any:
        is_page = name == "next_page"
        place = int(query(request).get(parameter, int(is_page)))
        start = (place - 1) * SIZE if is_page else place
        more = start + SIZE < COUNT
        following = place + 1 if is_page else start + SIZE
        mark: Any = following if name in ("next_page", "next_offset") else str(following)
        inner: Any = {name: mark} if more else {}
        for key in reversed(container):
            inner = {key: inner}
        return {"results": things(start, min(start + SIZE, COUNT)), **inner}

    ids, step, _ = walk(answer)
    assert (len(ids), bool(step.end)) == (COUNT, True)


@pytest.mark.parametrize(
    "path",
    ["next", "links.next", "_links.next.href", "paging.next", "next_page_url", "nextLink",
     "@odata.nextLink", "meta.next_url", "nextRecordsUrl"],
)  # fmt: skip
def test_link_is_found(path):
    def answer(request: PageRequest) -> Any:
        start = int(query(request).get("t", 0))
        inner: Any = f"?t={start + SIZE}" if start + SIZE < COUNT else None
        keys = [path] if path.startswith("@") else path.split(".")
        for key in reversed(keys):
            inner = {key: inner} if inner is not None else {}
        return {"results": things(start, min(start + SIZE, COUNT)), **inner}

    ids, step, found = walk(answer)
    assert (len(ids), bool(step.end)) == (COUNT, True)
    assert found[0] == "pagination=next"


def test_cursor_goes_into_the_body_of_a_post():
    def answer(request: PageRequest) -> Any:
        start = int(json.loads(request.body).get("variables", {}).get("after", 0))
        more = start + SIZE < COUNT
        info = {"hasNextPage": more, "endCursor": str(start + SIZE)}
        return {"results": things(start, min(start + SIZE, COUNT)), "pageInfo": info}

    ids, step, found = walk(answer, body=b'{"variables": {}}')
    assert (len(ids), bool(step.end)) == (COUNT, True)
    assert "parameter=variables.after" in found


@pytest.mark.parametrize("count", [1, 5, 9, 10, 13, 15, 25, 43, 50, 100, 250, 1000])
def test_number_of_records_does_not_prove_the_end(count):
    _, step, _ = walk(lambda _: things(0, count))
    assert step.end is None
    # The usual size of a page is no reason to say that these are all.
    assert ("-a pagination=none" in step.problem) is (count in (9, 13, 43))
    assert "if these are all" in step.problem


@pytest.mark.parametrize(
    "envelope",
    [{"has_more": True}, {"total": 99}, {"total_pages": 3}, {"isLast": False}, {"last": False}],
    ids=str,
)
def test_announced_pages_that_no_parameter_brings_are_a_problem(envelope):
    _, step, _ = walk(lambda _: {"results": things(0, 7), **envelope})
    assert step.end is None
    assert step.problem


@pytest.mark.parametrize(
    "envelope",
    [{"has_more": False}, {"next": None}, {"isLast": True}, {"total": 7}, {"total_pages": 1},
     {"links": {"next": None}}, {"done": True}],
    ids=str,
)  # fmt: skip
def test_first_page_that_says_it_is_the_last_needs_no_request(envelope):
    calls = []

    def answer(request: PageRequest) -> Any:
        calls.append(request)
        return {"results": things(0, 7), **envelope}

    _, step, _ = walk(answer)
    assert step.end
    assert len(calls) == 1


def test_pagination_of_an_api_that_refuses_unknown_parameters_is_found():
    def answer(request: PageRequest) -> Any:
        if set(query(request)) - {"vs_currency", "offset"}:
            return "error"
        return by_offset("offset")(request)

    ids, step, found = walk(answer)
    assert (len(ids), bool(step.end)) == (COUNT, True)
    assert found[0] == "pagination=offset"


@pytest.mark.parametrize("count", [COUNT, 7])
def test_api_that_refuses_every_parameter_gets_advice_and_is_not_believed(count):
    def answer(request: PageRequest) -> Any:
        return "error" if set(query(request)) - {"vs_currency"} else things(0, count)

    ids, step, _ = walk(answer)
    assert (len(ids), step.end) == (count, None)
    assert step.problem.startswith("each of the usual parameters is refused (HTTP status 400): ")
    assert ("-a pagination=none" in step.problem) is (count == 7)


def test_api_that_refuses_only_some_parameters_gets_no_such_advice():
    def answer(request: PageRequest) -> Any:
        told = query(request)
        return "error" if "offset" in told or len(told) > 3 else things(0, COUNT)

    _, step, _ = walk(answer)
    assert step.problem.startswith("none of the usual parameters brings a second page")


def test_single_page_of_a_named_parameter_ends_at_an_error():
    def answer(request: PageRequest) -> Any:
        return things(0, 7) if int(query(request).get("page", 1)) == 1 else "error"

    ids, step, _ = walk(answer, make_strategy("page", {}))
    assert (len(ids), step.end) == (7, "page 2 answers HTTP status 400")


def test_named_parameter_that_brings_the_first_page_again_is_a_problem():
    _, step, _ = walk(lambda _: things(0, COUNT), make_strategy("page", {}))
    assert step.problem.startswith("page= brings the first page again: name one with -a")


@pytest.mark.parametrize(
    "envelope",
    [{"x.": {"next": "/?page=2"}}, {"a..b": {"next_cursor": "abc"}}, {'q"': {"next": "/2"}}],
)
def test_field_that_no_argument_can_name_is_not_followed_and_ends_no_list(envelope):
    _, step, _ = walk(lambda _: {"results": things(0, 3), **envelope})
    assert not step.end
    assert "brings another page" in step.problem


def test_fields_that_sound_like_cursors_are_not_all_tried():
    tokens = {f"myNextToken{number}": f"abc{number}" for number in range(2000)}
    page = answered({"results": things(0, 3), **tokens}, PageRequest(URL), path=["results"])
    trial = Auto().following(page).requests[0].strategy
    assert len(trial.candidates) < 300
    assert "sound as if there were more" in trial.says_more
