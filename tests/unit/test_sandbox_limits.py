"""The sandbox's rate limits, moment by moment."""

import pytest

from coinspider.sandbox.behaviour import (
    LIMITS,
    FixedWindow,
    Limit,
    NoLimit,
    SlidingWindow,
    TokenBucket,
    limit_headers,
    retry_after,
)


def waits(limit: Limit, *moments: float) -> list[float]:
    return [limit.refused_for(now) for now in moments]


def test_no_limit_lets_every_call_pass():
    assert waits(NoLimit(), *[0.0] * 1000) == [0.0] * 1000


@pytest.mark.parametrize("name", ["fixed-window", "sliding-window", "token-bucket"])
@pytest.mark.parametrize("calls", [1, 5, 30])
def test_allowed_number_of_calls_passes_at_once(name, calls):
    limit = LIMITS[name](calls, 60)
    passed = [not wait for wait in waits(limit, *[100.0] * (calls + 1))]
    assert passed == [True] * calls + [False]


@pytest.mark.parametrize("name", ["fixed-window", "sliding-window", "token-bucket"])
def test_all_calls_pass_again_after_a_quiet_period(name):
    limit = LIMITS[name](3, 60)
    waits(limit, 0, 0, 0, 0)
    assert waits(limit, 1000, 1000, 1000) == [0, 0, 0]
    assert limit.refused_for(1000) > 0


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        pytest.param([5, 10, 20], [0, 0, 45], id="refused to the end of the window"),
        pytest.param([5, 5, 64.5], [0, 0, 0.5], id="the window lasts its whole period"),
        pytest.param([5, 5, 65, 65, 65], [0, 0, 0, 0, 60], id="the next one begins at once"),
        pytest.param([5, 64, 66, 67, 68], [0, 0, 0, 0, 57], id="twice as many around the border"),
        pytest.param([5, 400, 401, 402], [0, 0, 0, 23], id="windows follow on through a pause"),
        pytest.param([5, 6, 7, 8, 65, 65], [0, 0, 58, 57, 0, 0], id="refused calls count nothing"),
    ],
)
def test_a_fixed_window_starts_with_the_first_call(moments, expected):
    assert waits(FixedWindow(2, 60), *moments) == expected


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        pytest.param([5, 5, 20], [0, 0, 45], id="refused until the oldest call is out"),
        pytest.param([5, 5, 64.5], [0, 0, 0.5], id="shortly before"),
        pytest.param([5, 5, 65, 65], [0, 0, 0, 0], id="free after the period"),
        pytest.param([0, 50, 60, 110], [0, 0, 0, 0], id="a call as each one leaves"),
    ],
)
def test_a_sliding_window_counts_the_last_period(moments, expected):
    assert waits(SlidingWindow(2, 60), *moments) == expected


def test_a_sliding_window_never_lets_twice_as_many_calls_pass():
    passed = [not wait for wait in waits(SlidingWindow(2, 60), 5, 64, 65, 66, 67)]
    assert passed == [True, True, True, False, False]


def test_a_sliding_window_counts_refused_calls_too():
    passed = [not wait for wait in waits(SlidingWindow(2, 60), 0, 0, 30, 40, 70, 89, 149, 150)]
    assert passed == [True, True, False, False, False, False, True, True]


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        pytest.param([0, 0, 0], [0, 0, 30], id="empty until a token is back"),
        pytest.param([0, 0, 15], [0, 0, 15], id="half a token is none"),
        pytest.param([0, 0, 30, 30], [0, 0, 0, 30], id="a token comes back"),
        pytest.param([0, 0, 15, 30], [0, 0, 15, 0], id="a refused call costs nothing"),
        pytest.param([0, 30, 60, 90, 120], [0, 0, 0, 0, 0], id="the rate it fills with"),
        pytest.param([0, 999, 999, 999], [0, 0, 0, 30], id="never more than full"),
    ],
)
def test_a_token_bucket_fills_evenly(moments, expected):
    assert waits(TokenBucket(2, 60), *moments) == expected


@pytest.mark.parametrize("name", ["fixed-window", "sliding-window", "token-bucket"])
@pytest.mark.parametrize(("too_soon", "passes"), [(0.5, False), (0.0, True)])
def test_the_announced_wait_is_enough(name, too_soon, passes):
    limit = LIMITS[name](4, 64)
    waits(limit, 0, 1, 2, 3)
    wait = limit.refused_for(4)
    assert wait > 0
    assert (limit.refused_for(4 + wait - too_soon) == 0) is passes


@pytest.mark.parametrize(
    ("wait", "seconds"), [(0.001, 1), (1.0, 1), (1.001, 2), (59.5, 60), (60.0, 60)]
)
def test_the_headers_whole_seconds_are_enough(wait, seconds):
    assert retry_after(wait) == seconds


NOW = 1_764_000_000.0


@pytest.mark.parametrize(
    ("style", "headers"),
    [
        pytest.param("none", {}, id="none"),
        pytest.param(
            "ietf",
            {"RateLimit-Policy": '"default";q=3;w=60', "RateLimit": '"default";r=1;t=51'},
            id="the IETF's draft",
        ),
        pytest.param(
            "ratelimit",
            {"RateLimit-Limit": "3", "RateLimit-Remaining": "1", "RateLimit-Reset": "51"},
            id="its older form",
        ),
        pytest.param(
            "x-seconds",
            {"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "51"},
            id="seconds",
        ),
        pytest.param(
            "x-epoch",
            {
                "X-RateLimit-Limit": "3",
                "X-RateLimit-Remaining": "1",
                "X-RateLimit-Reset": "1764000051",
            },
            id="Unix time",
        ),
    ],
)
def test_headers_tell_the_limit(style, headers):
    limit = FixedWindow(3, 60)
    waits(limit, 0, 1)
    assert limit_headers(style, limit.standing(9.5), NOW) == headers


@pytest.mark.parametrize("name", ["fixed-window", "sliding-window", "token-bucket"])
def test_as_many_calls_remain_as_would_pass(name):
    limit = LIMITS[name](5, 60)
    waits(limit, 100.0, 100.0)
    standing = limit.standing(100.0)
    assert standing
    assert (standing.calls, standing.remaining) == (5, 3)
    assert [not wait for wait in waits(limit, *[100.0] * 4)] == [True] * 3 + [False]
    assert limit.standing(100.0).remaining == 0


def test_no_limit_has_no_headers():
    assert limit_headers("ietf", NoLimit().standing(0.0), NOW) == {}
