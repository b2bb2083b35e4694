"""CoinGecko's own client takes the sandbox for CoinGecko: its types fit all that it sends."""

import json
from typing import Any
from urllib.request import urlopen

import coingecko_sdk
import pytest
from coingecko_sdk import Coingecko
from coingecko_sdk.types import (
    ExchangeGetResponse,
    KeyGetResponse,
    NFTGetListResponse,
)
from coingecko_sdk.types.coins import (
    CategoryGetResponse,
    MarketChartGetResponse,
    MarketGetResponse,
)
from coingecko_sdk.types.simple import SupportedVsCurrencyGetResponse
from pydantic import TypeAdapter

from coinspider.sources.coingecko import CURRENCIES

SPANS = "1h,24h,7d,14d,30d,200d,1y"
ALL = f"vs_currency=usd&include_rehypothecated=true&price_change_percentage={SPANS}&sparkline=true"


def client(api, **options):
    plan = {"demo_api_key": "right", "environment": "demo"} | options
    return Coingecko(base_url=api.url, max_retries=0, _strict_response_validation=True, **plan)


def sent(api, path: str) -> Any:
    with urlopen(f"{api.url}/{path}", timeout=60) as response:  # noqa: S310
        return json.load(response)


@pytest.mark.parametrize("options", [(), ("--odd",)], ids=["plausible", "odd"])
@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"coins/markets?{ALL}", MarketGetResponse),
        ("coins/markets?vs_currency=eur&per_page=250", MarketGetResponse),
        ("coins/{}/market_chart?vs_currency=usd&days=1", MarketChartGetResponse),
        ("coins/{}/market_chart?vs_currency=btc&days=30", MarketChartGetResponse),
        ("coins/{}/market_chart?vs_currency=usd&days=365", MarketChartGetResponse),
        ("coins/categories", CategoryGetResponse),
        ("exchanges?per_page=250", ExchangeGetResponse),
        ("nfts/list?per_page=250&page=2", NFTGetListResponse),
        ("simple/supported_vs_currencies", SupportedVsCurrencyGetResponse),
        ("key", KeyGetResponse),
    ],
)
def test_the_clients_types_fit_what_the_sandbox_sends(sandbox, options, path, told):
    plan = ("--plan", "pro") if path == "key" else ()
    api = sandbox("--coins", 60, "--rehypothecated", 9, *options, *plan, odd=False)
    coin_id = sent(api, "coins/markets?vs_currency=usd")[0]["id"]
    TypeAdapter(told).validate_python(sent(api, path.format(coin_id)))


def test_the_client_reads_coins_charts_and_lists(sandbox):
    api = sandbox("--coins", 60, "--rehypothecated", 9, odd=False)
    gecko = client(api)
    fewer = gecko.coins.markets.get(vs_currency="usd", per_page=250)
    coins = gecko.coins.markets.get(
        vs_currency="usd",
        per_page=250,
        include_rehypothecated=True,
        price_change_percentage=SPANS,
        sparkline=True,
    )
    assert (len(fewer), len(coins)) == (51, 60)
    assert {coin.market_cap_rank_with_rehypothecated for coin in coins} == set(range(1, 61))
    assert all(coin.market_cap_rank_with_rehypothecated is None for coin in fewer)
    assert sum(coin.market_cap_rank is None for coin in coins) == 9
    assert coins[0].price_change_percentage_7d_in_currency is not None
    assert len(coins[0].sparkline_in_7d.price) == 168
    chart = gecko.coins.market_chart.get(coins[0].id, vs_currency="usd", days="7")
    assert len(chart.prices) == len(chart.market_caps) == len(chart.total_volumes)
    assert 7 * 24 <= len(chart.prices) <= 7 * 24 + 2
    assert chart.prices[-1][1] == pytest.approx(coins[0].current_price, rel=0.01)
    assert gecko.simple.supported_vs_currencies.get() == list(CURRENCIES)
    assert len(gecko.exchanges.get(per_page=250)) == 250
    assert gecko.coins.categories.get()[-1].id == "wrapped-tokens"
    assert len(gecko.nfts.get_list(per_page=100, page=2)) == 100


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"ids": "aurel,brivo,nothing"}, 2),
        ({"names": "Aurel,Castor"}, 2),
        ({"symbols": "aur"}, 1),
        ({"category": "wrapped-tokens", "include_rehypothecated": True}, 9),
        ({"category": "wrapped-tokens"}, 0),
        ({"category": "nothing-like-it"}, 0),
    ],
)
def test_filters_select_coins(sandbox, filters, count):
    api = sandbox("--coins", 1000, "--rehypothecated", 9, "--seed", 1, odd=False)
    found = client(api).coins.markets.get(vs_currency="usd", per_page=250, **filters)
    assert len(found) == count


DEMO, PRO = {}, {"demo_api_key": None, "pro_api_key": "right", "environment": "pro"}
DAYS = {"id": "aurel", "vs_currency": "usd", "days": "max"}


@pytest.mark.parametrize(
    ("options", "key", "call", "told"),
    [
        ((), {"demo_api_key": "wrong"}, "markets", ("AuthenticationError", 10002)),
        ((), DEMO, "key", ("AuthenticationError", 10005)),
        (("--credits", 0), DEMO, "markets", ("RateLimitError", 10006)),
        ((), PRO, "markets", ("BadRequestError", 10010)),
        (("--plan", "pro"), DEMO, "markets", ("BadRequestError", 10011)),
        ((), DEMO, "chart", ("AuthenticationError", 10012)),
        (("--calls", 1), DEMO, "markets", ("RateLimitError", 429)),
    ],
)
def test_each_error_is_one_of_the_clients(sandbox, options, key, call, told):
    error, code = told
    plan = () if "--plan" in options else ("--plan", "demo")
    api = sandbox("--coins", 5, "--key", "right", *plan, *options, odd=False)
    gecko = client(api, **key)
    calls = {
        "markets": lambda: gecko.coins.markets.get(vs_currency="usd"),
        "chart": lambda: gecko.coins.market_chart.get(**DAYS),
        "key": gecko.key.get,
    }
    if code == 429:
        calls[call]()
    with pytest.raises(getattr(coingecko_sdk, error)) as caught:
        calls[call]()
    body = caught.value.body
    assert body.get("error", body)["status"]["error_code"] == code


def test_errors_without_a_code_are_the_clients_too(sandbox):
    gecko = client(sandbox("--coins", 5, odd=False))
    with pytest.raises(coingecko_sdk.UnprocessableEntityError, match="invalid vs_currency"):
        gecko.coins.markets.get(vs_currency="euro")
    with pytest.raises(coingecko_sdk.NotFoundError, match="coin not found"):
        gecko.coins.market_chart.get("nothing", vs_currency="usd", days="1")


def test_the_key_of_a_paid_plan_can_be_asked(sandbox):
    api = sandbox("--coins", 5, "--plan", "pro", "--key", "right", "--credits", 9, odd=False)
    gecko = client(api, demo_api_key=None, pro_api_key="right", environment="pro")
    gecko.coins.markets.get(vs_currency="usd")
    told = gecko.key.get()
    assert (told.monthly_call_credit, told.current_remaining_monthly_calls) == (9, 8)
