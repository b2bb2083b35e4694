"""The sandbox's coins are as awkward as real ones, and always the same."""

import json
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from msgspec import Raw

from coinspider.items import FullCoin
from coinspider.records.coercion import coerce
from coinspider.records.record import Record, Source
from coinspider.sandbox.served_coins import OddCoins, coin_id, made_up_coin
from tests.unit.test_table_item import API_FIELDS, FIELDS_BY_PARAMETER

COUNT = 3000
SUPPLIES = ("circulating_supply", "total_supply", "max_supply")


@cache
def texts(vs_currency: str = "usd") -> list[str]:
    return [made_up_coin(number, vs_currency) for number in range(COUNT)]


def read(text: str) -> dict[str, Any]:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=pytest.fail)


@cache
def coins() -> list[dict[str, Any]]:
    return [read(text) for text in texts()]


def test_a_coin_is_always_the_same():
    assert [made_up_coin(number) for number in range(COUNT)] == texts()


def test_every_coin_has_the_fields_of_the_api():
    for coin in coins():
        assert coin.keys() == {*API_FIELDS, *FIELDS_BY_PARAMETER, "roi"}


def test_every_coin_coerces():
    source = Source("", FullCoin, {"vs_currency": "usd"})
    items = [coerce(Record(Raw(text.encode()), source)) for text in texts()]
    assert [item.coin_id for item in items] == [coin["id"] for coin in coins()]


def test_ids_are_unique_and_in_the_order_of_their_numbers():
    ids = [coin["id"] for coin in coins()]
    assert ids == [coin_id(number) for number in range(COUNT)]
    assert ids == sorted(set(ids))


def test_coins_with_lower_numbers_have_higher_market_caps():
    caps = [coin["market_cap"] for coin in coins()]
    assert caps == sorted(caps, reverse=True)


@pytest.mark.parametrize(
    "occurs",
    [
        pytest.param(lambda coin: coin["current_price"] is None, id="null price"),
        pytest.param(lambda coin: coin["market_cap_rank"] is None, id="unranked"),
        pytest.param(lambda coin: coin["max_supply"] is None, id="null supply"),
        pytest.param(lambda coin: (coin["ath"] or 1) < Decimal("1e-11"), id="tiny price"),
        pytest.param(
            lambda coin: any(Decimal(coin[key] or 0) > 2**63 for key in SUPPLIES),
            id="supply past 2^63",
        ),
        pytest.param(
            lambda coin: any(isinstance(coin[key], str) for key in SUPPLIES), id="supply as text"
        ),
        pytest.param(lambda coin: len(coin["symbol"]) == 46, id="long symbol"),
        pytest.param(lambda coin: not coin["name"].isascii(), id="non-ASCII name"),
        pytest.param(lambda coin: max(coin["name"]) > "\uffff", id="name past 16 bits"),
        pytest.param(lambda coin: coin["name"].startswith(" "), id="leading space"),
        pytest.param(lambda coin: coin["name"].endswith(" "), id="trailing space"),
        pytest.param(lambda coin: '"' in coin["name"], id="quote in a name"),
        pytest.param(lambda coin: "\\" in coin["name"], id="backslash in a name"),
        pytest.param(lambda coin: coin["image"] == "missing_large.png", id="no image"),
        pytest.param(lambda coin: coin["roi"] is not None, id="roi"),
        pytest.param(lambda coin: coin["price_change_24h"] is None, id="null change"),
        pytest.param(lambda coin: (coin["price_change_24h"] or 0) < 0, id="fall"),
    ],
)
def test_awkward_values_occur_but_not_everywhere(occurs):
    share = sum(map(bool, map(occurs, coins()))) / COUNT
    assert 0 < share < 0.7


@pytest.mark.parametrize("number", ["e-05,", "e-12,", "e+24,", ".0,"])
def test_numbers_are_written_in_unusual_ways(number):
    share = sum(number in text for text in texts()) / COUNT
    assert share > 0


@pytest.mark.parametrize("tick", [0, 1, 2, 3, 100])
def test_a_third_of_the_coins_changes_with_a_tick(tick):
    changed = [
        made_up_coin(number, tick=tick) != made_up_coin(number, tick=tick + 1)
        for number in range(600)
    ]
    assert 0.3 < sum(changed) / 600 < 0.37


def test_each_coin_changes_once_in_three_ticks():
    for number in range(100):
        moments = [made_up_coin(number, tick=tick) for tick in range(10, 17)]
        assert sum(a != b for a, b in pairwise(moments)) == 2


def test_a_coin_that_changes_is_newer():
    for number in range(100):
        before, after = (read(made_up_coin(number, tick=tick)) for tick in (10, 13))
        assert before["last_updated"] < after["last_updated"]
        assert before["current_price"] != after["current_price"] or not before["current_price"]


def test_what_a_coin_is_does_not_change():
    for number in range(100):
        before, after = (read(made_up_coin(number, tick=tick)) for tick in (10, 13))
        for key in ("id", "symbol", "name", "image", *SUPPLIES, "ath", "ath_date"):
            assert before[key] == after[key]


def test_another_currency_has_other_prices_for_the_same_coins():
    euros = [read(text) for text in texts("eur")]
    assert [coin["name"] for coin in euros] == [coin["name"] for coin in coins()]
    same = sum(
        a["current_price"] == b["current_price"] for a, b in zip(euros, coins(), strict=True)
    )
    assert same / COUNT < 0.05


def test_coins_are_served_in_both_directions():
    served = OddCoins(COUNT)
    ids = [coin_id(number) for number in range(COUNT)]
    assert list(served.ordered("id_asc")) == list(served.ordered("market_cap_desc")) == ids
    assert list(served.ordered("id_desc")) == list(served.ordered("market_cap_asc")) == ids[::-1]


def test_a_served_coin_has_the_values_of_the_moment():
    moment = iter([4, 5])
    served = OddCoins(10, tick=lambda: next(moment))
    assert served.text(coin_id(2), "eur") == made_up_coin(2, "eur", 4)
    assert served.text(coin_id(2), "eur") == made_up_coin(2, "eur", 5) != made_up_coin(2, "eur", 4)


def test_there_is_no_coin_past_the_last():
    with pytest.raises(KeyError):
        OddCoins(10).text(coin_id(10), "usd")
