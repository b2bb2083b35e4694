"""Coins that don't exist, with all the awkward values of real ones (``scrapy sandbox --odd``)."""

import json
from datetime import UTC, datetime, timedelta
from random import Random

from coinspider.sandbox.plausible_coins import USUAL, Wanted

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_ALPHABETS = ["äöüßéñçø", "漢字仮名交文", "кириллица", "🚀🌕🐕💎", "'\"\\<&>%$;"]
START = datetime(2025, 1, 1, tzinfo=UTC)


def coin_id(number: int) -> str:
    return f"coin-{number:07d}"


def made_up_coin(
    number: int,
    vs_currency: str = "usd",
    tick: int = 0,
    wanted: Wanted = USUAL,
    rehypothecated: bool = False,
) -> str:
    """The JSON text of a coin, always the same; the lower its number, the higher its rank.

    At each ``tick`` a third of the coins changes. The numbers are written digit by digit,
    because ``json`` would normalise them.
    """
    changed_at = max(0, tick - (tick - number) % 3)
    fixed = Random(number)
    moving = Random(f"{number} {vs_currency} {changed_at}")
    texts = {"id": coin_id(number), "symbol": _symbol(fixed), "name": _name(fixed)}
    fields = {key: json.dumps(text, ensure_ascii=False) for key, text in texts.items()}
    fields["image"] = _image(fixed, number)
    fields["current_price"] = _price(moving)
    fields["market_cap"] = _falling(25, number, moving)
    rank = "null" if number % 50 == 49 else str(number + 1)
    fields["market_cap_rank"] = "null" if rehypothecated else rank
    fields["fully_diluted_valuation"] = _amount(moving)
    fields["total_volume"] = _falling(23, number, moving)
    for key in ("high_24h", "low_24h"):
        fields[key] = _price(moving)
    for key in ("price_change", "market_cap_change"):
        fields[f"{key}_24h"] = _change(moving)
        fields[f"{key}_percentage_24h"] = _change(moving)
    for key in ("circulating_supply", "total_supply", "max_supply"):
        fields[key] = _supply(fixed)
    for key in ("ath", "atl"):
        fields[key] = _price(fixed)
        fields[f"{key}_change_percentage"] = _change(moving)
        fields[f"{key}_date"] = _time(fixed.randrange(-300_000_000, 0), fixed)
    fields["roi"] = _roi(moving)
    fields["last_updated"] = _time(changed_at, fixed)
    if wanted.both_ranks:
        fields["market_cap_rank_with_rehypothecated"] = rank
    for span in wanted.spans:
        fields[f"price_change_percentage_{span}_in_currency"] = _change(moving)
    if wanted.sparkline:
        fields["sparkline_in_7d"] = _sparkline(moving)
    return "{" + ",".join(f'"{key}":{value}' for key, value in fields.items()) + "}"


def _symbol(random: Random) -> str:
    length = random.choice([3, 3, 3, 4, 4, 5, 11, 46])
    return "".join(random.choices(_LATIN, k=length))


def _name(random: Random) -> str:
    alphabet = _LATIN if random.random() < 0.8 else random.choice(_ALPHABETS)
    name = "".join(random.choices(alphabet, k=random.randrange(1, 30)))
    return random.choice([name.title(), name.title(), f" {name}", f"{name} "])


def _image(random: Random, number: int) -> str:
    if random.random() < 0.02:
        return '"missing_large.png"'
    return f'"https://coin-images.coingecko.com/coins/images/{number}/large/coin.png?1696501400"'


def _digits(random: Random, count: int) -> str:
    return f"{random.randrange(10**count):0{count}d}"


def _price(random: Random) -> str:
    kind = random.random()
    if kind < 0.05:
        return "null"
    if kind < 0.25:
        return str(random.randrange(1, 100_000))
    if kind < 0.35:
        return f"{random.randrange(1, 10)}.{_digits(random, 3)}e-{random.randrange(5, 13):02d}"
    if kind < 0.5:
        return f"0.{'0' * random.randrange(2, 12)}{_digits(random, 6)}7"
    return f"{random.randrange(0, 1000)}.{_digits(random, random.randrange(1, 18))}"


def _amount(random: Random) -> str:
    kind = random.random()
    if kind < 0.05:
        return "null"
    if kind < 0.15:
        return f"{random.randrange(1, 10**6)}.{_digits(random, 8)}"
    return str(random.randrange(10 ** random.randrange(1, 26)))


def _falling(exponent: float, number: int, random: Random) -> str:
    """An amount near 10 to the ``exponent`` that decreases from coin to coin."""
    amount = 10 ** (exponent - exponent * number / (number + 3000)) * (1 + random.random() / 1e8)
    return f"{amount:.8f}" if amount < 1e6 else str(int(amount))


def _change(random: Random) -> str:
    if random.random() < 0.05:
        return "null"
    return f"{random.choice(['', '-'])}{random.randrange(0, 90)}.{_digits(random, 10)}"


def _supply(random: Random) -> str:
    kind = random.random()
    if kind < 0.2:
        return "null"
    if kind < 0.25:
        return f"{random.randrange(1, 10)}.{_digits(random, 4)}e+24"
    if kind < 0.27:
        return f'"{random.randrange(10**8)}.{_digits(random, 4)}"'
    return f"{random.randrange(10 ** random.randrange(1, 16))}.0"


def _sparkline(random: Random) -> str:
    prices = (_price(random) for _ in range(random.choice([0, 1, 167, 168, 168, 168, 169])))
    return '{"price":[' + ",".join(price for price in prices if price != "null") + "]}"


def _time(seconds: int, random: Random) -> str:
    moment = START + timedelta(seconds=seconds, milliseconds=random.randrange(1000))
    return f'"{moment.isoformat(timespec="milliseconds").removesuffix("+00:00")}Z"'


def _roi(random: Random) -> str:
    if random.random() < 0.95:
        return "null"
    times = f"{random.randrange(0, 100)}.{_digits(random, 15)}"
    return f'{{"times":{times},"currency":"usd","percentage":{random.randrange(9)}.5}}'
