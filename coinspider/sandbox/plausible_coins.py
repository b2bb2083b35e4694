"""Coins that don't exist, but look real: their values are consistent."""

import json
from datetime import UTC, datetime
from functools import cache
from math import exp, sqrt
from random import Random
from typing import NamedTuple


class Wanted(NamedTuple):
    """What a call wants of each coin that is not always there."""

    spans: tuple[str, ...] = ()
    both_ranks: bool = False
    sparkline: bool = False
    precision: str = ""


SPANS = {"1h": 1 / 24, "24h": 1, "7d": 7, "14d": 14, "30d": 30, "200d": 200, "1y": 365}  # days
NOTHING = Wanted()
# What coinspider asks for.
USUAL = Wanted(spans=tuple(SPANS), both_ranks=True)
SPARKLINE_HOURS = 168


def _words(text: str) -> list[str]:
    return text.split()


_FIRST = _words("""
Aurel Brivo Castor Dorado Elara Fenix Galeon Halcyon Ister Juniper Kestrel Lumen Meridian Nimbus
Orrery Pallas Quarry Rivet Sable Tallow Umbra Verdant Wicket Xylo Yarrow Zephyr Amber Basalt
Cobalt Drift Ember Fathom Granite Harbor Indigo Jasper Keel Lantern Mistral Noble Onyx Prism
Quill Raven Saffron Tundra Ursa Vellum Willow Yonder
""")
_SECOND = _words("""
Arc Bay Crest Dune Edge Field Gate Haven Isle Key Loop Mint Node Orbit Peak Quay Reef Spire Tide
Vale Wave Yard Zone Bloom Core Dash Fern Grove Hill Knot
""")
_THIRD = _words("""
Protocol Network Finance Chain Swap Token Pay Labs Bridge Inu DAO AI Verse Cash Gold Games
Storage Oracle Lend Credit Vault Social Energy Markets Cloud Data Music Art Green Cat
""")


def coin_name(number: int) -> str:
    """One word for the first fifty, two for the next thousands, then three, then a number."""
    if number < len(_FIRST):
        return _FIRST[number]
    number -= len(_FIRST)
    pairs = len(_FIRST) * len(_SECOND)
    turn, place = divmod(number, pairs)
    # Neighbours in rank should not have similar names.
    first, second = divmod(place * 1_009 % pairs, len(_SECOND))
    words = [_FIRST[first], _SECOND[second]]
    if turn:
        version, third = divmod(turn - 1, len(_THIRD))
        words.append(_THIRD[third])
        words += [str(version + 1)] if version else []
    return " ".join(words)


def coin_symbol(name: str) -> str:
    """Like real ones, they are short and not all different."""
    words = name.lower().split()
    return words[0][:3] if len(words) == 1 else "".join(word[:2] for word in words[:3])


DAY = 86_400.0  # seconds
_MASK = 2**64 - 1
# Each octave is five times slower than the one before, and moves farther, like a random walk.
_OCTAVES = [(octave, 900.0 * 5**octave, sqrt(900.0 * 5**octave / DAY)) for octave in range(7)]
_FARTHEST = 0.5


def walk(seed: int, moment: float, volatility: float) -> float:
    """The factor by which a price differs from its mean at a moment (Unix time).

    ``volatility`` is the typical relative change in a day.
    """
    total = 0.0
    for octave, period, size in _OCTAVES:
        position = moment / period
        step = int(position)
        share = position - step
        share *= share * (3 - 2 * share)
        before, after = _chance(seed, octave, step), _chance(seed, octave, step + 1)
        total += min(volatility * size, _FARTHEST) * (before + (after - before) * share)
    return exp(total)


def _chance(seed: int, octave: int, step: int) -> float:
    """A number from -1 to 1, always the same, because hashes of numbers are not randomised."""
    mixed = hash((seed, octave, step)) * 0x94D049BB133111EB & _MASK
    return ((mixed ^ (mixed >> 29)) - 2**63) / 2**63


_GREATEST_CAP, _FALL = 1.9e12, 1.55  # US dollars; by the rank to the power of this
_STABLE_SHARE = 0.01
CHARTED = 200  # coins, the first four views of the list, that have a history in the demo
# Of the last 24 hours; those with a chart must have its lowest and highest price, nearly.
_SAMPLES, _SAMPLES_CHARTED = 4, 48
_PATHS = 1_000_003  # for each seed, more than there are coins
_PER_DOLLAR = {
    "usd": 1.0,
    "eur": 0.92,
    "gbp": 0.79,
    "jpy": 155.0,
    "cny": 7.2,
    "inr": 84.0,
    "btc": 1 / 96_000,
    "eth": 1 / 3_400,
}


class PlausibleCoin(NamedTuple):
    """The constant properties of a coin."""

    number: int
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


class Ranks(NamedTuple):
    """A coin's places by market cap; a rehypothecated token has only the second."""

    own: int | None
    with_rehypothecated: int


