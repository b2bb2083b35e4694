"""The pure parts of the rate limit: windows, pace, ``Retry-After``; the clock is given."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from scrapy.http import Request, Response

from coinspider.http.ratelimit import Pace, Window, is_refusal, retry_after
from coinspider.sandbox.limits import FixedWindow, SlidingWindow, TokenBucket

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def response(status: int = 429, **headers: str) -> Response:
    return Response("https://api.example/", status=status, headers=headers)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("60", 60.0, id="seconds"),
        pytest.param("119", 119.0, id="more than a minute"),
        pytest.param("Mon, 23 Nov 2026 12:00:30 GMT", 30.0, id="date"),
        pytest.param("Mon, 23 Nov 2026 11:59:00 GMT", None, id="past date"),
        pytest.param("0", None, id="zero"),
        pytest.param("-5", None, id="negative"),
        pytest.param("soon", None, id="nonsense"),
        pytest.param("", None, id="empty"),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value, seconds):
    assert retry_after(response(**{"Retry-After": value}), NOW) == seconds


def test_retry_after_may_be_missing():
    assert retry_after(response(), NOW) is None


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        pytest.param(response(429), True, id="429"),
        pytest.param(response(503, **{"Retry-After": "3"}), True, id="503 with Retry-After"),
        pytest.param(response(503), False, id="503 without"),
        pytest.param(response(200), False, id="200"),
    ],
)
def test_refusals_are_told_by_their_status(given, refusal):
    assert is_refusal(given) is refusal


def crawl(window: Window, calls: int, latency: float) -> list[tuple[float, float]]:
    """Start and end of ``calls`` made one after the other, each as early as the window lets it."""
    now, spans = 0.0, []
    for number in range(calls):
        while (wait := window.free_in(now)) > 0:
            now += wait
        call = Request(f"https://api.example/{number}")
        window.start(call)
        spans.append((now, now + latency))
        now += latency
        window.end(call, now)
    return spans


@pytest.mark.parametrize("latency", [0.0, 0.01, 0.2, 3.0])
def test_no_period_has_more_calls_than_the_limit_wherever_they_are_counted(latency):
    spans = crawl(Window(30, 60), 150, latency)
    for (_, end), (start, _) in zip(spans, spans[30:], strict=False):
        assert start >= end + 60 - 1e-9


def test_the_limit_is_used_in_full():
    spans = crawl(Window(30, 60), 69, latency=0.01)
    assert spans[29][1] < 1
    assert 60 < spans[30][0] < 61
    assert spans[68][1] < 122


def test_no_limit_lets_every_call_go_at_once():
    assert crawl(Window(0, 60), 100, latency=0.0)[-1] == (0.0, 0.0)


def test_calls_under_way_count():
    window = Window(2, 60)
    first, second = Request("https://api.example/1"), Request("https://api.example/2")
    window.start(first)
    window.start(second)
    assert window.free_in(0.0) > 0
    window.end(first, 1.0)
    assert window.free_in(1.0) == 60.0
    window.end(first, 2.0)
    assert window.used(2.0) == 2


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(FixedWindow, id="fixed window"),
        pytest.param(SlidingWindow, id="sliding window"),
        pytest.param(TokenBucket, id="token bucket"),
    ],
)
@pytest.mark.parametrize("latency", [0.01, 0.5])
def test_no_server_with_that_limit_refuses(limit, latency):
    spans = crawl(Window(30, 60), 150, latency)
    # The server counts a call at any moment of its span: here early and late in turn.
    moments = [(start, end)[number % 2] for number, (start, end) in enumerate(spans)]
    server = limit(30, 60)
    assert [server.refused_for(moment) for moment in moments] == [0.0] * 150


def paced(true_limit: int, configured: int, calls: int) -> tuple[float, int, list[int]]:
    """Crawl a fixed window of ``true_limit`` calls: seconds, refusals, refusals per window."""
    window = Window(configured, 60)
    pace, server = Pace(window), FixedWindow(true_limit, 60)
    now, refused_at, passed = 0.0, [], 0
    while passed < calls:
        now += window.free_in(now)
        call = Request("https://api.example/")
        window.start(call)
        now += 0.01
        window.end(call, now)
        wait = server.refused_for(now)
        if wait:
            pace.refused(now)
            refused_at.append(now)
            now += wait
        else:
            pace.passed(now)
            passed += 1
    return now, len(refused_at), [int(later - sooner) for sooner, later in pairwise(refused_at)]


@pytest.mark.parametrize("configured", [45, 500, 0])
def test_a_limit_set_too_high_is_learned_from_one_refusal(configured):
    seconds, refusals, _ = paced(30, configured, 69)
    assert refusals == 1
    assert seconds < 1.05 * 122


def test_probing_upward_costs_at_most_one_call_a_window_and_ever_fewer():
    _, refusals, gaps = paced(30, 500, 3000)
    assert refusals <= 8
    assert min(gaps) >= 60
    assert gaps[-1] > gaps[0]


def test_a_limit_that_rises_again_is_found():
    window = Window(15, 60)
    pace = Pace(window)
    for number in range(6):
        window.start(call := Request("https://api.example/"))
        window.end(call, number * 0.1)
    pace.refused(0.6)
    assert window.limit == 5
    for minute in range(1, 40):
        pace.passed(minute * 60.0)
    assert window.limit == 15
    assert not pace.learned


def test_refusals_in_a_row_do_not_lower_the_limit_further():
    window = Window(30, 60)
    pace = Pace(window)
    for number in range(11):
        window.start(call := Request("https://api.example/"))
        window.end(call, number * 0.1)
    pace.refused(1.1)
    pace.refused(100.0)
    pace.refused(200.0)
    assert window.limit == 10
