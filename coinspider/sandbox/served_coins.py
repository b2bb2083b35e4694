"""The coins that the sandbox serves: plausible ones, odd ones, or those of a JSON file."""

import json
from bisect import insort
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import count
from random import Random
from typing import Any, Protocol

from coinspider.records.record import split_page
from coinspider.sandbox.plausible_coins import (
    USUAL,
    Ranks,
    Wanted,
    coin,
    plausible_coin,
    value_at,
)

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


Value = tuple[float, float, float]  # price, market cap, volume
CACHED_COINS = 20_000
ORDER_KEYS = {"market_cap": "market_cap", "volume": "total_volume", "id": "id"}


class ServedCoins(Protocol):
    """What the server needs to know about its coins; their texts are sent unchanged."""

    rehypothecated: frozenset[str]
    """The ids of the tokens that come only with ``include_rehypothecated``."""

    def ordered(self, order: str) -> Sequence[str]:
        """The ids in one of the API's orders (``id_asc``, ``market_cap_desc``, ...)."""

    def text(self, coin_id: str, vs_currency: str, wanted: Wanted = USUAL) -> str:
        """The JSON text of one coin; :exc:`KeyError` if there is none."""

    def value_at(self, coin_id: str, vs_currency: str, moment: float) -> Value:
        """At a Unix time."""


class PlausibleCoins:
    """``count`` coins whose ranks follow their market caps.

    ``moments`` gives the Unix times at which each part of the coins changed last. Another ``seed``
    makes other prices.
    """

    def __init__(
        self,
        count: int,
        moments: Callable[[], Sequence[float]],
        seed: int = 0,
        rehypothecated: int = 0,
    ):
        self.moments = moments
        wrapped = _spread(count, rehypothecated)
        self.coins = {number: coin(number, seed, number in wrapped) for number in range(count)}
        self.numbers = {each.id: number for number, each in self.coins.items()}
        self.rehypothecated = frozenset(self.coins[number].id for number in wrapped)
        self.ids = sorted(self.numbers)
        self.made = lru_cache(CACHED_COINS)(plausible_coin)
        self.ranked = lru_cache(2)(self._ranked)

    def ordered(self, order: str) -> Sequence[str]:
        key, _, direction = order.rpartition("_")
        if key == "id":
            return self.ids if direction == "asc" else self.ids[::-1]
        ranks = self.ranked(*self.moments())
        if key == "volume":
            by = {
                id_: self.coins[number].turnover / ranks[id_].with_rehypothecated
                for id_, number in self.numbers.items()
            }
            return sorted(by, key=by.__getitem__, reverse=direction == "desc")
        return list(ranks) if direction == "desc" else list(ranks)[::-1]

    def text(self, coin_id: str, vs_currency: str, wanted: Wanted = USUAL) -> str:
        number, moments = self.numbers[coin_id], self.moments()
        ranks = self.ranked(*moments)[coin_id]
        moment = moments[number % len(moments)]
        return self.made(self.coins[number], vs_currency, moment, ranks, wanted)

    def value_at(self, coin_id: str, vs_currency: str, moment: float) -> Value:
        return value_at(self.coins[self.numbers[coin_id]], vs_currency, moment)

    def _ranked(self, *moments: float) -> dict[str, Ranks]:
        caps = {
            id_: self.coins[number].cap_at(moments[number % len(moments)])
            for id_, number in self.numbers.items()
        }
        own = count(1)
        return {
            id_: Ranks(None if id_ in self.rehypothecated else next(own), rank)
            for rank, id_ in enumerate(sorted(caps, key=caps.__getitem__, reverse=True), start=1)
        }


class OddCoins:
    """``count`` coins whose ranks and ids have the same order; every third changes at each tick."""

    def __init__(self, count: int, tick: Callable[[], int] = lambda: 0, rehypothecated: int = 0):
        self.tick = tick
        self.ids = [coin_id(number) for number in range(count)]
        self.numbers = {id_: number for number, id_ in enumerate(self.ids)}
        self.rehypothecated = frozenset(map(coin_id, _spread(count, rehypothecated)))
        self.made = lru_cache(CACHED_COINS)(made_up_coin)

    def ordered(self, order: str) -> Sequence[str]:
        return self.ids if order in ("market_cap_desc", "volume_desc", "id_asc") else self.ids[::-1]

    def text(self, coin_id: str, vs_currency: str, wanted: Wanted = USUAL) -> str:
        is_token = coin_id in self.rehypothecated
        return self.made(self.numbers[coin_id], vs_currency, self.tick(), wanted, is_token)

    def value_at(self, coin_id: str, vs_currency: str, moment: float) -> Value:
        return _value_of(self.text(coin_id, vs_currency))


