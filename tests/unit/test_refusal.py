"""How a refusal is distinguished from other responses, and what it says."""

import json
from datetime import UTC, datetime

import pytest
from scrapy.http import Response

from coinspider.http.api_errors import (
    WORDS_MAX,
    is_exhausted,
    is_refusal,
    read_error,
    retry_after,
)
from coinspider.sandbox.behaviour import EXHAUSTED_MESSAGE, RATE_LIMIT_MESSAGE
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
        pytest.param("Monday, 23-Nov-26 12:00:30 GMT", 30.0, id="date of RFC 850"),
        pytest.param("Mon Nov 23 12:00:30 2026", 30.0, id="date of asctime"),
        pytest.param("Mon, 23 Nov 2026 14:00:30 +0200", 30.0, id="date elsewhere"),
        pytest.param("Mon, 23 Nov 2026 12:00:30 -0000", 30.0, id="date without a zone"),
        pytest.param("Sun, 23 Nov 9999 12:00:00 GMT", 1e9, id="far date"),
        pytest.param("Mon, 23 Nov 99999 12:00:00 GMT", None, id="date that Python lacks"),
        pytest.param("1.5", 1.5, id="fraction"),
        pytest.param("86400", 86_400.0, id="a day"),
        pytest.param("9" * 400, 1e9, id="huge"),
        pytest.param("1e9", None, id="exponent"),
        pytest.param("inf", None, id="infinity"),
        pytest.param("٣٠", None, id="other digits"),
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
        pytest.param(response(418, Retry_After="3"), True, id="418 with Retry-After"),
        pytest.param(response(418), False, id="418"),
        pytest.param(response(403, X_RateLimit_Remaining="0"), True, id="403 with no call left"),
        pytest.param(response(403, X_RateLimit_Remaining="7"), False, id="403 with calls left"),
        pytest.param(response(403, RateLimit='"a";r=0;t=9'), True, id="403 with the draft's r=0"),
        pytest.param(response(403), False, id="403"),
        pytest.param(response(200, X_RateLimit_Remaining="0"), False, id="200"),
    ],
)
def test_refusals_are_recognised_by_status_and_headers(given, refusal):
    assert is_refusal(given) is refusal


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        pytest.param({"retCode": 10006, "retMsg": "Too many visits!", "result": {}}, True,
                     id="Bybit"),
        pytest.param({"code": "429000", "msg": "Too many requests"}, True, id="KuCoin"),
        pytest.param({"error": ["EAPI:Rate limit exceeded"]}, True, id="Kraken"),
        pytest.param({"status": "0", "message": "NOTOK", "result": "Max rate limit reached"}, True,
                     id="Etherscan"),
        pytest.param({"Information": "Our standard API rate limit is 25 requests per day."}, True,
                     id="Alpha Vantage"),
        pytest.param({"err-msg": "Request frequency exceeded", "data": None}, True,
                     id="HTX"),
        pytest.param({"code": 99991400, "msg": "request trigger frequency limit"}, True,
                     id="Feishu"),
        pytest.param(b"Throttled", True, id="a text"),
        pytest.param(b"error code: 1015", False, id="a code alone"),
        pytest.param({"error": "limit exceeded"}, False, id="another limit"),
        pytest.param({"id": 5, "title": "How to deal with a rate limit", "tags": []}, False,
                     id="a record"),
        pytest.param([{"message": "Too many requests"}], False, id="records"),
        pytest.param({"error": "Too many requests", "data": "x" * 5000}, False, id="a long body"),
    ],
)  # fmt: skip
def test_refusals_with_status_200_are_recognised_by_the_body(body, refusal):
    assert is_refusal(response(200, body)) is refusal


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({"status": {"error_code": 429, "error_message": "Slow down"}}, "Slow down",
                     id="CoinGecko"),
        pytest.param({"error": "no more"}, "no more", id="error"),
        pytest.param({"detail": "Request was throttled."}, "Request was throttled.", id="DRF"),
        pytest.param({"error": {"message": "Quota"}}, "Quota", id="nested"),
        pytest.param({"errors": [{"title": "Too many"}]}, "Too many", id="list"),
        pytest.param({"Response": "Error", "Message": "Over the limit", "Type": 99},
                     "Over the limit", id="CryptoCompare"),
        pytest.param({"Data": {}, "Err": {"type": 99, "message": "Over it"}}, "Over it",
                     id="CryptoCompare's newer API"),
        pytest.param({"error": ["EAPI:Rate limit exceeded"]}, "EAPI:Rate limit exceeded",
                     id="Kraken"),
        pytest.param({"error": {"code": 104, "info": "Over"}}, "Over", id="info"),
        pytest.param({"code": -1003, "msg": "Too much request weight used"},
                     "Too much request weight used", id="Binance"),
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
    assert read_error(response(body=body).body).words == words


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
def test_used_up_credits_are_recognised_by_the_message(status, words, exhausted):
    assert is_exhausted(response(status, {"error": words})) is exhausted