@cache
def coin(number: int, seed: int = 0, rehypothecated: bool = False) -> PlausibleCoin:
    """The lower the number, the greater the market cap, approximately."""
    chance = Random(f"{number} {seed}")
    name = f"Wrapped {coin_name(number)}" if rehypothecated else coin_name(number)
    cap = _GREATEST_CAP / (number + 1) ** _FALL
    stable = number in (2, 5) or (number > 20 and chance.random() < _STABLE_SHARE)
    supply = cap if stable else _supply(chance, number)
    total = supply * chance.choice([1, 1, 1.04, 1.25, 2])
    return PlausibleCoin(
        number=number,
        path=number + 1 + seed * _PATHS,
        id=name.lower().replace(" ", "-"),
        symbol=coin_symbol(name),
        name=name,
        volatility=0.0004 if stable else min(0.012 * (1 + number / 40) ** 0.3, 0.08),
        price=cap / supply,
        circulating=supply,
        total=total,
        maximum=None if stable or chance.random() < 0.3 else total * chance.choice([1, 1, 1.5]),
        turnover=chance.uniform(0.01, 0.2) * (4 if stable else 1),
        genesis=datetime(2013 + min(number // 25, 11), 1 + number % 12, 3, tzinfo=UTC).timestamp(),
    )


def plausible_coin(
    told: PlausibleCoin, vs_currency: str, moment: float, ranks: Ranks, wanted: Wanted = USUAL
) -> str:
    """The JSON text of a coin at a moment (Unix time)."""
    rate = _PER_DOLLAR.get(vs_currency, 1.0)
    fields = _identity(told) | _market(told, rate, moment, wanted.precision)
    fields |= {"market_cap_rank": ranks.own, "roi": None}
    fields["last_updated"] = _time(moment - told.number % 97 / 10)
    if wanted.both_ranks:
        fields["market_cap_rank_with_rehypothecated"] = ranks.with_rehypothecated
    for span in wanted.spans:
        fields[f"price_change_percentage_{span}_in_currency"] = _change(told, moment, SPANS[span])
    if wanted.sparkline:
        hours = reversed(range(SPARKLINE_HOURS))
        prices = [told.price_at(moment - 3600 * hour) * rate for hour in hours]
        fields["sparkline_in_7d"] = {"price": prices}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def value_at(told: PlausibleCoin, vs_currency: str, moment: float) -> tuple[float, float, float]:
    """The price, the market cap and the volume of a day."""
    rate = _PER_DOLLAR.get(vs_currency, 1.0)
    price = told.price_at(moment) * rate
    cap = price * told.circulating
    return price, cap, cap * told.turnover_at(moment)


def _identity(told: PlausibleCoin) -> dict[str, object]:
    image = f"https://coin-images.coingecko.com/coins/images/{told.number + 1}/large/coin.png"
    return {"id": told.id, "symbol": told.symbol, "name": told.name, "image": image}


def _market(told: PlausibleCoin, rate: float, moment: float, precision: str) -> dict[str, object]:
    samples = _SAMPLES_CHARTED if told.number < CHARTED else _SAMPLES
    before, *past, price = (
        told.price_at(moment - DAY * (samples - step) / samples) * rate
        for step in range(samples + 1)
    )
    margin = 1 + told.volatility / 8
    high, low = max(before, *past, price) * margin, min(before, *past, price) / margin
    change, cap = price - before, price * told.circulating
    percentage = round(change / before * 100, 5)
    return {
        "current_price": _as_precise(price, precision),
        "market_cap": round(cap),
        "market_cap_rank": None,
        "fully_diluted_valuation": round(price * (told.maximum or told.total)),
        "total_volume": round(cap * told.turnover_at(moment)),
        "high_24h": _rounded(high),
        "low_24h": _rounded(low),
        "price_change_24h": _rounded(change),
        "price_change_percentage_24h": percentage,
        "market_cap_change_24h": round(change * told.circulating),
        "market_cap_change_percentage_24h": percentage,
        "circulating_supply": round(told.circulating),
        "total_supply": round(told.total),
        "max_supply": told.maximum and round(told.maximum),
    } | _records(told, rate, moment, (price, high, low))


def _records(
    told: PlausibleCoin, rate: float, moment: float, of_today: tuple[float, float, float]
) -> dict[str, object]:
    """The highest and the lowest price ever."""
    price, high, low = of_today
    chance = Random(told.path)
    mean, highest = told.price * rate, 1.9 if told.number < 20 else 30
    ath = max(mean * chance.uniform(1.2, highest), high)
    atl = min(mean * chance.uniform(0.002, 0.1), low)
    dates = [told.genesis + chance.random() * (moment - DAY * 40 - told.genesis) for _ in range(2)]
    return {
        "ath": _rounded(ath),
        "ath_change_percentage": round((price / ath - 1) * 100, 5),
        "ath_date": _time(dates[0]),
        "atl": _rounded(atl),
        "atl_change_percentage": round((price / atl - 1) * 100, 5),
        "atl_date": _time(dates[1]),
    }


def _change(told: PlausibleCoin, moment: float, days: float) -> float | None:
    """In per cent; ``None`` if the coin did not exist then."""
    then = moment - days * DAY
    if then < told.genesis:
        return None
    return round((told.price_at(moment) / told.price_at(then) - 1) * 100, 10)


def _supply(chance: Random, number: int) -> float:
    if number < 2:
        return (19_950_000, 120_600_000)[number]
    exponent = chance.triangular(6, 12.5, 9) if chance.random() < 0.95 else chance.uniform(13, 15)
    return float(chance.randrange(10, 100) * int(10 ** (exponent - 1)))


def _rounded(value: float) -> float:
    """As the API writes prices: seven digits, but at most two decimals from 1,000 on."""
    return round(value, 2) if abs(value) >= 1000 else float(f"{value:.7g}")


def _as_precise(price: float, precision: str) -> float:
    if precision.isdecimal():
        return round(price, int(precision[:3]))
    return price if precision == "full" else _rounded(price)


def _time(moment: float) -> str:
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
