"""Limits that are told wrongly, come in twos, or refuse in unusual ways; and clocks that jump."""

from dataclasses import dataclass

import pytest
from msgspec import json

from benchmarks.limit_simulation import CALLS, PATIENT, Api, ideal
from coinspider.errors import NoPageError
from coinspider.http.limit.state import ConfiguredLimit, LimitState, end, stored_state
from coinspider.http.limit.turns import take
from coinspider.sandbox.behaviour import FixedWindow, SlidingWindow, Standing

BEST = ideal(FixedWindow(CALLS, 60))
KONG = {1.0: "Second", 60.0: "Minute", 3600.0: "Hour"}


class Both:
    """Two limits, of which the first one is in the headers."""

    def __init__(self, first, second):
        self.limits = first, second

    def refused_for(self, now):
        return max(limit.refused_for(now) for limit in self.limits)

    def standing(self, now):
        return self.limits[0].standing(now)


class Lying(FixedWindow):
    """Says that it allows three times as much as it does."""

    def standing(self, now):
        truth = super().standing(now)
        remaining = max(0, 3 * self.calls - self.count)
        return Standing(3 * self.calls, truth.period, remaining, truth.reset)


class Kong(Api):
    """Tells all of its limits."""

    def headers_of(self, wait):
        told = super().headers_of(wait)
        for limit in self.server.limits:
            standing = limit.standing(self.clock.now)
            told[f"X-RateLimit-Limit-{KONG[standing.period]}"] = str(standing.calls)
            told[f"X-RateLimit-Remaining-{KONG[standing.period]}"] = str(standing.remaining)
        return told


@dataclass
class Saying(Api):
    """Tells a certain ``Retry-After``, whatever the truth is."""

    text: str = "0"

    def headers_of(self, wait):
        told = super().headers_of(0.0)
        return told | {"Retry-After": self.text} if wait else told


@pytest.mark.parametrize("style", ["ietf", "ratelimit", "x-seconds", "x-epoch"])
def test_headers_that_say_too_much_are_not_believed_twice(style):
    api = Api(Lying(CALLS, 60), headers=style)
    first = api.crawl()
    assert first.refused <= 3
    assert first.seconds <= 1.25 * BEST
    api.pause(120)
    second = api.crawl()
    assert second.refused == 0
    assert second.seconds <= 1.05 * BEST


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param((10, 1.0), (CALLS, 60.0), id="second and minute"),
        pytest.param((CALLS, 60.0), (100, 3600.0), id="minute and hour"),
    ],
)
def test_limits_of_several_periods_in_headers_are_kept(first, second):
    api = Kong(Both(SlidingWindow(*first), SlidingWindow(*second)))
    assert api.crawl().refused <= 1  # headers are adopted one at a time


def test_firm_limit_and_a_stricter_one_of_a_shorter_period_both_hold():
    api = Api(Both(SlidingWindow(5, 1), SlidingWindow(CALLS, 60)), ConfiguredLimit(CALLS, 60))
    run = api.crawl(80)  # a refused call counts, too
    assert run.refused <= 2
    assert run.seconds <= 2 * 60 + 10


def test_limit_of_an_hour_beside_that_of_a_minute_is_waited_for():
    api = Api(Both(FixedWindow(CALLS, 60), FixedWindow(150, 3600)))
    run = api.crawl(320)
    assert run.refused <= 4
    assert run.seconds <= 1.02 * 2 * 3600
    assert (api.state.calls, api.state.period) == (CALLS, 60)


@pytest.mark.parametrize("calls", [0, 45], ids=["at once", "later"])
def test_quota_of_a_day_ends_the_crawl_and_changes_nothing_that_is_known(calls):
    api = Api(Both(FixedWindow(CALLS, 60), FixedWindow(75 + calls, 86_400)))
    api.crawl()
    api.settings = dict.fromkeys(PATIENT, 0) | {
        "RATELIMIT_PAGE_TIMEOUT": 900, "RATELIMIT_RETRY_AFTER_MAX": 600,
        "RATELIMIT_BACKOFF_MAX": 600, "RATELIMIT_RETRY_TIMES": 100,
    }  # fmt: skip
    with pytest.raises(NoPageError, match="Retry-After 8"):
        api.crawl()
    assert (api.state.calls, api.state.period) == (CALLS, 60)
    api.pause(86_400)
    run = api.crawl()
    assert run.refused <= 1  # a trial
    assert run.seconds <= 1.05 * BEST


