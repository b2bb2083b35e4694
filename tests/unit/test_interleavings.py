"""Whatever pages come, in whatever order, a list is complete and exact, or failed and kept all."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from coinspider.crawl.key_order import PageChain
from coinspider.crawl.reasons import page_reason
from coinspider.crawl.walk import Walk
from coinspider.http.pagination import AnsweredPage, Offset, PageNumber, PageRequest
from coinspider.records.keys import SeenKeys
from tests.helpers.answered import URL, answered, query

SIZE, PAGES, RETRIES = 4, 5, 2
KINDS = ["good", "empty", "short", "error", "500", "repeated", "out of order", "shifted"]
# These may stay as they are; what is empty or short for ever is all that the API has.
LASTING = ["error", "500", "repeated"]
STRATEGIES = [PageNumber(), Offset(limit=SIZE)]
SEEDS = range(160)


class Api:
    """A numbered list, of which each page may be spoiled: once, or from then on."""

    def __init__(self, seed: int, kinds: list[str]):
        draw = random.Random(seed)
        self.rows = [{"id": f"k{number:03}"} for number in range(SIZE * PAGES - draw.randrange(3))]
        self.has_total = draw.random() < 0.4
        self.spoils = {n: draw.choice(kinds) for n in range(PAGES + 2) if draw.random() < 0.4}
        if not self.has_total and self.spoils.get(PAGES - 1) == "short":
            del self.spoils[PAGES - 1]  # only a total could tell
        self.drawn = dict(self.spoils)
        self.lasts = {n for n in self.spoils if self.spoils[n] in LASTING and draw.random() < 0.5}
        self.good: set[str] = set()
        """What came on pages that were not spoiled."""

    def answer(self, request: PageRequest) -> AnsweredPage | None:
        """The page; ``None`` for a status 500."""
        asked = query(request)
        start = int(asked["offset"]) if "offset" in asked else SIZE * (int(asked["page"]) - 1)
        number = start // SIZE
        kind = self.spoils.get(number, "good") if number in self.lasts else (
            self.spoils.pop(number, "good"))  # fmt: skip
        if kind == "500":
            return None
        if kind == "shifted":
            del self.rows[0]
        rows = self.rows[start : start + SIZE]
        if kind == "error":
            body: Any = {"rows": [], "error": {"message": "try later"}}
        else:
            body = {"rows": self.spoiled(kind, rows, start)}
        if kind in ("good", "shifted"):
            self.good |= {row["id"] for row in rows}
        headers = {"Total": str(len(self.rows))} if self.has_total else {}
        return answered(body, replace(request, strategy=None), path=["rows"], **headers)

    def spoiled(self, kind: str, rows: list[Any], start: int) -> list[Any]:
        match kind:
            case "empty":
                return []
            case "short":
                return rows[:-2]
            case "repeated":
                return self.rows[max(start - SIZE, 0) : max(start, SIZE)]
            case "out of order":
                return rows[::-1]
        return rows


def keys_of(page: AnsweredPage) -> list[Any]:
    return [bytes(record).split(b'"')[3].decode() for record in page.records]


class Reading:
    """Does as a walk says, as the spider does."""

    def __init__(self, api: Api, walk: Walk):
        self.api, self.walk, self.failure = api, walk, ""
        self.pending, self.stored, self.calls = [walk.first()], Counter[str](), 0

    def run(self) -> None:
        while not self.failure:
            while self.pending and not self.failure:
                self.read(self.pending.pop(0))
            verdict = self.walk.judge()
            self.failure = self.failure or (verdict.failure.message if verdict.failure else "")
            if verdict.again is None:
                return
            if verdict.again.is_reading:
                self.read_beside(verdict.again.page)
            else:
                self.pending.append(verdict.again.page)

    def call(self, request: PageRequest) -> AnsweredPage | None:
        """Again after a status 500, as the retries do."""
        for _ in range(RETRIES + 1):
            self.calls += 1
            assert self.calls < 150, "it does not end"
            if page := self.api.answer(request):
                return page
        return None

    def read(self, request: PageRequest) -> None:
        if page := self.call(request):
            answer = self.walk.take(page, keys_of(page))
            self.stored.update(keys_of(replace(page, records=answer.texts)))
            self.pending += [answer.again.page] if answer.again else answer.requests
        else:
            answer = self.walk.pass_over(request, page_reason(request.url, "status 500", 500))
            self.pending += answer.requests
        self.failure = answer.failure.message if answer.failure else ""

    def read_beside(self, request: PageRequest) -> None:
        page = self.call(request)
        if page is None or b"error" in page.body:
            self.failure = "status 500"
            return
        texts = self.walk.take_reading(page, keys_of(page))
        stored = keys_of(replace(page, records=texts))
        self.walk.seen.add(stored)
        self.stored.update(stored)


def readings(strategy: Any, in_order: bool) -> Iterator[tuple[int, Reading, Api]]:
    for seed in SEEDS:
        # What a list in key order loses while it is read is asked for by its keys.
        api = Api(seed, KINDS[:-1] if in_order else KINDS)
        with closing(SeenKeys()) as seen:
            chain = PageChain(SIZE) if in_order else None
            listed = PageRequest(URL)
            walk = Walk(strategy, seen, listed, chain=chain, retry_times=RETRIES,
                        readings_max=3, checks_keys=True)  # fmt: skip
            reading = Reading(api, walk)
            reading.run()
            yield seed, reading, api


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_every_interleaving_is_complete_and_exact_or_failed_and_kept_all(strategy, in_order):
    ends = Counter[bool]()
    for seed, reading, api in readings(strategy, in_order):
        there = {row["id"] for row in api.rows}
        case = (seed, reading.failure, api.drawn, api.lasts)
        if reading.failure:
            assert api.good <= reading.stored.keys(), case
        else:
            assert there <= reading.stored.keys(), case
        assert set(reading.stored) <= {f"k{number:03}" for number in range(SIZE * PAGES)}, case
        ends[bool(reading.failure)] += 1
    assert min(ends.values()) > len(SEEDS) / 20, "both ends are drawn"
