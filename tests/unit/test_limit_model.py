"""What a crawl learns of each of the sandbox's limiters, by a simulated clock."""

import pytest

from benchmarks.limit_simulation import CALLS, SHARES, Crawl, crawl, ideal
from coinspider.http.limit import model as limit_model
from coinspider.http.limit.state import LimitState, ToldLimit
from coinspider.sandbox.limit_headers import STYLES
from coinspider.sandbox.limits import LIMITS

NOTHING, HALF, DOUBLE = SHARES.values()


@pytest.mark.parametrize("share", [NOTHING, HALF, DOUBLE], ids=["nothing", "half", "double"])
@pytest.mark.parametrize("period", [1, 6, 60])
@pytest.mark.parametrize("kind", list(LIMITS))
def test_limit_is_learned_by_one_crawl_and_kept_for_the_next(kind, period, share):
    first = crawl(kind, period, share)
    assert first.run() <= 1.25 * ideal(period)
    assert first.refused <= 3
    second = first.next(2 * period)
    assert second.run() <= 1.05 * ideal(period)
    assert second.refused <= 1


@pytest.mark.parametrize("kind", ["fixed-window", "sliding-window"])
@pytest.mark.parametrize("period", [1, 6, 60])
@pytest.mark.parametrize("latency", [0.01, 0.1])
def test_size_and_period_of_a_window_are_found(kind, period, latency):
    found = crawl(kind, period, NOTHING, latency=latency)
    found.run()
    if latency * CALLS < period:  # else the limit is never met
        assert found.state.calls == CALLS
        assert period <= found.state.period <= period + 1


@pytest.mark.parametrize(("calls", "period"), [(1, 5), (5, 3600), (1000, 60), (100, 10)])
@pytest.mark.parametrize("kind", ["fixed-window", "sliding-window"])
def test_windows_of_any_size_and_period_are_found(kind, calls, period):
    found = Crawl(LIMITS[kind](calls, period), ToldLimit(0, 60, firm=False), LimitState())
    found.latency = 0.001
    found.run(2 * calls)
    assert found.state.calls == calls
    assert period <= found.state.period <= period + 1
    assert found.refused <= 2


@pytest.mark.parametrize("period", [6, 60])
def test_rate_of_a_bucket_is_found(period):
    found = crawl("token-bucket", period, NOTHING)
    found.run(300)
    assert found.state.rate == pytest.approx(CALLS / period, rel=0.25)


@pytest.mark.parametrize("share", [HALF, DOUBLE], ids=["half", "double"])
@pytest.mark.parametrize("period", [1, 6, 60])
@pytest.mark.parametrize("kind", ["fixed-window", "sliding-window"])
def test_period_that_is_told_is_believed_where_no_refusal_tells_one(kind, period, share):
    found = crawl(kind, period, share, says="none")
    assert found.run() <= 1.25 * ideal(period)
    assert found.refused == 1


@pytest.mark.parametrize(("period", "longest"), [(1, 1), (6, 8), (60, 64)])
def test_period_is_looked_for_where_nothing_tells_it(period, longest):
    found = crawl("fixed-window", period, NOTHING, says="none")
    found.run()
    assert period <= found.state.period <= longest
    assert found.refused <= 3


@pytest.mark.parametrize("share", [NOTHING, HALF, DOUBLE], ids=["nothing", "half", "double"])
@pytest.mark.parametrize("style", [style for style in STYLES if style != "none"])
@pytest.mark.parametrize("kind", list(LIMITS))
def test_limit_that_headers_tell_is_never_exceeded(kind, style, share):
    found = crawl(kind, 60, share, headers=style)
    assert found.run() <= 1.25 * ideal(60)
    assert found.refused == 0


@pytest.mark.parametrize("kind", list(LIMITS))
@pytest.mark.parametrize("period", [1, 6, 60])
def test_limit_that_is_firm_is_never_exceeded(kind, period):
    found = Crawl(LIMITS[kind](CALLS, period), ToldLimit(CALLS, period), LimitState())
    assert found.run() <= 1.05 * ideal(period)
    assert found.refused == 0


def test_window_that_began_before_the_crawl_is_found():
    found = crawl("fixed-window", 60, NOTHING)
    found.server.refused_for(found.now - 40)
    found.server.count = 0
    found.run(200)
    assert (found.state.calls, found.state.period) == (CALLS, 60)
    assert found.refused <= 3


def test_calls_of_others_do_not_change_what_is_known():
    found = crawl("fixed-window", 60, NOTHING)
    found.run()
    found.now += 300
    for _ in range(12):
        found.server.refused_for(found.now)
    found.run(20)
    assert (found.state.calls, found.state.period) == (CALLS, 60)


def test_probing_upward_costs_ever_fewer_calls():
    found = crawl("fixed-window", 60, NOTHING)
    found.run(CALLS * 60 * 24)  # a day
    assert 2 <= found.refused <= 8
    assert found.state.calls <= 1.1 * CALLS + 1


def test_limit_that_rises_is_found():
    found = crawl("fixed-window", 60, NOTHING)
    found.run()
    found.server = LIMITS["fixed-window"](100, 60)
    found.run(CALLS * 60 * 8)  # eight hours, at the old limit
    assert found.state.calls >= 90


def test_refusals_in_a_row_do_not_lower_the_limit_further():
    state, told = LimitState(), ToldLimit(30, 60, firm=False)
    for number in range(10):
        limit_model.passed(state, 1000 + number * 0.1)
    for moment in (1001.1, 1070.0, 1200.0):
        limit_model.refused(state, moment, limit_model.Refusal(0.1, None), told)
    assert state.calls == 10
    assert state.blocked_until > 1200


def test_calls_under_way_at_a_refusal_teach_nothing():
    state, told = LimitState(), ToldLimit(0, 60, firm=False)
    for number in range(10):
        limit_model.passed(state, 1000 + number * 0.1)
    for age in (0.1, 0.15, 0.2):
        limit_model.refused(state, 1001.1, limit_model.Refusal(age, 5.0), told)
    assert state.calls == 10
    assert state.in_a_row == 1
