"""Coins that don't exist, but look real: their values are consistent."""

import json
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any, NamedTuple

from coinspider.sandbox.coin_names import coin_name, coin_symbol
from coinspider.sandbox.price_walk import DAY, walk

_GREATEST_CAP, _FALL = 1.9e12, 1.55  # US dollars; by the rank to the power of this
_STABLE_SHARE = 0.01
CHARTED = 200  # coins, the first four views of the list, that have a history in the demo
# Of the last 24 hours; those with a chart must have its lowest and highest price, nearly.
_SAMPLES, _SAMPLES_CHARTED = 4, 48
_PATHS = 1_000_003  # for each seed, more than there are coins
_PER_DOLLAR = {"usd": 1.0, "eur": 0.92, "gbp": 0.79, "jpy": 155.0, "cny": 7.2, "inr": 84.0,
               "btc": 1 / 96_000, "eth": 1 / 3_400}  # fmt: skip


class Coin(NamedTuple):
    """The constant properties of a coin."""

    path: int  # the seed of its price
    id: str
    symbol: str
    name: str
    volatility: float
    price: float  # US dollars, the mean
    circulating: float
    total: float
    maximum: float | None
    turnover: float  # of the market cap in a day
    genesis: float  # Unix time

    def price_at(self, moment: float) -> float:
        """In US dollars."""
        return self.price * walk(self.path, moment, self.volatility)

    def turnover_at(self, moment: float) -> float:
        """The volume of a day as a share of the market cap."""
        return self.turnover * walk(-self.path, moment, 0.2)

    def cap_at(self, moment: float) -> float:
        return self.price_at(moment) * self.circulating


@cache
def coin(number: int, seed: int = 0) -> Coin:
    """The lower the number, the greater the market cap, approximately."""
    chance = Random(f"{number} {seed}")
    name = coin_name(number)
    cap = _GREATEST_CAP / (number + 1) ** _FALL
    stable = number in (2, 5) or (number > 20 and chance.random() < _STABLE_SHARE)
    supply = cap if stable else _supply(chance, number)
    total = supply * chance.choice([1, 1, 1.04, 1.25, 2])
    return Coin(
        path=number + 1 + seed * _PATHS,
        id=name.lower().replace(" ", "-"), symbol=coin_symbol(name), name=name,
        volatility=0.0004 if stable else min(0.012 * (1 + number / 40) ** 0.3, 0.08),
        price=cap / supply, circulating=supply, total=total,
        maximum=None if stable or chance.random() < 0.3 else total * chance.choice([1, 1, 1.5]),
        turnover=chance.uniform(0.01, 0.2) * (4 if stable else 1),
        genesis=datetime(2013 + min(number // 25, 11), 1 + number % 12, 3, tzinfo=UTC).timestamp(),
    )  # fmt: skip


def plausible_coin(number: int, vs_currency: str, moment: float, rank: int, seed: int = 0) -> str:
    """The JSON text of a coin at a moment (Unix time)."""
    told, rate = coin(number, seed), _PER_DOLLAR.get(vs_currency, 1.0)
    samples = _SAMPLES_CHARTED if number < CHARTED else _SAMPLES
    before, *past, price = (
        told.price_at(moment - DAY * (samples - step) / samples) * rate
        for step in range(samples + 1)
    )
    margin = 1 + told.volatility / 8
    high, low = max(before, *past, price) * margin, min(before, *past, price) / margin
    change, cap = price - before, price * told.circulating
    chance = Random(told.path)
    mean, highest = told.price * rate, 1.9 if number < 20 else 30
    ath = max(mean * chance.uniform(1.2, highest), high)
    atl = min(mean * chance.uniform(0.002, 0.1), low)
    dates = [told.genesis + chance.random() * (moment - DAY * 40 - told.genesis) for _ in range(2)]
    fields = {
        "id": told.id, "symbol": told.symbol, "name": told.name,
        "image": f"https://coin-images.coingecko.com/coins/images/{number + 1}/large/coin.png",
        "current_price": _rounded(price), "market_cap": round(cap), "market_cap_rank": rank,
        "fully_diluted_valuation": round(price * (told.maximum or told.total)),
        "total_volume": round(cap * told.turnover_at(moment)),
        "high_24h": _rounded(high), "low_24h": _rounded(low),
        "price_change_24h": _rounded(change),
        "price_change_percentage_24h": round(change / before * 100, 5),
        "market_cap_change_24h": round(change * told.circulating),
        "market_cap_change_percentage_24h": round(change / before * 100, 5),
        "circulating_supply": round(told.circulating), "total_supply": round(told.total),
        "max_supply": told.maximum and round(told.maximum),
        "ath": _rounded(ath), "ath_change_percentage": round((price / ath - 1) * 100, 5),
        "ath_date": _time(dates[0]),
        "atl": _rounded(atl), "atl_change_percentage": round((price / atl - 1) * 100, 5),
        "atl_date": _time(dates[1]),
        "roi": None, "last_updated": _time(moment - number % 97 / 10),
    }  # fmt: skip
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _supply(chance: Random, number: int) -> float:
    if number < 2:
        return (19_950_000, 120_600_000)[number]
    exponent = chance.triangular(6, 12.5, 9) if chance.random() < 0.95 else chance.uniform(13, 15)
    return float(chance.randrange(10, 100) * int(10 ** (exponent - 1)))


def _rounded(value: float) -> Any:
    """As the API writes prices: seven digits, but at most two decimals from 1,000 on."""
    return round(value, 2) if abs(value) >= 1000 else float(f"{value:.7g}")


def _time(moment: float) -> str:
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
