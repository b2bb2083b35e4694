"""What all pagination strategies have in common, and how arguments make them."""

from dataclasses import dataclass

import pytest

from coinspider.errors import ConfigurationError
from coinspider.http.pagination import (
    AnsweredPage,
    Cursor,
    Evidence,
    LinkHeader,
    NextLink,
    PageRequest,
    Pagination,
    SignNames,
    SinglePage,
    Step,
)
from coinspider.http.pagination.auto import STRATEGIES, make_strategy, strategy_arguments
from coinspider.http.pagination.protocol import command_arguments
from tests.helpers.answered import LIST, URL, answered, query, things

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
    "envelope",
    [{"has_more": False}, {"meta": {"hasMore": False}}, {"isLast": True}, {"end_of_stream": True}],
    ids=str,
)
@pytest.mark.parametrize("strategy", [Cursor(), NextLink()], ids=repr)
def test_flag_overrules_a_cursor_or_a_link_that_stays(strategy, envelope):
    body = {"next": "?page=3", "next_cursor": "x", **envelope}
    assert strategy.following(answered(body, number=2)).end


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
                return Step(end="the last day", by=Evidence.WANTED)
            day = page.request.number + 1
            return Step((page.request.with_parameter("day", day).moved(),))

    strategy: Pagination = Days(2)
    [second] = strategy.following(answered([1], strategy.first(LIST))).requests
    assert query(second)["day"] == "2"
    assert strategy.following(answered([1], second)).by is Evidence.WANTED


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
        (SignNames(), {"total": "9" * 5000, "total_pages": "9" * 5000}, False, False),
    ],
)
def test_flag_and_total_may_have_any_name(names, body, says_more, says_last):
    request = PageRequest(URL, names=names)
    page = answered({"results": things(0, 9), **body}, request, path=["results"], X_All="50")
    assert bool(page.signs.says_more(9)) is says_more
    assert bool(page.signs.says_last) is says_last
