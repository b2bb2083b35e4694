"""The sandbox's plausible coins look like real ones, and their values fit each other."""

import json
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from statistics import pstdev

import pytest

from coinspider.sandbox.plausible_coins import (
    SPANS,
    Ranks,
    Wanted,
    coin,
    coin_name,
    plausible_coin,
    walk,
)
from coinspider.sandbox.served_coins import PlausibleCoins
from tests.unit.test_table_item import API_FIELDS, FIELDS_BY_PARAMETER

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC).timestamp()
COUNT = 2000
AMOUNTS = ("current_price", "market_cap", "total_volume", "circulating_supply", "low_24h")


@cache
def served():
    return PlausibleCoins(COUNT, lambda: [NOW])


@cache
def coins(vs_currency="usd"):
    return [
        json.loads(served().text(id_, vs_currency)) for id_ in served().ordered("market_cap_desc")
    ]


def text_of(number, moment, rank, seed=0):
    return plausible_coin(coin(number, seed), "usd", moment, Ranks(rank, rank))


def time(text):
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    "fits",
    [
        pytest.param(lambda c: c.keys() == {*API_FIELDS, *FIELDS_BY_PARAMETER, "roi"}, id="fields"),
        pytest.param(lambda c: all(c[name] > 0 for name in AMOUNTS), id="amounts"),
        pytest.param(lambda c: c["low_24h"] <= c["current_price"] <= c["high_24h"], id="24h"),
        pytest.param(lambda c: c["atl"] <= c["low_24h"] and c["high_24h"] <= c["ath"], id="ever"),
        pytest.param(
            lambda c: (
                c["market_cap"]
                == pytest.approx(c["current_price"] * c["circulating_supply"], rel=0.01, abs=1)
            ),
            id="market cap is price times supply",
        ),
        pytest.param(
            lambda c: c["circulating_supply"] <= c["total_supply"] <= (c["max_supply"] or 1e30),
            id="supplies",
        ),
        pytest.param(lambda c: c["fully_diluted_valuation"] >= c["market_cap"] - 1, id="diluted"),
        pytest.param(
            lambda c: (
                c["price_change_percentage_24h"]
                == pytest.approx(
                    100 * c["price_change_24h"] / (c["current_price"] - c["price_change_24h"]),
                    abs=0.02,
                )
                or c["current_price"] < 1e-5
            ),
            id="change",
        ),
        pytest.param(
            lambda c: c["ath_change_percentage"] <= 0 <= c["atl_change_percentage"], id="signs"
        ),
        pytest.param(lambda c: NOW - 60 < time(c["last_updated"]) <= NOW, id="of today"),
        pytest.param(lambda c: max(time(c["ath_date"]), time(c["atl_date"])) < NOW, id="dates"),
    ],
)
def test_every_coin_fits(fits):
    assert [coin for coin in coins() if not fits(coin)] == []


def test_changes_are_those_of_the_price_and_null_before_the_coin_was_listed():
    for told in coins():
        id_, number = told["id"], served().numbers[told["id"]]
        for span, days in SPANS.items():
            then = NOW - days * 86_400
            sent = told[f"price_change_percentage_{span}_in_currency"]
            if then < coin(number).genesis:
                assert sent is None, id_
            else:
                expected = 100 * (coin(number).price_at(NOW) / coin(number).price_at(then) - 1)
                assert sent == pytest.approx(expected, abs=1e-9)


def test_sparkline_has_an_hourly_price_of_a_week_and_ends_with_the_price():
    wanted = Wanted(sparkline=True, precision="full")
    told = json.loads(plausible_coin(coin(7), "usd", NOW, Ranks(8, 8), wanted))
    prices = told["sparkline_in_7d"]["price"]
    assert len(prices) == 168
    assert prices[-1] == told["current_price"]
    assert prices[0] == coin(7).price_at(NOW - 167 * 3600)


