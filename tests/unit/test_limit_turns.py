"""The calls that count against a limit and the shares of several crawls, at given times."""

import asyncio
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
from scrapy import Request
from scrapy.http import TextResponse
from scrapy.utils.test import get_crawler

from coinspider.errors import NoPageError
from coinspider.http.limit.state import (
    GRANT_SECONDS,
    ConfiguredLimit,
    LimitState,
    count_in_minute,
    end,
    exhaust,
    following_month,
)
from coinspider.http.limit.turns import LocalLimit, give_back, leave, take
from coinspider.http.ratelimit import RateLimitMiddleware
from coinspider.sandbox.behaviour import FixedWindow, SlidingWindow, TokenBucket

START = 1_000.0


def crawl(told: ConfiguredLimit, calls: int, latency: float) -> list[tuple[float, float]]:
    """The start and end of ``calls`` calls, made one after the other as early as possible."""
    state, now, spans = LimitState(), START, []
    while len(spans) < calls:
        grant = take(state, "one", now, 1, told)
        if not grant.calls:
            now += grant.wait
            continue
        spans.append((now, now + latency))
        now += latency
        end(state, "one", now)
    return spans


@pytest.mark.parametrize("latency", [0.0, 0.01, 0.2, 3.0])
def test_no_period_has_more_calls_than_the_limit_wherever_they_are_counted(latency):
    spans = crawl(ConfiguredLimit(30, 60), 150, latency)
    for (_, ended), (start, _) in zip(spans, spans[30:], strict=False):
        assert start >= ended + 60 - 1e-6


def test_the_limit_is_used_in_full():
    spans = crawl(ConfiguredLimit(30, 60), 69, latency=0.01)
    assert spans[29][1] < START + 1
    assert START + 60 < spans[30][0] < START + 61
    assert spans[68][1] < START + 123


def test_no_limit_lets_every_call_go_at_once():
    assert crawl(ConfiguredLimit(), 100, latency=0.0)[-1] == (START, START)


@pytest.mark.parametrize("limit", [FixedWindow, SlidingWindow, TokenBucket])
@pytest.mark.parametrize("latency", [0.01, 0.5])
def test_no_server_with_that_limit_refuses(limit, latency):
    spans = crawl(ConfiguredLimit(30, 60), 150, latency)
    # The server may count a call at any moment while it lasts: here early and late in turn.
    moments = [(start, end)[number % 2] for number, (start, end) in enumerate(spans)]
    server = limit(30, 60)
    assert [server.refused_for(moment) for moment in moments] == [0.0] * 150


def test_calls_under_way_count():
    state, told = LimitState(), ConfiguredLimit(2, 60)
    assert take_all(state, "one", START, told) == 2
    end(state, "one", START + 1)
    assert take(state, "one", START + 1, 1, told).calls == 0
    give_back(state, "one", 1)
    assert take(state, "one", START + 1, 1, told).calls == 1


def shares(number: int, limit: int, seconds: float, wants: dict[str, float]) -> Counter:
    """How many calls each crawl makes, with a fixed time between its calls."""
    state, told = LimitState(), ConfiguredLimit(limit, 60)
    names = [f"crawl {n}" for n in range(number)]
    at, made = dict.fromkeys(names, START), Counter()
    while (now := min(at.values())) < START + seconds:
        name = min(at, key=lambda name: at[name])
        grant = take(state, name, now, 1, told)
        if grant.calls:
            made[name] += 1
            end(state, name, now)
        at[name] = now + (wants.get(name, 0.01) if grant.calls else grant.wait)
    return made


def test_each_crawl_gets_its_share():
    made = shares(3, 30, 590, {})
    assert sum(made.values()) == 300
    assert max(made.values()) - min(made.values()) <= 30


def test_what_a_slow_crawl_leaves_goes_to_the_others():
    made = shares(3, 30, 590, {"crawl 0": 10.0})
    assert 50 <= made["crawl 0"] <= 60
    assert sum(made.values()) >= 280


def take_all(state: LimitState, holder: str, now: float, told: ConfiguredLimit) -> int:
    calls = 0
    while grant := take(state, holder, now, 30, told).calls:
        calls += grant
    return calls


def test_a_crawl_that_died_frees_what_it_held_within_a_period():
    state, told = LimitState(), ConfiguredLimit(30, 60)
    assert take_all(state, "dead", START, told) == 30
    assert take_all(state, "alive", START + GRANT_SECONDS + 59, told) == 0
    assert take_all(state, "alive", START + GRANT_SECONDS + 60.1, told) == 30
    assert list(state.holders) == ["alive"]