# The messages of real APIs, and some that an API might send.
@pytest.mark.parametrize("status", [401, 402, 403, 429])
@pytest.mark.parametrize(
    "words",
    [
        "You've exceeded your monthly API call credits.",
        "You have reached your monthly call credit limit. Please upgrade your plan.",
        # https://coinmarketcap.com/api/documentation/v1/#section/Errors-and-Rate-Limits: 1010
        "You've exceeded your API Key's monthly rate limit.",
        "Monthly rate limit exceeded, please upgrade your account!",
        "You have exceeded your monthly credit limit",
        "Insufficient credits",
        "Quota exceeded: Insufficient Usage Credits or Subscription",
        "You have exceeded the MONTHLY quota for Requests on your current plan, BASIC. Upgrade your"
        " plan at https://rapidapi.com/",
        "Your monthly usage limit has been reached. Please upgrade your Subscription Plan.",
        "No API calls remaining this month",
        "0 credits left",
        "Not enough credits to make this call",
        "Your credits are depleted",
        "You are out of credits",
        "The request quota of your API key is exhausted",
        "You've used all credits of your plan",
        "Usage limit of this billing period reached",
        "You have reached the request limit of your current plan; please upgrade",
        "You've exceeded the monthly quota of 10,000 calls (30 per minute are allowed).",
        "Limit of 10000 calls/month reached",
        "Too many requests: your plan's calls of this month are used up",
        "The API key has hit its quota. Upgrade at https://example.com/plans",
        # Alchemy
        "Monthly capacity limit exceeded. Visit https://dashboard.alchemy.com/settings/billing to"
        " upgrade your scaling policy for continued service.",
        # OpenAI
        "You exceeded your current quota, please check your plan and billing details.",
        # LINE
        "You have reached your monthly limit.",
        "Your account has exceeded the monthly document generation limit.",
        "You have exhausted the API Credits available in this monthly cycle.",
        "Monthly quota exceeded",
        "You have reached the monthly API request limit. It allows 30 requests per minute.",
        "All credits of the last 30 days are used up",
        "Limit of 5000 calls per 30 days reached",
    ],
)
def test_messages_about_a_month_a_quota_or_a_plan_are_understood(status, words):
    assert is_exhausted(response(status, {"status": {"error_code": 1010, "error_message": words}}))


@pytest.mark.parametrize(
    "words",
    [
        # https://coinmarketcap.com/api/documentation/v1/#section/Errors-and-Rate-Limits
        pytest.param("You've exceeded your API Key's HTTP request rate limit. Rate limits reset"
                     " every minute.", id="CoinMarketCap 1008"),
        pytest.param("You've exceeded your API Key's daily rate limit.", id="CoinMarketCap 1009"),
        pytest.param("You've hit an IP rate limit.", id="CoinMarketCap 1011"),
        pytest.param("Your API Key subscription plan doesn't support this endpoint.",
                     id="CoinMarketCap 1006"),
        pytest.param("You are over your rate limit please upgrade your account!",
                     id="CryptoCompare"),
        pytest.param("This request is limited to PRO API subscribers", id="CoinGecko 10005"),
        pytest.param("Your request exceeds the allowed time range. Public API users are limited to"
                     " the past 365 days. Upgrade to a paid plan", id="CoinGecko 10012"),
        pytest.param("You have exceeded the DAILY quota for Requests on your current plan, BASIC.",
                     id="RapidAPI's day"),
        pytest.param("You have exceeded the rate limit per minute for your plan, BASIC, by the API"
                     " provider", id="RapidAPI's minute"),
        pytest.param("EAPI:Rate limit exceeded", id="Kraken"),
        pytest.param("Too much request weight used; current limit is 6000 request weight per 1"
                     " MINUTE.", id="Binance"),
        pytest.param("API rate limit exceeded for 203.0.113.7", id="Kong, GitHub"),
        pytest.param("Request was throttled. Expected available in 31 seconds.", id="Django"),
        pytest.param("Too Many Requests", id="nginx"),
        pytest.param("Our standard API rate limit is 25 requests per day. Please subscribe to any"
                     " of the premium plans", id="Alpha Vantage"),
        pytest.param("Rate limit exceeded: 5 credits a call, 30 calls a minute",
                     id="a call's price"),
        pytest.param("You exceeded 30 calls/min of your monthly plan", id="minute before month"),
        pytest.param("Slow down. Monthly plans allow more.", id="an offer"),
        pytest.param("No more calls today; quota resets tomorrow", id="today"),
        pytest.param("You have reached the hourly limit of your plan", id="hourly"),
        pytest.param("Quota of 100 requests per 10 seconds exceeded", id="ten seconds"),
        pytest.param("You have run out of API credits for the current minute. 10 API credits were"
                     " used, with the current limit being 8. Wait for the next minute or consider"
                     " switching to a higher tier plan at https://twelvedata.com/pricing",
                     id="Twelve Data's minute"),
        pytest.param("You have run out of API credits for the day. 801 API credits were used, with"
                     " the current limit being 800. Wait for the next day or consider switching to"
                     " a higher tier plan", id="Twelve Data's day"),
        pytest.param("Validation service blocked: Your plan: free-plan-daily total included usage"
                     " has been consumed, please upgrade your plan here, https://moralis.io/pricing",
                     id="Moralis"),
        pytest.param("Your app has exceeded its compute units per second capacity. If you have"
                     " retries enabled, you can safely ignore this message.",
                     id="Alchemy's second"),
        pytest.param("You have made too many requests recently. Developer accounts are limited to"
                     " 100 requests over a 24 hour period (50 requests available every 12 hours)."
                     " Please upgrade to a paid plan if you need more requests.", id="NewsAPI"),
        pytest.param("Your account is temporary blocked due to exceeding of requests limitation of"
                     " your subscription type. Please choose the proper subscription"
                     " http://openweathermap.org/price", id="OpenWeather's minute or month"),
        pytest.param("You have exceeded a secondary rate limit. Please wait a few minutes before"
                     " you try again.", id="GitHub's secondary limit"),
        pytest.param("Max daily rate limit reached. 110000 (100%) of 100000 day/limit",
                     id="Etherscan's day"),
        pytest.param("Max calls per sec rate limit reached (5/sec)", id="Etherscan's second"),
        pytest.param("Max rate limit reached, please use API Key for higher rate limit",
                     id="Etherscan without a key"),
        pytest.param("daily request count exceeded, request rate limited", id="Infura"),
        pytest.param("You've exceeded the maximum requests per minute, please wait or upgrade your"
                     " subscription to continue. https://polygon.io/pricing", id="Polygon"),
        pytest.param("usage limit exceeded, 5-hour usage limit reached for Token Plan Starter",
                     id="five hours of a plan"),
        pytest.param("You've reached your weekly usage limit. Upgrade your plan", id="a week"),
        pytest.param("Quota exceeded for quota metric 'Read requests' and limit 'Read requests per"
                     " minute per user'", id="Google's minute"),
        pytest.param("Limit Reach . Please upgrade your plan or visit our documentation",
                     id="Financial Modeling Prep"),
        pytest.param("Invalid API key", id="wrong key"),
        pytest.param("The plan of this key does not have this endpoint", id="another plan"),
    ],
)  # fmt: skip
def test_messages_about_a_shorter_time_or_something_else_do_not_mean_the_month(words):
    for status in (401, 402, 403, 429):
        assert not is_exhausted(response(status, {"error": words}))


