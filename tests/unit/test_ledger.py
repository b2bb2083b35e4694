"""How many of a month's calls are left, by the settings, the API and what was counted."""

import asyncio

import pytest
from scrapy.settings import Settings

from coinspider.errors import ConfigurationError
from coinspider.http.limit.state import (
    ConfiguredLimit,
    Grant,
    MonthlyCredits,
    credits_from_settings,
    within_credits,
)
from coinspider.http.limit.turns import LocalLimit
from coinspider.store.account import Usage

PLAN, CAP, NO_LIMIT = MonthlyCredits(100, False), MonthlyCredits(50), MonthlyCredits()
UNKNOWN = MonthlyCredits(None, False)


@pytest.mark.parametrize(
    ("usage", "monthly", "left"),
    [
        pytest.param(Usage(), PLAN, 100, id="nothing known"),
        pytest.param(Usage(30), PLAN, 70, id="counted"),
        pytest.param(Usage(130), PLAN, 0, id="more than there are"),
        pytest.param(Usage(30), UNKNOWN, None, id="a plan without a number"),
        pytest.param(Usage(30, 500, False, 400, 10), PLAN, 380, id="told"),
        pytest.param(Usage(30, 500, False, 0, 10), PLAN, 0, id="told that none are left"),
        pytest.param(Usage(30, 500, False, 400, 10), UNKNOWN, 380, id="told, and no number"),
        pytest.param(Usage(30, 100, False, 5, 30), PLAN, 5, id="others use the key, too"),
        pytest.param(Usage(30, 100, False), MonthlyCredits(500, False), 470, id="a larger plan"),
        pytest.param(Usage(30, 500, False), PLAN, 70, id="a smaller plan"),
        pytest.param(Usage(30, 500, False, 400, 10), CAP, 20, id="cap below what is told"),
        pytest.param(Usage(30, 500, False, 5, 30), CAP, 5, id="cap above what is told"),
        pytest.param(Usage(30, 50, True), CAP, 20, id="the same cap"),
        pytest.param(Usage(30, 50, True), NO_LIMIT, None, id="cap lifted"),
        pytest.param(Usage(30, 500, False, 5, 30), NO_LIMIT, None, id="no limit whatever is told"),
        pytest.param(Usage(30, 50, True), PLAN, 70, id="cap no longer set"),
        pytest.param(Usage(30, 50, True, 400, 10), PLAN, 380, id="cap no longer set, and told"),
        pytest.param(Usage(0, 50, True, 0, 0), CAP, 0, id="nothing left, and nothing made"),
    ],
)
def test_calls_that_are_left(usage, monthly, left):
    assert usage.with_settings(monthly).left() == left


@pytest.mark.parametrize(
    ("text", "monthly"),
    [("", None), (None, None), ("0", NO_LIMIT), (0, NO_LIMIT), ("50", CAP), (" 50 ", CAP)],
)
def test_credits_of_other_apis(text, monthly):
    assert credits_from_settings(Settings({"RATELIMIT_MONTHLY_CREDITS": text})) == monthly


@pytest.mark.parametrize("text", ["-1", "1e4", "ten", "10,000"])
def test_credits_that_are_not_a_number_are_an_error(text):
    with pytest.raises(ConfigurationError, match="not a number of calls a month"):
        credits_from_settings(Settings({"RATELIMIT_MONTHLY_CREDITS": text}))


@pytest.mark.parametrize(
    ("calls", "made", "calls_max", "left"),
    [
        pytest.param(5, 5, 10, 5, id="enough"),
        pytest.param(5, 10, 10, 5, id="the last ones"),
        pytest.param(5, 12, 10, 3, id="a part"),
        pytest.param(5, 15, 10, 0, id="none"),
        pytest.param(5, 99, 10, 0, id="long ago"),
        pytest.param(5, 99, None, 5, id="no limit"),
        pytest.param(5, 5, 0, 0, id="no calls at all"),
        pytest.param(0, 99, 10, 0, id="a wait"),
    ],
)
def test_grant_is_cut_to_what_is_left(calls, made, calls_max, left):
    grant = within_credits(Grant(calls, at_once=3), made, calls_max)
    assert grant.calls == left
    assert bool(grant.exhausted) == (calls > 0 and not left)


def test_crawl_without_a_database_makes_no_call_more_than_the_credits():
    limit = LocalLimit(ConfiguredLimit())
    limit.calls_max = 3
    granted = [asyncio.run(limit.take(5)) for _ in range(5)]
    assert [grant.calls for grant in granted] == [1, 1, 1, 0, 0]
    assert granted[-1].exhausted
    assert limit.state.made == 3