def test_a_call_that_takes_long_counts_once_until_a_period_after_its_end():
    state, told = LimitState(), ConfiguredLimit(2, 60)
    assert take(state, "slow", START, 1, told).calls == 1
    end(state, "slow", START)
    assert take(state, "slow", START, 1, told).calls == 1
    for second in range(100):  # meanwhile it asks for another one
        assert take(state, "slow", START + second, 1, told).calls == (second >= 60)
        give_back(state, "slow", int(second >= 60))
    end(state, "slow", START + 100)
    assert take_all(state, "slow", START + 159, told) == 1
    end(state, "slow", START + 159)
    assert take_all(state, "other", START + 159.9, told) == 0
    assert take_all(state, "other", START + 160.1, told) == 1


def test_the_wait_for_what_a_dead_crawl_held_is_as_long_as_it_holds_it():
    state, told = LimitState(), ConfiguredLimit(2, 60)
    assert take_all(state, "dead", START, told) == 2
    grant = take(state, "alive", START + GRANT_SECONDS + 1, 1, told)
    assert grant.calls == 0
    assert grant.wait == pytest.approx(59)


@pytest.mark.parametrize("period", [1, 60, 3600])
def test_calls_of_the_last_minute_are_counted_whatever_the_period_is(period):
    state, told = LimitState(), ConfiguredLimit(1000, period)
    for second in range(300):
        assert take(state, "one", START + second, 1, told).calls == 1
        end(state, "one", START + second)
        assert count_in_minute(state, START + second) == min(second + 1, 60)
    assert count_in_minute(state, START + 400) == 0
    assert len(state.by_second) <= 61


def test_calls_that_were_not_used_are_not_counted():
    state, told = LimitState(), ConfiguredLimit(100, 60)
    assert take(state, "one", START, 8, told).calls == 8
    end(state, "one", START)
    leave(state, "one")
    assert state.made == 1


def test_what_a_crawl_has_made_counts_after_its_end():
    state, told = LimitState(), ConfiguredLimit(3, 60)
    assert take_all(state, "one", START, told) == 3
    for _ in range(3):
        end(state, "one", START)
    leave(state, "one")
    assert take(state, "two", START + 1, 1, told).calls == 0
    assert take(state, "two", START + 60.1, 1, told).calls == 1


def test_no_call_goes_until_the_month_ends_once_the_credits_are_used_up():
    state = LimitState()
    november = datetime(2026, 11, 25, 14, tzinfo=UTC).timestamp()
    exhaust(state, november, "no credits left")
    grant = take(state, "one", november, 1, ConfiguredLimit())
    assert grant.calls == 0
    assert grant.exhausted == "no credits left (no further call until 2026-12-01 00:00 UTC)"
    assert take(state, "one", november + 6 * 86_400, 1, ConfiguredLimit()).calls == 1


@pytest.mark.parametrize("day", [1, 31])
def test_months_end_in_utc(day):
    moment = datetime(2026, 12, day, 23, 59, tzinfo=UTC)
    assert following_month(moment) == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_wait_names_the_other_crawls_of_the_key():
    state, told = LimitState(), ConfiguredLimit(2, 60)
    take(state, "one", START, 1, told)
    take(state, "two", START, 1, told)
    grant = take(state, "one", START, 1, told)
    assert grant.why == "2 calls in 60 s are used up, shared with 1 other crawl of this key"
    assert state.others("one") == 1


def test_call_that_may_be_given_back_is_not_waited_for_until_the_period_ends():
    state, told = LimitState(), ConfiguredLimit(2, 60)
    assert take_all(state, "one", START, told) == 2
    grant = take(state, "two", START, 1, told)
    assert 0 < grant.wait < 1
    give_back(state, "one", 1)
    assert take(state, "two", START + grant.wait, 1, told).calls == 1


def test_calls_that_were_made_are_waited_for_at_once():
    state, told = LimitState(), ConfiguredLimit(2, 60)
    assert take_all(state, "one", START, told) == 2
    for _ in range(2):
        end(state, "one", START)
    assert take(state, "two", START + 1, 1, told).wait == pytest.approx(59)