# Each code of CoinGecko's: its status, its words, the advice, whether the call waits for the limit,
# and whether the month is used up.
# https://docs.coingecko.com/docs/errors-and-rate-limits, and public reports of its clients (10006)
CODES = {
    10002: (401, "API Key Missing", "COINGECKO_API_KEY is missing or wrong", False, False),
    10005: (
        401,
        "This request is limited to PRO API subscribers",
        "the plan of this key does not have this endpoint",
        False,
        False,
    ),
    10006: (429, "You've reached 10,000 calls limit.", "", True, True),
    10010: (
        400,
        "If you are using Pro API key, please change your root URL",
        "this is a Pro key on the public host: set COINGECKO_PLAN=pro",
        False,
        False,
    ),
    10011: (
        400,
        "If you are using Demo API key, please change your root URL",
        "this is a Demo key on the Pro host: set COINGECKO_PLAN=demo",
        False,
        False,
    ),
    10012: (
        401,
        "Your request exceeds the allowed time range. Public API users are limited to 365 days.",
        "this plan does not reach back so far: ask for fewer days",
        False,
        False,
    ),
    429: (429, RATE_LIMIT_MESSAGE, "", True, False),
}
SHAPES = {
    "status": lambda told: {"status": told},
    "error and status": lambda told: {"error": {"status": told}},
    "code beside status": lambda told: {
        "error_code": told["error_code"],
        "status": {"error_message": told["error_message"]},
    },
    "flat": lambda told: told,
    "error": lambda told: {"error": told},
    "words alone": lambda told: {"error": told["error_message"]},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("disguised", [False, True], ids=["its status", "status 200"])
def test_each_code_of_coingecko_is_understood_in_each_shape(code, shape, disguised):
    status, words, advice, waits, used_up = CODES[code]
    body = SHAPES[shape]({"error_code": code, "error_message": words})
    said = response(200 if disguised else status, body, Retry_After="3599")
    has_code = shape != "words alone"
    assert coingecko.ERRORS.explain(said) == words + (f" ({advice})" if advice and has_code else "")
    # Without its status, 10006 is no refusal, but the end of the month's calls.
    assert coingecko.is_refusal(said) == (waits and (code == 429 or not disguised))
    assert coingecko.is_exhausted(said) == (used_up and has_code)
    assert not coingecko.is_exhausted(response(200, [body]))


@pytest.mark.parametrize("code", [10002, 10005, 10010, 10011, 10012])
def test_a_code_of_coingecko_outweighs_its_words(code):
    body = {"status": {"error_code": code, "error_message": "Not within the quota of your plan"}}
    assert is_exhausted(response(401, body))
    assert not coingecko.is_exhausted(response(401, body))