def test_rehypothecated_tokens_have_a_rank_only_among_all():
    found = PlausibleCoins(100, lambda: [NOW], rehypothecated=10)
    told = [json.loads(found.text(id_, "usd")) for id_ in found.ordered("market_cap_desc")]
    assert [c["market_cap_rank_with_rehypothecated"] for c in told] == list(range(1, 101))
    own = [c["market_cap_rank"] for c in told if c["id"] not in found.rehypothecated]
    assert own == list(range(1, 91))
    tokens = [c for c in told if c["id"] in found.rehypothecated]
    assert len(tokens) == 10
    assert {c["market_cap_rank"] for c in tokens} == {None}
    assert all(c["id"].startswith("wrapped-") for c in tokens)


def test_rank_follows_the_market_cap():
    assert [c["market_cap_rank"] for c in coins()] == list(range(1, COUNT + 1))
    caps = [c["market_cap"] for c in coins()]
    assert caps == sorted(caps, reverse=True)
    assert 1e12 < caps[0] < 5e12


@pytest.mark.parametrize("order", ["market_cap", "volume", "id"])
def test_orders_have_two_directions(order):
    assert served().ordered(f"{order}_asc") == served().ordered(f"{order}_desc")[::-1]
    assert sorted(served().ordered(f"{order}_asc")) == served().ordered("id_asc")


def test_names_are_unique():
    names = [coin_name(number) for number in range(200_000)]
    assert len(set(names)) == len({name.lower().replace(" ", "-") for name in names}) == 200_000
    assert max(map(len, names)) < 40


def test_another_currency_has_other_prices_for_the_same_coins():
    for dollars, euros in zip(coins(), coins("eur"), strict=True):
        assert dollars["circulating_supply"] == euros["circulating_supply"]
        assert euros["current_price"] == pytest.approx(0.92 * dollars["current_price"], rel=1e-4)


def test_coin_is_always_the_same():
    assert text_of(7, NOW, 8) == text_of(7, NOW, 8)
    assert text_of(7, NOW, 8) != text_of(7, NOW + 60, 8)
    # Also on another machine, and with another Python.
    assert walk(5, 1_764_080_000.0, 0.03) == pytest.approx(1.22, abs=0.2)


@pytest.mark.parametrize("volatility", [0.01, 0.05])
def test_price_walks(volatility):
    hours = [walk(1, NOW + 3600 * n, volatility) for n in range(24 * 60)]
    days = [later / earlier - 1 for earlier, later in zip(hours, hours[24:], strict=False)]
    assert volatility / 2 < pstdev(days) < volatility * 2
    steps = [later / earlier - 1 for earlier, later in pairwise(hours)]
    assert 0 < max(map(abs, steps)) < volatility, "no jumps"


def test_a_third_of_the_coins_changes_with_a_tick():
    def at(tick):
        moments = [(tick - (tick - third) % 3) * 60 for third in range(3)]
        found = PlausibleCoins(300, lambda: moments)
        return {id_: json.loads(found.text(id_, "usd"))["current_price"] for id_ in found.ids}

    before, after = at(1_000_000), at(1_000_001)
    assert 90 <= sum(before[id_] != after[id_] for id_ in before) <= 100


@pytest.mark.parametrize("number", [0, 2, 7, 40, 199])
def test_chart_of_a_day_stays_between_low_and_high(number):
    now = NOW + number * 7777
    told = json.loads(text_of(number, now, number + 1))
    shown = [coin(number).price_at(now - 600 * n) for n in range(144)]
    assert told["low_24h"] <= min(shown) <= min(shown) * 1.02 <= told["low_24h"] * 1.04
    assert told["high_24h"] >= max(shown) >= told["high_24h"] * 0.98


def test_stable_coins_are_stable():
    assert abs(coin(2).price_at(NOW) - 1) < 0.01


def test_seed_makes_other_prices_for_the_same_coins():
    told = [text_of(7, NOW, 8, seed) for seed in (0, 0, 1)]
    first, again, other = map(json.loads, told)
    assert first == again
    assert (first["id"], first["name"]) == (other["id"], other["name"])
    assert first["current_price"] != other["current_price"]
    found = PlausibleCoins(20, lambda: [NOW], seed=1)
    assert json.loads(found.text(other["id"], "usd"))["current_price"] == other["current_price"]
