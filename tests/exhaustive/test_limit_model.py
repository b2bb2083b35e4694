"""What is learned of each limiter of the sandbox, by crawls on a simulated clock."""

from random import Random

import pytest

from benchmarks.limit_simulation import CALLS, NOTHING, PAGES, SHARES, Api, api, ideal
from coinspider.http.limit import learning
from coinspider.http.limit.state import ConfiguredLimit, LimitState
from coinspider.sandbox.behaviour import LIMITS, STYLES, FixedWindow

WINDOWS = ["fixed-window", "sliding-window"]
# Of 30 calls in 1, 6 or 60 seconds: nothing, or half or double as many in the same period or, as
# plans say it, in a minute.
TOLD = {
    "nothing": lambda _period: NOTHING,
    "half": lambda period: ConfiguredLimit(CALLS // 2, period, firm=False),
    "double": lambda period: ConfiguredLimit(CALLS * 2, period, firm=False),
    "half a minute": lambda period: ConfiguredLimit(CALLS * 30 // period, 60, firm=False),
    "double a minute": lambda period: ConfiguredLimit(CALLS * 120 // period, 60, firm=False),
    "double, firm": lambda period: ConfiguredLimit(CALLS * 2, period),
}


@pytest.mark.parametrize("told", list(TOLD))
@pytest.mark.parametrize("period", [1, 6, 60])
@pytest.mark.parametrize("kind", list(LIMITS))
def test_limit_is_learned_by_one_crawl_and_kept_for_the_next(kind, period, told):
    server = LIMITS[kind](CALLS, period)
    found = Api(server, TOLD[told](period))
    best = ideal(FixedWindow(CALLS, period))
    first = found.crawl()
    assert first.seconds <= 1.25 * best
    assert first.refused <= 3
    found.pause(2 * period)
    second = found.crawl()
    # A refusal costs a second, of the two that the crawl takes.
    assert second.seconds <= (1.10 if second.refused and period == 1 else 1.05) * best
    assert second.refused <= 1


@pytest.mark.parametrize("told", ["nothing", "half", "double a minute"])
@pytest.mark.parametrize("period", [1, 6, 60])
@pytest.mark.parametrize("kind", list(LIMITS))
def test_limit_is_learned_without_retry_after(kind, period, told):
    found = Api(LIMITS[kind](CALLS, period), TOLD[told](period), says="none")
    best = ideal(FixedWindow(CALLS, period))
    first = found.crawl()
    assert first.seconds <= 1.25 * best
    assert first.refused <= 3
    found.pause(2 * period)
    second = found.crawl()
    assert second.seconds <= 1.05 * best
    assert second.refused <= 2


@pytest.mark.parametrize(
    ("calls", "period", "pages"),
    [
        pytest.param(1, 1, 20, id="1 in 1 s"),
        pytest.param(1, 60, 8, id="1 in 1 min"),
        pytest.param(1, 3600, 4, id="1 in 1 h"),
        pytest.param(5, 5, 69, id="5 in 5 s"),
        pytest.param(10, 6, 69, id="10 in 6 s"),
        pytest.param(100, 10, 230, id="100 in 10 s"),
        pytest.param(300, 60, 690, id="300 in 1 min"),
        pytest.param(1000, 3600, 1100, id="1000 in 1 h"),
    ],
)
@pytest.mark.parametrize("kind", list(LIMITS))
def test_limits_of_any_size_and_period_are_learned(kind, calls, period, pages):
    found = Api(LIMITS[kind](calls, period))
    best = ideal(FixedWindow(calls, period), pages)
    first = found.crawl(pages)
    assert first.seconds <= 1.25 * best
    assert first.refused <= 4
    found.pause(2 * period)
    second = found.crawl(pages)
    assert second.seconds <= 1.07 * best
    assert second.refused <= 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("calls", "period"), [(CALLS, 6), (CALLS, 60), (5, 3600), (100, 10)])
@pytest.mark.parametrize("kind", WINDOWS)
def test_size_and_period_of_a_window_are_found(kind, calls, period, seed):
    found = Api(LIMITS[kind](calls, period), random=Random(seed))
    found.pause(Random(seed).random())
    found.crawl(2 * calls)
    assert found.state.calls == calls
    assert found.state.period == period


@pytest.mark.parametrize("latency", [0.01, 0.1])
@pytest.mark.parametrize("period", [6, 60])
def test_rate_and_size_of_a_bucket_are_found(period, latency):
    found = api("token-bucket", period, 0, latency=(latency, latency))
    found.crawl(100)
    assert found.state.rate == pytest.approx(CALLS / period, rel=0.25)
    assert found.state.calls == pytest.approx(CALLS, abs=2)


@pytest.mark.parametrize("says", ["seconds", "date"])
@pytest.mark.parametrize("ahead", [0, -7200, 7200], ids=["right", "slow", "fast"])
def test_clock_of_the_api_may_be_wrong(ahead, says):
    found = api("fixed-window", 60, 0, says=says, clock_ahead=ahead)
    first = found.crawl()
    assert first.seconds <= 1.05 * ideal(FixedWindow(CALLS, 60))
    assert first.refused == 1


@pytest.mark.parametrize("share", list(SHARES.values()), ids=list(SHARES))
@pytest.mark.parametrize("style", [style for style in STYLES if style != "none"])
@pytest.mark.parametrize("kind", list(LIMITS))
def test_limit_in_headers_is_never_exceeded(kind, style, share):
    found = api(kind, 60, share, headers=style)
    run = found.crawl()
    assert run.seconds <= 1.25 * ideal(FixedWindow(CALLS, 60))
    assert run.refused == 0


@pytest.mark.parametrize("ways", [1, 4], ids=["in sequence", "at once"])
@pytest.mark.parametrize("kind", list(LIMITS))
@pytest.mark.parametrize("period", [1, 6, 60])
def test_limit_that_is_firm_is_never_exceeded(kind, period, ways):
    found = Api(LIMITS[kind](CALLS, period), ConfiguredLimit(CALLS, period), ways=ways)
    run = found.crawl()
    assert run.seconds <= 1.05 * ideal(FixedWindow(CALLS, period), ways=ways)
    assert run.refused == 0


def test_window_that_began_before_the_crawl_is_found():
    found = api("fixed-window", 60, 0)
    found.server.refused_for(found.clock.now)
    found.pause(40)
    found.server.count = 0
    assert found.crawl(200).refused <= 3
    assert (found.state.calls, found.state.period) == (CALLS, 60)


def test_calls_of_others_do_not_change_what_is_known():
    found = api("fixed-window", 60, 0)
    found.crawl()
    found.pause(300)
    for _ in range(12):
        found.server.refused_for(found.clock.now)
    found.crawl(20)
    assert (found.state.calls, found.state.period) == (CALLS, 60)


def test_tries_upward_cost_ever_fewer_calls_and_change_nothing():
    found = api("fixed-window", 60, 0, calls=3)
    assert 2 <= found.crawl(3 * 60 * 12).refused <= 8  # half a day
    assert found.state.proven_calls == 3


def test_limit_that_rises_is_found():
    found = api("fixed-window", 60, 0, calls=3)
    found.crawl(10)
    found.server = FixedWindow(10, 60)
    found.crawl(3 * 60 * 6)  # six hours, at the old limit
    assert found.state.proven_calls == 10


@pytest.mark.parametrize("kind", list(LIMITS))
def test_limit_that_falls_is_learned_again(kind):
    found = api(kind, 60, 0)
    found.crawl()
    found.pause(600)
    found.server = LIMITS[kind](CALLS // 2, 60)
    assert found.crawl(90).refused <= 4
    found.pause(120)
    assert found.crawl(90).refused <= 1


def test_refusals_in_a_row_do_not_lower_the_limit_further():
    state, told = LimitState(), ConfiguredLimit(30, 60, firm=False)
    for number in range(10):
        learning.passed(state, 1000 + number * 0.1)
    for moment in (1001.1, 1070.0, 1200.0):
        learning.refused(state, moment, learning.Refusal(0.1, None), told)
    assert state.calls == 10
    assert state.blocked_until > 1200


def test_calls_under_way_at_a_refusal_teach_nothing():
    found = api("fixed-window", 60, 0, ways=3)
    run = found.crawl()
    assert 2 <= run.refused <= 3
    assert (found.state.calls, found.state.period) == (CALLS, 60)


@pytest.mark.parametrize("period", [6, 60])
@pytest.mark.parametrize(
    ("kind", "share", "refused"),
    [
        # Each crawl has calls under way when the first one is refused.
        pytest.param("fixed-window", 0, 3, id="fixed window, nothing told"),
        pytest.param("sliding-window", 0, 3, id="sliding window, nothing told"),
        pytest.param("token-bucket", 0, 6, id="bucket, nothing told"),
        # The plan is right: one call of one crawl finds that out.
        pytest.param("fixed-window", 1, 1, id="fixed window, the plan's"),
        pytest.param("sliding-window", 1, 1, id="sliding window, the plan's"),
        pytest.param("token-bucket", 1, 3, id="bucket, the plan's"),
    ],
)
def test_crawls_at_once_learn_one_limit(kind, share, refused, period):
    found, crawls = api(kind, period, share), 3
    best = ideal(LIMITS[kind](CALLS, period), PAGES * crawls, crawls)
    first = found.crawl(crawls=crawls)
    assert first.refused <= refused
    assert first.seconds <= 1.1 * best
    found.pause(2 * period)
    second = found.crawl(crawls=crawls)
    assert second.refused <= 1
    assert second.seconds <= 1.1 * best
    assert not found.state.holders
