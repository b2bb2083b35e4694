"""Which page comes next, and what counts as the end."""

import json
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import pytest

from coinspider.errors import ConfigurationError
from coinspider.http.pagination import (
    IN_SEQUENCE,
    AnsweredPage,
    Cursor,
    LinkHeader,
    LookAhead,
    NextLink,
    Offset,
    PageNumber,
    PageRequest,
    Pagination,
    SignNames,
    SinglePage,
    Step,
)
from coinspider.http.pagination.command_line import command_arguments
from coinspider.http.pagination.registry import STRATEGIES, make_strategy, strategy_arguments
from tests.helpers.answered import URL, answered, things

LIST = PageRequest(URL)


def query(request: PageRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))


def urls(step: Step) -> list[str]:
    return [request.url for request in step.requests]


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


def walk(look_ahead: LookAhead, pages: int) -> list[int]:
    """The requested pages of a list of ``pages`` pages, each in the order of its answer."""
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
def test_every_page_and_the_empty_one_are_requested_once(pages, known, ways):
    asked = walk(LookAhead(ways, known), pages)
    assert len(asked) == len(set(asked))
    assert set(asked) >= set(range(1, pages + 2))


@pytest.mark.parametrize("pages", [1, 8, 68])
def test_no_call_is_wasted_if_the_number_of_pages_is_known(pages):
    assert sorted(walk(LookAhead(8, pages), pages)) == list(range(1, pages + 2))


def test_in_sequence_requests_one_page_after_the_other():
    assert walk(IN_SEQUENCE, 5) == [1, 2, 3, 4, 5, 6]


def test_look_ahead_has_several_pages_under_way():
    assert LookAhead(4).after(1) == [2, 3, 4, 5]
    assert LookAhead(4).after(3) == [7]
    assert LookAhead(4, start=3).after(3) == [4, 5, 6, 7]


def test_look_ahead_travels_in_the_requests():
    step = PageNumber().following(answered(things(0, 9), look_ahead=LookAhead(3)))
    assert [r.number for r in step.requests] == [2, 3, 4]
    assert {r.look_ahead for r in step.requests} == {LookAhead(3)}


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


@pytest.mark.parametrize(
    ("link", "following"),
    [
        pytest.param("https://api.example/x?page=3", "https://api.example/x?page=3", id="absolute"),
        pytest.param("?page=3", "https://api.example/things?page=3", id="relative"),
        pytest.param("/v2/x", "https://api.example/v2/x", id="relative to the host"),
    ],
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("next", lambda link: {"next": link}),
        ("links.next", lambda link: {"links": {"next": link}}),
        ("@odata.nextLink", lambda link: {"@odata.nextLink": link}),
        ("links[-1].href", lambda link: {"links": [{"href": "/"}, {"href": link}]}),
    ],
)
def test_next_link(link, following, path, body):
    assert urls(NextLink(path).following(answered(body(link)))) == [following]


@pytest.mark.parametrize("value", [None, "", False])
def test_empty_link_is_the_end(value):
    assert NextLink().following(answered({"next": value, "results": [1]})).end
    assert NextLink("links.next").following(answered({"links": {}})).end, "so is the place for it"


STRATEGIES_THAT_NEED_A_TRACE = [
    NextLink(),
    NextLink("links.next"),
    Cursor(),
    Cursor("meta.after"),
    Cursor("X-Next", path_in="header"),
    LinkHeader(),
]


@pytest.mark.parametrize("strategy", STRATEGIES_THAT_NEED_A_TRACE, ids=repr)
def test_first_page_without_any_sign_is_not_the_end(strategy):
    step = strategy.following(answered({"results": things(0, 10)}, path=["results"]))
    assert (step.requests, step.end) == ((), None)
    assert "the first page has no" in step.problem


@pytest.mark.parametrize("strategy", STRATEGIES_THAT_NEED_A_TRACE, ids=repr)
@pytest.mark.parametrize(
    "envelope", [{"has_more": False}, {"isLast": True}, {"end_of_stream": True}, {"total": 9}],
    ids=str,
)  # fmt: skip
def test_first_page_that_says_otherwise_that_it_is_the_last_is_the_end(strategy, envelope):
    body = {"results": things(0, 9), **envelope}
    assert strategy.following(answered(body, path=["results"])).end


@pytest.mark.parametrize("strategy", STRATEGIES_THAT_NEED_A_TRACE, ids=repr)
def test_missing_link_or_cursor_after_pages_with_one_is_the_end(strategy):
    body = {"results": things(0, 10)}
    assert strategy.following(answered(body, path=["results"], number=2)).end


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


@pytest.mark.parametrize(
    "envelope",
    [{"has_more": False}, {"meta": {"hasMore": False}}, {"isLast": True}, {"end_of_stream": True}],
    ids=str,
)
@pytest.mark.parametrize("strategy", [Cursor(), NextLink()], ids=repr)
def test_flag_overrules_a_cursor_or_a_link_that_stays(strategy, envelope):
    body = {"next": "?page=3", "next_cursor": "x", **envelope}
    assert strategy.following(answered(body, number=2)).end


