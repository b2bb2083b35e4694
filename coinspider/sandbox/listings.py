"""Lists and delists coins while somebody reads the list."""

from bisect import insort
from collections.abc import Sequence
from random import Random

from coinspider.sandbox.coins import Coins

# The share of listed coins that had been delisted before.
RETURNING_SHARE = 0.2


class Listings:
    """Before a ``share`` of the calls (0 to 1) one coin is listed and one delisted.

    Which ones is random but repeatable. The id of a new coin is that of another one with a number
    appended, so it may be anywhere in the list.
    """

    def __init__(self, coins: Coins, share: float = 0.0, seed: int = 0):
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

    def text(self, coin_id: str, vs_currency: str) -> str:
        like = self.like.get(coin_id, coin_id)
        return self.coins.text(like, vs_currency).replace(f'"{like}"', f'"{coin_id}"', 1)

    def _next(self) -> str:
        if self.random.random() < RETURNING_SHARE and len(self.gone) > 1:
            return self.gone.pop(self.random.randrange(len(self.gone) - 1))
        like = self.random.choice(self.ids)
        id_ = f"{like}-{len(self.changes)}"
        self.like[id_] = self.like.get(like, like)
        return id_
