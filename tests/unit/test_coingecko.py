"""Plans, keys and hosts, and combinations that are refused."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Raw
from scrapy.settings import Settings

from coinspider.errors import ConfigurationError
from coinspider.http.limit.state import ConfiguredLimit
from coinspider.records.keys import in_calls
from coinspider.sources import coingecko
from coinspider.sources.coingecko import api_from_settings, plan_from_settings

KEY = "CG-s3cr3tK3yOfTheTests"
PUBLIC = "https://api.coingecko.com/api/v3"
PRO = "https://pro-api.coingecko.com/api/v3"


def settings(**values: str) -> Settings:
    return Settings({f"COINGECKO_{name}": value for name, value in values.items()})


@pytest.mark.parametrize(
    ("given", "base_url", "headers"),
    [
        pytest.param({}, PUBLIC, {}, id="nothing"),
        pytest.param({"PLAN": "", "API_KEY": "", "BASE_URL": ""}, PUBLIC, {}, id="empty"),
        pytest.param({"PLAN": "public"}, PUBLIC, {}, id="public"),
        pytest.param({"API_KEY": KEY}, PUBLIC, {"x-cg-demo-api-key": KEY}, id="a key alone"),
        pytest.param(
            {"PLAN": "demo", "API_KEY": KEY}, PUBLIC, {"x-cg-demo-api-key": KEY}, id="demo"
        ),
        pytest.param({"PLAN": "pro", "API_KEY": KEY}, PRO, {"x-cg-pro-api-key": KEY}, id="pro"),
    ],
)
def test_each_plan_has_a_host_and_a_header(given, base_url, headers):
    assert api_from_settings(settings(**given)) == (base_url, headers)


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:8000/api/v3", "https://proxy.example/api/v3", "http://[::1]:80/api/v3/"],
)
@pytest.mark.parametrize("plan", ["demo", "pro"])
def test_another_host_gets_the_header_of_the_plan(plan, base_url):
    api = api_from_settings(settings(PLAN=plan, API_KEY=KEY, BASE_URL=base_url))
    assert api == (base_url.rstrip("/"), {f"x-cg-{plan}-api-key": KEY})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"PLAN": "public", "API_KEY": KEY}, "COINGECKO_PLAN=public takes no key", id="public"
        ),
        pytest.param({"PLAN": "demo"}, "COINGECKO_PLAN=demo needs a key", id="demo without"),
        pytest.param({"PLAN": "pro"}, "COINGECKO_PLAN=pro needs a key", id="pro without"),
        pytest.param(
            {"PLAN": "demo", "API_KEY": ""}, "COINGECKO_PLAN=demo needs a key", id="empty key"
        ),
        pytest.param(
            {"PLAN": "gold", "API_KEY": KEY},
            "COINGECKO_PLAN must be one of public, demo, basic, analyst, lite, pro",
            id="no such plan",
        ),
        pytest.param(
            {"PLAN": "Pro", "API_KEY": KEY}, "COINGECKO_PLAN must be one of", id="wrong case"
        ),
        pytest.param(
            {"API_KEY": KEY, "BASE_URL": "localhost:8000"},
            "COINGECKO_BASE_URL must start with http:// or https://",
            id="host without a scheme",
        ),
        pytest.param(
            {"API_KEY": KEY, "BASE_URL": f"ftp://user:{KEY}@host/"},
            "COINGECKO_BASE_URL must start with http:// or https://",
            id="key in a wrong address",
        ),
        pytest.param(
            {"API_KEY": KEY, "BASE_URL": f"http://user:{KEY}/"},
            "the port in COINGECKO_BASE_URL is not a number from 0 to 65535",
            id="key where the port should be",
        ),
    ],
)
def test_wrong_combination_is_refused_without_showing_the_key(given, message):
    with pytest.raises(ConfigurationError, match=f"^{message}") as caught:
        api_from_settings(settings(**given))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "calls"),
    [
        ({}, range(5, 16)),
        ({"API_KEY": KEY}, range(30, 31)),
        ({"PLAN": "pro", "API_KEY": KEY}, range(500, 501)),
    ],
    ids=["public", "demo", "pro"],
)
def test_each_plan_has_its_calls_per_minute(given, calls):
    assert plan_from_settings(settings(**given)).calls_per_minute in calls


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        pytest.param("", ConfiguredLimit(30, 60, firm=False), id="nothing"),
        pytest.param("auto", ConfiguredLimit(30, 60, firm=False), id="auto"),
        pytest.param("45", ConfiguredLimit(45, 60), id="number"),
        pytest.param("0", ConfiguredLimit(0, 60), id="no limit"),
        pytest.param(0, ConfiguredLimit(0, 60), id="no limit in Python"),
    ],
)
def test_learning_begins_with_the_plans_limit_and_a_number_is_firm(text, limit):
    given = settings(API_KEY=KEY, RATE_LIMIT=text)
    assert coingecko.rate_limit_from_settings(given) == limit


@pytest.mark.parametrize(
    ("plan", "text", "credits_of_month"),
    [
        ("demo", "", (10_000, False)),
        ("basic", "", (100_000, False)),
        ("analyst", "", (500_000, False)),
        ("lite", "", (2_000_000, False)),
        ("pro", "", (None, False)),
        ("demo", "500", (500, True)),
        ("demo", "0", (None, True)),
    ],
)
def test_credits_are_those_of_the_plan_unless_they_are_set(plan, text, credits_of_month):
    given = settings(API_KEY=KEY, PLAN=plan, MONTHLY_CREDITS=text)
    assert coingecko.monthly_credits(given) == credits_of_month


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        pytest.param(
            b'{"plan":"Analyst","rate_limit_request_per_minute":500,"monthly_call_credit":500000,'
            b'"current_total_monthly_calls":203,"current_remaining_monthly_calls":499797}',
            (500, 500_000, 499_797),
            id="account",
        ),
        pytest.param(
            b'{"rate_limit_request_per_minute":500,"monthly_call_credit":500000,'
            b'"current_remaining_monthly_calls":499797,"api_key_rate_limit_request_per_minute":20,'
            b'"api_key_monthly_call_credit":100,"api_key_current_remaining_monthly_calls":7}',
            (20, 100, 7),
            id="key with less left",
        ),
        pytest.param(b'{"current_remaining_monthly_calls":5}', (None, None, 5), id="little told"),
        pytest.param(b'{"plan":"Analyst"}', None, id="nothing told"),
        pytest.param(b'{"current_remaining_monthly_calls":"many"}', None, id="no number"),
        pytest.param(b"<html>", None, id="no JSON"),
        pytest.param(b"[1]", None, id="list"),
        pytest.param(b"\xff", None, id="not UTF-8"),
    ],
)
def test_key_endpoint_is_read(body, facts):
    assert coingecko.key_facts(body) == facts


@pytest.mark.parametrize(
    ("ids", "most", "sizes"),
    [
        pytest.param(["a"] * 600, 250, [250, 250, 100], id="as many as a call takes"),
        pytest.param(["a"] * 5, 2, [2, 2, 1], id="as many as a page has"),
        pytest.param(["x" * 2_000] * 5, 250, [2, 2, 1], id="as long as a URL may be"),
        pytest.param(["ü" * 500] * 4, 250, [1, 1, 1, 1], id="as long as it is escaped"),
        pytest.param(["x" * 9_000, "y"], 250, [1, 1], id="one that is too long by itself"),
        pytest.param([], 250, [], id="none"),
    ],
)
def test_ids_go_into_calls_that_the_api_takes(ids, most, sizes):
    groups = list(in_calls(ids, most))
    assert [len(group) for group in groups] == sizes
    assert [id_ for group in groups for id_ in group] == ids


def record(prices, moment):
    fields = {"id": "btc", "ath": 1.50, "last_updated": moment, "sparkline_in_7d": prices}
    return Raw(json.dumps(fields).encode())


NOW = datetime.now(UTC)
THIS_HOUR = NOW.replace(minute=0, second=0, microsecond=0)


@pytest.mark.parametrize(
    ("told", "moment", "hours"),
    [
        pytest.param({"price": [1.5, 2, 3]}, NOW.isoformat(), [2, 1, 0], id="plain"),
        pytest.param({"price": [1, None, 3]}, NOW.isoformat(), [2, 0], id="a hole"),
        pytest.param({"price": [1] * 200}, NOW.isoformat(), [*range(168, -1, -1)], id="too many"),
        pytest.param({"price": []}, NOW.isoformat(), [], id="none"),
        pytest.param({}, NOW.isoformat(), [], id="empty"),
        pytest.param(None, NOW.isoformat(), [], id="null"),
        pytest.param({"price": [1]}, None, [], id="no time"),
        pytest.param({"price": [1]}, "2020-01-01T00:00:00Z", [], id="long ago"),
        pytest.param({"price": [1]}, "2020-01-01T00:00:00", [], id="no offset"),
        pytest.param({"price": "many"}, NOW.isoformat(), [], id="no list"),
    ],
)
def test_a_sparkline_is_an_hourly_price_of_a_week(told, moment, hours):
    _, prices = coingecko.sparkline_prices(record(told, moment))
    assert [at for at, _ in prices] == [THIS_HOUR - timedelta(hours=hour) for hour in hours]


def test_a_sparkline_keeps_its_digits_and_leaves_the_record_as_it_is():
    moment = NOW.isoformat()
    sparkline = '"sparkline_in_7d":{"price":[1.5000]}'
    text = f'{{"id":"btc","ath":1.50,{sparkline},"last_updated":"{moment}"}}'
    _, [(_, price)] = coingecko.sparkline_prices(Raw(text.encode()))
    assert bytes(price) == b"1.5000"
    rest = coingecko.without_sparkline(Raw(text.encode()))
    assert bytes(rest).decode() == f'{{"id":"btc","ath":1.50,"last_updated":"{moment}"}}'
    assert coingecko.without_sparkline(rest) is rest
    assert coingecko.without_sparkline(Raw(b"[1")) == Raw(b"[1")


@pytest.mark.parametrize(
    ("body", "codes"),
    [(b'["usd","eur"]', ["usd", "eur"]), (b"{}", []), (b"<html>", []), (b"[1]", []), (b"\xff", [])],
)
def test_currencies_are_read(body, codes):
    assert coingecko.currencies_told(body) == codes
