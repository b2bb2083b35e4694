"""How old the coins in the database are, if they are read at certain times."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import exp
from typing import NamedTuple

from coinspider.daemon.schedules.budget import Part, PlannedRun

PAGE_SIZE = 250


class Freshness(NamedTuple):
    """The mean and median age of a coin, weighted by its volume, in seconds; the calls it took."""

    median: float
    mean: float
    calls: int


def volume_by_rank(coins: int) -> list[float]:
    """The assumed share of each page in the volume, if nothing is known: 1/rank for each coin."""
    pages = [
        sum(1 / rank for rank in range(first, min(first + PAGE_SIZE, coins + 1)))
        for first in range(1, coins + 1, PAGE_SIZE)
    ]
    return [page / sum(pages) for page in pages]


def stale_share(read_every: float, changes_every: float) -> float:
    """How much of a coin's age counts, from 0 to 1: it is stale only after its first change.

    Changes are assumed to be random with this average frequency. If a coin changes all the time,
    all of its age counts; if it changes once in a thousand reads, a third of a thousandth.
    """
    changes = read_every / changes_every
    if changes < 0.01:
        return changes / 3
    return 1 - 2 / changes + 2 * (1 - exp(-changes)) / changes**2


def whole_passes(part: Part, calls: int, start: datetime, end: datetime) -> list[PlannedRun]:
    """The same calls, spent evenly on whole passes only."""
    count = calls // part.calls
    return [PlannedRun(start + (end - start) / count * n, part) for n in range(count)]


def freshness(
    runs: Iterable[PlannedRun], weights: Sequence[float], start: datetime, end: datetime
) -> Freshness:
    """The freshness over all moments and coins; all coins count as read at the start.

    Between two reads of a page its age grows from 0 to the time between them, so the ages of a page
    are uniform in each of these times.
    """
    read_at = [start] * len(weights)
    spans: dict[float, float] = defaultdict(float)  # seconds to a tenth, and the weight of pages
    calls = 0
    for run in [*runs, PlannedRun(end, Part(1, len(weights)))]:
        calls += run.part.calls
        for number in run.part.numbers():
            page = number - 1
            spans[round((run.at - read_at[page]) / timedelta(seconds=1), 1)] += weights[page]
            read_at[page] = run.at
    whole = sum(seconds * weight for seconds, weight in spans.items())
    mean = sum(seconds**2 / 2 * weight for seconds, weight in spans.items()) / whole
    return Freshness(_median(spans, whole), mean, calls - len(weights))


def _median(spans: Mapping[float, float], whole: float) -> float:
    """The median age over all moments."""
    low, high = 0.0, max(spans)
    for _ in range(40):
        middle = (low + high) / 2
        below = sum(min(seconds, middle) * weight for seconds, weight in spans.items())
        low, high = (middle, high) if below < whole / 2 else (low, middle)
    return high
