"""How a refusal is told from other answers, and what it says."""

import json
from datetime import UTC, datetime

import pytest
from scrapy.http import Response

from coinspider.http.refusal import (
    WORDS_MAX,
    is_exhausted,
    is_refusal,
    refusal_words,
    retry_after,
)
from coinspider.sandbox.server import EXHAUSTED_MESSAGE, RATE_LIMIT_MESSAGE
from coinspider.sources import coingecko

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def response(status: int = 429, body: object = b"", **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response("https://api.example/", status=status, headers=named, body=content)


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
    assert retry_after(response(Retry_After=value), NOW) == seconds


def test_retry_after_may_be_missing():
    assert retry_after(response(), NOW) is None


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        pytest.param(response(429), True, id="429"),
        pytest.param(response(503, Retry_After="3"), True, id="503 with Retry-After"),
        pytest.param(response(503), False, id="503 without"),
        pytest.param(response(403, Retry_After="3"), True, id="403 with Retry-After"),
        pytest.param(response(403, X_RateLimit_Remaining="0"), True, id="403 with no call left"),
        pytest.param(response(403, X_RateLimit_Remaining="7"), False, id="403 with calls left"),
        pytest.param(response(403, RateLimit='"a";r=0;t=9'), True, id="403 with the draft's r=0"),
        pytest.param(response(403), False, id="403"),
        pytest.param(response(200, X_RateLimit_Remaining="0"), False, id="200"),
    ],
)
def test_refusals_are_told_by_status_and_headers(given, refusal):
    assert is_refusal(given) is refusal


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({"status": {"error_code": 429, "error_message": "Slow down"}}, "Slow down",
                     id="CoinGecko"),
        pytest.param({"error": "no more"}, "no more", id="error"),
        pytest.param({"detail": "Request was throttled."}, "Request was throttled.", id="DRF"),
        pytest.param({"error": {"message": "Quota"}}, "Quota", id="nested"),
        pytest.param({"errors": [{"title": "Too many"}]}, "Too many", id="list"),
        pytest.param({"code": 7}, "", id="no words"),
        pytest.param(b"<!-- a --><html><title>Access\n denied</title>x", "Access denied",
                     id="title"),
        pytest.param(b"<p>error <b>code: 1015</b></p>", "error code: 1015", id="HTML"),
        pytest.param(b"plain \x1b[31m words\n", "plain [31m words", id="control characters"),
        pytest.param(b"\xff\xfe", "��", id="not UTF-8"),
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"[" * 5000, "[" * (WORDS_MAX - 1) + "…", id="deep and long"),
    ],
)  # fmt: skip
def test_words_are_one_short_line(body, words):
    assert refusal_words(response(body=body)) == words


@pytest.mark.parametrize(
    ("status", "words", "exhausted"),
    [
        pytest.param(429, EXHAUSTED_MESSAGE, True, id="credits"),
        pytest.param(401, "You exceeded your API key's monthly rate limit.", True, id="monthly"),
        pytest.param(402, "Your quota is used up", True, id="quota"),
        pytest.param(403, "You have reached the limit of your plan", True, id="plan"),
        pytest.param(429, RATE_LIMIT_MESSAGE, False, id="CoinGecko's minute"),
        pytest.param(429, "Rate limits reset every minute. See your monthly plan.", False,
                     id="another's minute"),
        pytest.param(429, "Quota exceeded: 300 requests/min for your plan", False, id="a minute"),
        pytest.param(429, "Rate limit of your plan exceeded", False, id="rate limit of a plan"),
        pytest.param(429, "", False, id="no words"),
        pytest.param(401, "Incorrect API Key", False, id="wrong key"),
        pytest.param(500, "monthly maintenance", False, id="fault"),
        pytest.param(200, "credits", False, id="page"),
    ],
)  # fmt: skip
def test_the_end_of_the_months_calls_is_told_by_its_words(status, words, exhausted):
    assert is_exhausted(response(status, {"error": words})) is exhausted


def test_wrong_key_of_coingecko_is_no_used_up_credit():
    body = {"status": {"error_code": 10005, "error_message": "Not within the quota of your plan"}}
    assert is_exhausted(response(401, body))
    assert not coingecko.is_exhausted(response(401, body))