class FileCoins:
    """The coins of a stored response; its amounts are the same in any currency.

    Raises :exc:`ValueError` for a file that holds none.
    """

    rehypothecated: frozenset[str] = frozenset()

    def __init__(self, page: bytes):
        texts = [bytes(text).decode() for text in split_page(page)]
        self.texts = {_id(text): text for text in texts}
        self.orders = {
            f"{by}_{direction}": self._sorted(key, direction == "desc")
            for by, key in ORDER_KEYS.items()
            for direction in ("asc", "desc")
        }

    def _sorted(self, key: str, reverse: bool) -> list[str]:
        fields = {id_: json.loads(text, parse_float=Decimal) for id_, text in self.texts.items()}

        def rank(id_: str) -> tuple[bool, Any]:
            value = fields[id_].get(key)
            return ((value is None) != reverse, value or 0)

        return sorted(self.texts, key=rank, reverse=reverse)

    def ordered(self, order: str) -> Sequence[str]:
        return self.orders[order]

    def text(self, coin_id: str, vs_currency: str, wanted: Wanted = USUAL) -> str:
        return self.texts[coin_id]

    def value_at(self, coin_id: str, vs_currency: str, moment: float) -> Value:
        return _value_of(self.texts[coin_id])


def _spread(count: int, chosen: int) -> frozenset[int]:
    """So many of the numbers up to ``count``, evenly."""
    return frozenset((2 * number + 1) * count // (2 * chosen) for number in range(chosen))


def _value_of(text: str) -> Value:
    told = json.loads(text)
    price, cap, volume = (
        float(told.get(key) or 0) for key in ("current_price", "market_cap", "total_volume")
    )
    return price, cap, volume


def _id(text: str) -> str:
    try:
        return str(json.loads(text)["id"])
    except (TypeError, KeyError):
        raise ValueError(f"not a coin with an id: {text[:60]}") from None


# The share of listed coins that had been delisted before.
RETURNING_SHARE = 0.2


class Listings:
    """Before a ``share`` of the calls (0 to 1) one coin is listed and one delisted.

    Which ones is random but repeatable. The id of a new coin is that of another one with a number
    appended, so it may be anywhere in the list.
    """

    def __init__(self, coins: ServedCoins, share: float = 0.0, seed: int = 0):
        self.coins, self.share, self.random = coins, share, Random(seed)
        self.ids = list(coins.ordered("id_asc")) if share else []
        self.like: dict[str, str] = {}
        self.gone: list[str] = []
        self.changes: list[tuple[int, str, bool]] = []
        """The number of the call before which a coin was listed (``True``) or delisted."""

    def move(self, call: int) -> None:
        if not self.ids or self.random.random() >= self.share:
            return
        out = self.ids.pop(self.random.randrange(len(self.ids)))
        self.gone.append(out)
        self.changes.append((call, out, False))
        listed = self._next()
        insort(self.ids, listed)
        self.changes.append((call, listed, True))

    def ordered(self, order: str) -> Sequence[str]:
        if not self.share:
            return self.coins.ordered(order)
        if order.startswith("id_"):
            return self.ids if order == "id_asc" else self.ids[::-1]
        there = set(self.ids)
        known = [id_ for id_ in self.coins.ordered(order) if id_ in there]
        return [*known, *sorted(there.difference(known))]

    @property
    def rehypothecated(self) -> frozenset[str]:
        tokens = self.coins.rehypothecated
        return tokens | {id_ for id_, like in self.like.items() if like in tokens}

    def text(self, coin_id: str, vs_currency: str, wanted: Wanted = USUAL) -> str:
        like = self.like.get(coin_id, coin_id)
        text = self.coins.text(like, vs_currency, wanted)
        return text.replace(f'"{like}"', f'"{coin_id}"', 1)

    def value_at(self, coin_id: str, vs_currency: str, moment: float) -> Value:
        return self.coins.value_at(self.like.get(coin_id, coin_id), vs_currency, moment)

    def _next(self) -> str:
        if self.random.random() < RETURNING_SHARE and len(self.gone) > 1:
            return self.gone.pop(self.random.randrange(len(self.gone) - 1))
        like = self.random.choice(self.ids)
        id_ = f"{like}-{len(self.changes)}"
        self.like[id_] = self.like.get(like, like)
        return id_