def test_after_a_refusal_one_call_of_all_crawls_goes_first():
    state, told = LimitState(calls=30, source="learned", in_a_row=1), ConfiguredLimit()
    assert take(state, "one", START, 1, told).calls == 1
    grant = take(state, "two", START, 1, told)
    assert (grant.calls, grant.why) == (0, "a call of another crawl shows whether more may go")
    end(state, "one", START + 1)
    assert take(state, "two", START + 1, 1, told).calls == 1
    # A crawl that died holds up no other one for longer than it may still begin the call.
    assert take(state, "three", START + 2, 1, told).calls == 0
    assert take(state, "three", START + 1 + GRANT_SECONDS, 1, told).calls == 1


def test_limit_of_a_plan_is_tried_by_one_call_of_all_crawls():
    state, told = LimitState(), ConfiguredLimit(4, 60, firm=False)
    assert take(state, "one", START, 10, told).calls == 4
    assert take(state, "two", START, 10, told).calls == 0
    for _ in range(4):
        end(state, "one", START)
    grant = take(state, "two", START, 10, told)
    assert (grant.calls, grant.at_once) == (1, 1)
    assert take(state, "one", START, 10, told).calls == 0
    end(state, "two", START)
    assert take(state, "two", START, 10, told).calls == 1
    # They were not refused: there is another limit, or none.
    assert take(state, "one", START, 10, told).calls == 10


def test_raised_limit_is_tried_by_one_call_of_all_crawls():
    state = LimitState(calls=33, proven_calls=30, source="learned", run_passed=100, in_a_row=0)
    for _ in range(30):
        end(state, "one", START)
    assert take(state, "one", START, 1, ConfiguredLimit()).calls == 1
    assert take(state, "two", START, 1, ConfiguredLimit()).calls == 0
    end(state, "one", START)
    assert take(state, "two", START, 1, ConfiguredLimit()).calls == 1


class FarLimit(LocalLimit):
    """One whose answers take long; notes how many calls were under way when it was asked."""

    def __init__(self, limiter):
        super().__init__(ConfiguredLimit())
        self.limiter, self.under_way = limiter, []

    async def take(self, wanted):
        self.under_way.append(len(self.limiter.running))
        await asyncio.sleep(0.1)
        return await super().take(wanted)


@pytest.mark.parametrize("is_refused", [False, True])
def test_limit_that_is_far_away_is_asked_while_a_call_is_under_way(monkeypatch, is_refused):
    monkeypatch.setattr("coinspider.http.retry.is_ending", lambda _: False)
    limiter = RateLimitMiddleware(get_crawler())
    limiter.limit = far = FarLimit(limiter)

    async def two_calls():
        for page in ("https://api.example/1", "https://api.example/2"):
            request = Request(page)
            await limiter.process_request(request)
            if is_refused:
                limiter._give_back()
            await asyncio.sleep(0.15)
            limiter.request_left_downloader(request)
        if limiter.ahead:
            await limiter.ahead

    asyncio.run(two_calls())
    # What was asked for before a refusal is not made use of.
    assert far.under_way == ([0, 1, 0, 1] if is_refused else [0, 1, 1])
    assert far.state.made == (2 if is_refused else 3)


@pytest.mark.parametrize(
    ("body", "is_over"),
    [
        (b'{"retCode": 10006, "retMsg": "Too many visits!", "result": {}}', True),
        (b'{"code": 429, "msg": "Too many requests"}', False),
    ],
    ids=["in words", "with the code of a status"],
)
def test_body_that_goes_on_refusing_ends_the_crawl_and_is_no_page(monkeypatch, body, is_over):
    limiter, clock = RateLimitMiddleware(get_crawler()), [0.0]
    monkeypatch.setattr("coinspider.http.ratelimit.monotonic", lambda: clock[0])
    limiter.limit = LocalLimit(limiter.configured, lambda: START + clock[0])
    request = Request("https://api.example/1")
    refusal = TextResponse(request.url, body=body, request=request)
    for _ in range(3):
        request = limiter.process_response(request, refusal)
        clock[0] = limiter.limit.state.blocked_until - START
    other = Request("https://api.example/2")  # is refused for the first time
    words = r"refused for \d\d s, with status 200: Too many visits!"
    with pytest.raises(NoPageError, match=words) if is_over else nullcontext():
        limiter.process_response(other, refusal)
    assert 55 < clock[0] < 70
    assert limiter.page_at is None
    # A window in which nothing has passed, and no bucket.
    state = limiter.limit.state
    assert (state.in_a_row, state.rate) == (3 if is_over else 4, 0)
