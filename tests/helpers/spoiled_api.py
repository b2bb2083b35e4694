"""CoinGecko's list of coins with pages that are empty, short, broken or from another place.

A :class:`Plan` is drawn from a seed, so that a case can be repeated.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.helpers.http_server import Handler, Server, running

WORDS = ["a", "ab", "a-b", "b", "b-", "b_c", "bc", "0x", "0-5x", "1", "10", "9", "_x", "x[old]"]
# The orders that the API may sort by: CoinGecko's own is not known.
ORDERS: dict[str, Callable[[str], Any]] = {
    "bytes": str,
    "capitals": str.lower,
    "locale": lambda id_: ("".join(filter(str.isalnum, id_.lower())), id_),
}
PAGES = ["empty", "short", "holed", "before", "after", "first", "up", "down", "cut", "text", "503"]
LOOKUPS = ["empty", "short", "page", "cut", "text", "503"]


@dataclass
class Plan:
    """What an API does, all of it drawn from a seed."""

    seed: int
    often: bool = False
    """Whether any answer may be spoiled, not only the first one of a page."""
    moves: bool = False
    """Whether coins are listed and taken out while the list is read."""
    script: dict[str, list[str]] | None = None
    """Instead: of a page (``3/10`` is the third of ten) how its answers are spoiled, in a row."""
    missing_max: int = 0
    """How many pages that never come are accepted."""

    def __post_init__(self) -> None:
        draw = self.random = Random(self.seed)
        self.per_page = draw.choice([3, 5, 10, 50])
        self.sort = draw.choice(list(ORDERS))
        self.total = draw.random() < 0.3
        self.knows_ids = draw.random() < 0.7
        self.look_ahead = draw.choice([1, 1, 4])
        self.share = draw.choice([0.1, 0.3]) if self.often else draw.choice([0.0, 0.2, 0.5, 1.0])
        self.step = 0


@dataclass
class SpoiledApi:
    """Answers the crawls of one plan.

    ``always`` has the coins that were listed throughout the last crawl, ``ever`` those that
    were listed at any time during it.
    """

    plan: Plan
    ids: set[str] = field(default_factory=set)
    always: set[str] = field(default_factory=set)
    ever: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    crawl: int = 0
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.ids:
            count = self.plan.random.choice([1, 7, 12, 20, 33])
            self.ids = {self._new_id(number) for number in range(count)}

    def begin(self, changes: int) -> None:
        """Begin a new crawl, before which ``changes`` coins came or went."""
        for _ in range(changes):
            self._change()
        self.always, self.ever = set(self.ids), set(self.ids)
        self.asked.clear()
        self.crawl += 1
        self.log.append("-- crawl")

    def answer(self, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        plan = self.plan
        if plan.moves and plan.random.random() < 0.2:
            self._change()
        by_ids = "ids" in query and plan.knows_ids
        what = "ids" if by_ids else f"{query['page']}/{query['per_page']}"
        self.asked[what] += 1
        # Pages that are requested ahead come in any order.
        draw = Random(f"{plan.seed} {self.crawl} {what} {self.asked[what]}")
        kind = self._kind(what, LOOKUPS if by_ids else PAGES, draw)
        self.log.append(f"{what} {kind}")
        found = self._named(query, kind) if by_ids else self._page(query, kind, draw)
        if kind == "short":
            found = found[: len(found) // 2]
        if kind == "turned":
            found = found[::-1]
        if kind == "holed":
            found = [id_ for id_ in found if draw.random() < 0.6]
        body = json.dumps([{"id": i, "symbol": "s", "name": "n"} for i in found]).encode()
        body = {"cut": body[:-1], "text": b"Try again later", "empty": b"[]"}.get(kind, body)
        head = {"Total": str(len(self.ids))} if plan.total and not by_ids else {}
        return 503 if kind == "503" else 200, head, body

    def _kind(self, what: str, kinds: list[str], draw: Random) -> str:
        plan = self.plan
        if plan.script is not None:
            kinds = plan.script.get(what, [])
            return kinds[self.asked[what] - 1] if self.asked[what] <= len(kinds) else ""
        may = plan.often or self.asked[what] == 1
        return draw.choice(kinds) if may and draw.random() < plan.share else ""

    def _list(self) -> list[str]:
        return sorted(self.ids, key=ORDERS[self.plan.sort])

    def _named(self, query: dict[str, str], kind: str) -> list[str]:
        if kind == "page":
            return self._list()[: self.plan.per_page]
        wanted = set(query["ids"].split(","))
        return [id_ for id_ in self._list() if id_ in wanted]

    def _page(self, query: dict[str, str], kind: str, draw: Random) -> list[str]:
        page, size = int(query["page"]), int(query["per_page"])
        page = {"before": max(1, page - 1), "after": page + 1, "first": 1}.get(kind, page)
        start = (page - 1) * size
        shift = draw.randint(1, size)
        start = max(0, start + {"up": shift, "down": -shift}.get(kind, 0))
        return self._list()[start : start + size]

    def _change(self) -> None:
        draw = self.plan.random
        if self.ids and draw.random() < 0.5:
            gone = draw.choice(sorted(self.ids))
            self.ids.discard(gone)
            self.always.discard(gone)
            self.log.append(f"   {gone} goes")
        else:
            new = self._new_id(len(self.ever) + 100 + draw.randint(0, 800))
            self.ids.add(new)
            self.ever.add(new)
            self.log.append(f"   {new} comes")

    def _new_id(self, number: int) -> str:
        draw = self.plan.random
        word = draw.choice(WORDS)
        word = word.upper() if draw.random() < 0.1 else word
        return draw.choice([f"{word}-{number:03}", f"{word}{number:03}", f"coin-{number:03}"])


@contextmanager
def serving(apis: dict[str, SpoiledApi]) -> Iterator[str]:
    """Serve each API at ``/NAME/api/v3``."""

    class Pages(Handler):
        protocol_version = "HTTP/1.1"
        # Otherwise an answer's second packet waits until the first is acknowledged.
        wbufsize = -1

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            with lock:
                status, head, body = apis[parts.path.split("/")[1]].answer(query)
            self.send(status, body, head)

    lock = threading.Lock()
    with running(Server(Pages)) as server:
        yield server.url