@pytest.mark.parametrize("envelope", [{"done": True}, {"last": True}], ids=str)
def test_flag_with_several_meanings_does_not_overrule_a_link(envelope):
    assert NextLink().following(answered({"next": "?page=3", **envelope})).requests


@pytest.mark.parametrize(
    ("header", "following"),
    [
        pytest.param('<https://api.example/x?page=3>; rel="next"', "https://api.example/x?page=3",
                     id="next"),
        pytest.param('<?page=1>; rel="prev", </x?page=3>; rel="next"',
                     "https://api.example/x?page=3", id="among others, relative"),
        pytest.param('</x?ids=1,2&page=3>; rel=next', "https://api.example/x?ids=1,2&page=3",
                     id="a comma in the URL"),
        pytest.param('</x?a=1;b=2>; rel="next"', "https://api.example/x?a=1;b=2",
                     id="a semicolon in the URL"),
        pytest.param('</x>; title="page=2, \\"next\\""; rel="next"', "https://api.example/x",
                     id="a comma in another parameter"),
        pytest.param('</x>; rel="last next"', "https://api.example/x", id="two relations"),
        pytest.param('</x> ; REL = Next ; a', "https://api.example/x", id="spaces and case"),
        pytest.param('</x>; rel="prev"', None, id="none"),
    ],
)  # fmt: skip
def test_link_header(header, following):
    step = LinkHeader().following(answered([1], Link=header))
    assert urls(step) == ([following] if following else [])
    assert step.requests or step.end


@pytest.mark.parametrize("strategy", [NextLink(), LinkHeader(), Cursor()], ids=repr)
def test_page_that_leads_to_itself_from_the_start_is_a_problem(strategy):
    asked = PageRequest(f"{URL}&cursor=x")
    body = {"next": asked.url, "next_cursor": "x", "results": [1]}
    page = answered(body, asked, path=["results"], Link=f'<{asked.url}>; rel="next"')
    assert strategy.following(page).problem


def test_single_page_is_the_end():
    assert SinglePage().following(answered([1])).end


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_follows_the_protocol_and_has_named_arguments(name):
    strategy = make_strategy(name, {})
    assert isinstance(strategy, Pagination)
    assert all(isinstance(argument, str) for argument in strategy_arguments(name))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("cursor", {"path": "meta.after", "parameter": "page[after]"}),
        ("offset", {"limit": "50", "first_record": "1"}),
        ("page", {"first_page": "0", "parameter": "p"}),
        ("next", {"path": "links.next"}),
        ("link", {}),
        ("none", {}),
    ],
)
def test_strategy_is_made_from_arguments_and_can_name_them(name, given):
    told = command_arguments(make_strategy(name, given))
    assert told[0] == f"pagination={name}"
    assert dict(argument.split("=", 1) for argument in told[1:]).items() <= given.items()


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("next", {"parameter": "x"}, "unknown argument parameter: pagination=next takes path"),
        ("page", {"first_page": "one"}, "wrong argument first_page=one"),
        ("cursor", {"path_in": "cookie"}, "wrong argument path_in=cookie"),
    ],
)
def test_wrong_argument_of_a_strategy_is_named(name, given, message):
    with pytest.raises(ConfigurationError, match=message):
        make_strategy(name, given)


def test_custom_strategy_is_one_small_class():
    @dataclass(frozen=True)
    class Days:
        """One page per day, up to the day that was wanted."""

        until: int

        def first(self, request: PageRequest) -> PageRequest:
            return request.with_parameter("day", 1)

        def following(self, page: AnsweredPage) -> Step:
            if page.request.number == self.until:
                return Step(end="the last day", is_final=True)
            day = page.request.number + 1
            return Step((page.request.with_parameter("day", day).moved(),))

    strategy: Pagination = Days(2)
    [second] = strategy.following(answered([1], strategy.first(LIST))).requests
    assert query(second)["day"] == "2"
    assert strategy.following(answered([1], second)).is_final


@pytest.mark.parametrize(
    ("names", "body", "says_more", "says_last"),
    [
        (SignNames(), {"open": True, "all": 50}, False, False),
        (SignNames(more="open"), {"open": True}, True, False),
        (SignNames(more="meta.open"), {"meta": {"open": False}}, False, True),
        (SignNames(last="closed"), {"closed": 0}, True, False),
        (SignNames(last="closed"), {"closed": True}, False, True),
        (SignNames(total="all"), {"all": 50}, True, False),
        (SignNames(total="X-All"), {}, True, False),
        (SignNames(total="none"), {"total": 50, "count": 50}, False, False),
    ],
)
def test_flag_and_total_may_have_any_name(names, body, says_more, says_last):
    request = PageRequest(URL, names=names)
    page = answered({"results": things(0, 9), **body}, request, path=["results"], X_All="50")
    assert bool(page.signs.says_more(9)) is says_more
    assert bool(page.signs.says_last) is says_last
