"""The coins that the sandbox serves: plausible ones, awkward ones, or those of a JSON file."""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol

from coinspider.records.record import split_page
from coinspider.sandbox.made_up_coins import coin_id, made_up_coin
from coinspider.sandbox.plausible_coins import coin, plausible_coin

CACHED_COINS = 20_000
ORDER_KEYS = {"market_cap": "market_cap", "volume": "total_volume", "id": "id"}


class Coins(Protocol):
    """What the server needs to know about its coins; their texts are sent unchanged."""

    def ordered(self, order: str) -> Sequence[str]:
        """The ids in one of the API's orders (``id_asc``, ``market_cap_desc``, ...)."""

    def text(self, coin_id: str, vs_currency: str) -> str:
        """The JSON text of one coin; :exc:`KeyError` if there is none."""


class PlausibleCoins:
    """``count`` coins whose ranks follow their market caps.

    ``moments`` gives the Unix times at which each part of the coins changed last. Another ``seed``
    makes other prices.
    """

    def __init__(self, count: int, moments: Callable[[], Sequence[float]], seed: int = 0):
        self.moments, self.seed = moments, seed
        self.numbers = {coin(number).id: number for number in range(count)}
        self.ids = sorted(self.numbers)
        self.made = lru_cache(CACHED_COINS)(plausible_coin)
        self.ranked = lru_cache(2)(self._ranked)

    def ordered(self, order: str) -> Sequence[str]:
        key, _, direction = order.rpartition("_")
        if key == "id":
            return self.ids if direction == "asc" else self.ids[::-1]
        ranks = self.ranked(*self.moments())
        if key == "volume":
            by = {id_: coin(n, self.seed).turnover / ranks[id_] for id_, n in self.numbers.items()}
            return sorted(by, key=by.__getitem__, reverse=direction == "desc")
        return list(ranks) if direction == "desc" else list(ranks)[::-1]

    def text(self, coin_id: str, vs_currency: str) -> str:
        number, moments = self.numbers[coin_id], self.moments()
        rank = self.ranked(*moments)[coin_id]
        return self.made(number, vs_currency, moments[number % len(moments)], rank, self.seed)

    def _ranked(self, *moments: float) -> dict[str, int]:
        caps = {
            id_: coin(number, self.seed).cap_at(moments[number % len(moments)])
            for id_, number in self.numbers.items()
        }
        by_cap = sorted(caps, key=caps.__getitem__, reverse=True)
        return {id_: rank for rank, id_ in enumerate(by_cap, start=1)}


class MadeUpCoins:
    """``count`` coins whose ranks and ids have the same order; every third changes at each tick."""

    def __init__(self, count: int, tick: Callable[[], int] = lambda: 0):
        self.tick = tick
        self.ids = [coin_id(number) for number in range(count)]
        self.numbers = {id_: number for number, id_ in enumerate(self.ids)}
        self.made = lru_cache(CACHED_COINS)(made_up_coin)

    def ordered(self, order: str) -> Sequence[str]:
        return self.ids if order in ("market_cap_desc", "volume_desc", "id_asc") else self.ids[::-1]

    def text(self, coin_id: str, vs_currency: str) -> str:
        return self.made(self.numbers[coin_id], vs_currency, self.tick())


class FileCoins:
    """The coins of a stored response; its amounts are the same in any currency.

    Raises :exc:`ValueError` for a file that holds none.
    """

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

    def text(self, coin_id: str, vs_currency: str) -> str:
        return self.texts[coin_id]


def _id(text: str) -> str:
    try:
        return str(json.loads(text)["id"])
    except (TypeError, KeyError):
        raise ValueError(f"not a coin with an id: {text[:60]}") from None