@pytest.mark.parametrize("text", ["0", "-5", "soon", "", "Thu, 01 Jan 1970 00:00:00 GMT"])
@pytest.mark.parametrize("period", [1, 6, 60])
def test_retry_after_that_means_nothing_is_ignored(text, period):
    api = Saying(FixedWindow(CALLS, period), text=text)
    run = api.crawl()
    assert run.refused <= 3
    assert run.seconds <= 1.25 * ideal(FixedWindow(CALLS, period))


@pytest.mark.parametrize("text", ["1000000000", "9" * 40, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_absurd_retry_after_is_waited_for_no_longer_than_the_setting_says(text):
    api = Saying(FixedWindow(CALLS, 60), settings={"RATELIMIT_RETRY_AFTER_MAX": 300}, text=text)
    run = api.crawl()
    assert run.refused <= 3
    assert run.seconds <= 3 * 300 + 60
    assert api.state.period <= 60


@pytest.mark.parametrize("status", [403, 418, 503])
def test_refusals_of_another_status_are_learned_from(status):
    api = Api(FixedWindow(CALLS, 60), status=status)
    first = api.crawl()
    assert first.refused <= 2
    assert first.seconds <= 1.25 * BEST
    api.pause(120)
    assert api.crawl().refused <= 1
    assert (api.state.calls, api.state.period) == (CALLS, 60)


def test_server_that_is_down_once_teaches_no_limit():
    api = Saying(FixedWindow(40, 1), status=503, text="300", latency=(0.1, 0.1))
    api.crawl(20)
    api.server.start, api.server.count = api.clock.now, 100  # nothing is served for a second
    run = api.crawl(200)
    assert run.refused == 1
    assert run.seconds <= 300 + 25
    assert api.state.calls == 0


def test_limit_in_headers_may_change_while_a_crawl_runs():
    api = Api(FixedWindow(CALLS, 60), headers="ietf")
    api.crawl(20)
    api.server.calls = 10
    assert api.crawl(30).refused <= 1
    assert (api.state.calls, api.state.source) == (10, "headers")


@pytest.mark.parametrize("back", [5, 59, 3600, 86_400])
def test_clock_that_goes_back_makes_no_wait_longer_than_a_period(back):
    state, told, now = LimitState(), ConfiguredLimit(2, 60), 1_800_000_000.0
    for _ in range(2):
        assert take(state, "one", now, 1, told).calls == 1
        end(state, "one", now)
    assert take(state, "one", now + 1, 1, told).calls == 0
    state.blocked_until = now + 30
    grant = take(state, "one", now + 1 - back, 1, told)
    assert grant.calls == 0
    assert grant.wait <= 60
    assert take(state, "one", now + 1 - back + 61, 1, told).calls == 1


def test_clock_that_goes_forward_frees_what_counted():
    state, told, now = LimitState(), ConfiguredLimit(1, 60), 1_800_000_000.0
    assert take(state, "one", now, 1, told).calls == 1
    end(state, "one", now)
    assert take(state, "one", now + 3600, 1, told).calls == 1


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", '{"calls": "x"}', '{"period": 0}', '{"blocked_until": 1e300}',
        '{"exhausted_until": 1e12}', '{"rate": 5e-324}', '{"made": 1e131}', '{"holders": {"a": 1}}',
        '{"a":' + "[" * 3000 + "]" * 3000 + "}",
    ],
)  # fmt: skip
def test_state_that_no_crawl_wrote_begins_anew(text):
    assert stored_state(text) == LimitState()


def test_state_of_a_crawl_is_read_as_it_was():
    state = LimitState(calls=30, rate=0.5, tokens=-2.5, blocked_until=1.7e9, made=7)
    assert stored_state(json.encode(state)) == state
