"""What a schedule with ``budget`` reads next, and when: spends a month's calls where they matter.

The coins are ranked by market capitalisation and divided into parts of a few pages. Calls are spent
evenly until the month ends. As soon as there are enough calls for a part, the one with the greatest
``weight * age ** 2`` per page is read. This minimises the mean age of a coin, weighted by its
volume: by Lagrange, a page is best read every ``1 / sqrt(weight)`` units of time. Once a day a
whole pass finds new coins and shows which were delisted.

Pure functions of time: nothing here reads the database or the clock.
"""

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil, exp
from typing import NamedTuple

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
# If whole passes are this frequent, parts gain nothing.
FREQUENT = timedelta(minutes=10)
# CoinGecko's data is itself this old: https://docs.coingecko.com/reference/coins-markets
LEAST = timedelta(minutes=1)
WHOLE_EVERY = timedelta(days=1)
# Whole passes take at most this share of the calls, however few there are.
_WHOLE_SHARE = 0.3
# Each job is a process, so with many calls a day the parts become larger instead.
_JOB_EVERY = 120.0  # seconds
_LEAST_PAGES = 2


class Part(NamedTuple):
    """Pages of the ranking, from 1; a whole pass reads all of them."""

    first_page: int
    pages: int
    is_whole: bool = False
    end_calls: int = 1
    """The calls of a whole pass for the end of the list: an empty page, and what is read again."""

    @property
    def calls(self) -> int:
        return self.pages + (self.end_calls if self.is_whole else 0)

    def numbers(self) -> range:
        return range(self.first_page, self.first_page + self.pages)

    def arguments(self) -> dict[str, str]:
        """The arguments for the spider ``coins``; a whole pass needs none."""
        if self.is_whole:
            return {}
        return {"first_page": str(self.first_page), "pages": str(self.pages)}

    def __str__(self) -> str:
        if self.is_whole:
            return "all pages"
        last = self.first_page + self.pages - 1
        return f"page {last}" if self.pages == 1 else f"pages {self.first_page} to {last}"


class PlannedRun(NamedTuple):
    """A part, and when it is due."""

    at: datetime
    part: Part


class Reads(NamedTuple):
    """When all pages were last read in one pass, and when each page (from 1) was, if ever."""

    whole_at: datetime | None
    page_at: Mapping[int, datetime] = {}
    last_at: datetime | None = None
    """When any part was last begun."""
    last_calls: int = 0
    failed_at: datetime | None = None
    """When a whole pass was begun that failed after the last complete one."""
    failed_calls: int = 0

    def before(self, moment: datetime) -> "Reads":
        """Without what was read later, by a clock that has been set back since."""
        return self._replace(
            whole_at=_before(self.whole_at, moment),
            page_at={page: at for page, at in self.page_at.items() if at <= moment},
            last_at=_before(self.last_at, moment),
            failed_at=_before(self.failed_at, moment),
        )


def _before(at: datetime | None, moment: datetime) -> datetime | None:
    return at if at and at <= moment else None


class Budget(NamedTuple):
    """Calls to spend evenly until the month ends, and the weight of each page of the ranking."""

    calls: float
    month_end: datetime
    weights: Sequence[float]
    end_calls: int = 1

    @property
    def whole(self) -> Part:
        return Part(1, len(self.weights), is_whole=True, end_calls=self.end_calls)

    def parts(self, now: datetime) -> list[Part]:
        """Page 1, page 2, and then several pages each."""
        size, count = max(_LEAST_PAGES, ceil(self.part_rate(now) * _JOB_EVERY)), len(self.weights)
        rest = [Part(first, min(size, count - first + 1)) for first in range(3, count + 1, size)]
        return [*(Part(page, 1) for page in (1, 2) if page <= count), *rest]

    def rate(self, now: datetime) -> float:
        """Calls per second."""
        seconds = (self.month_end - now).total_seconds()
        return max(self.calls, 0.0) / max(seconds, 1.0)

    def whole_every(self, now: datetime) -> timedelta:
        """The time between two whole passes; if it is short, all calls go into them."""
        alone = time_for(self.whole.calls, self.rate(now))
        if alone <= FREQUENT:
            return alone
        return max(WHOLE_EVERY, time_for(self.whole.calls, self.rate(now) * _WHOLE_SHARE))

    def part_rate(self, now: datetime) -> float:
        """Calls per second for parts; 0 if there are only whole passes."""
        every = self.whole_every(now)
        if every <= FREQUENT:
            return 0.0
        return max(0.0, self.rate(now) - self.whole.calls / every.total_seconds())


def time_for(calls: int, rate: float) -> timedelta:
    """The time in which this many calls accumulate at a rate per second, at least a minute."""
    if rate <= 0:
        return timedelta(days=10_000)
    return max(LEAST, timedelta(seconds=min(calls / rate, 1e9)))


def next_run(budget: Budget, reads: Reads, now: datetime) -> PlannedRun:
    """What to read next. After the month's end a new plan is needed."""
    due = now if reads.whole_at is None else reads.whole_at + budget.whole_every(now)
    if reads.failed_at:
        # A crawl that failed has used its calls. The next one waits until the budget has gained as
        # many again, or crawls that keep failing would use up the month.
        rate = budget.rate(now) - (budget.part_rate(now) if reads.whole_at else 0.0)
        due = max(due, reads.failed_at + time_for(max(1, reads.failed_calls), rate))
    whole = PlannedRun(max(now, due), budget.whole)
    part = _next_part(budget, reads, now) if reads.whole_at else None
    chosen = min((run for run in (whole, part) if run), key=lambda run: run.at)
    if chosen.part.calls > budget.calls:
        return PlannedRun(budget.month_end, budget.whole)
    return chosen


def _next_part(budget: Budget, reads: Reads, now: datetime) -> PlannedRun | None:
    rate = budget.part_rate(now)
    if rate <= 0:
        return None
    at = max(now, (reads.last_at or now) + time_for(reads.last_calls, rate))

    ages = [
        (at - max(reads.whole_at or at, reads.page_at.get(page, _LONG_AGO))).total_seconds()
        for page in range(1, len(budget.weights) + 1)
    ]
    urgency = [weight * age**2 for weight, age in zip(budget.weights, ages, strict=True)]

    def of_part(part: Part) -> float:
        return sum(urgency[part.first_page - 1 :][: part.pages]) / part.pages

    return PlannedRun(at, max(budget.parts(now), key=of_part))


def plan(
    budgets: Iterable[Budget], reads: Reads, now: datetime, until: datetime
) -> Iterator[PlannedRun]:
    """All runs from now on, if each takes no time and nothing changes; one budget per month."""
    for budget in budgets:
        reads = yield from _plan_month(budget, reads, now, until)
        now = budget.month_end


def _plan_month(
    budget: Budget, reads: Reads, now: datetime, until: datetime
) -> Generator[PlannedRun, None, Reads]:
    while (run := next_run(budget, reads, now)).at < min(until, budget.month_end):
        yield run
        now, budget = run.at, budget._replace(calls=budget.calls - run.part.calls)
        if run.part.is_whole:
            reads = reads._replace(whole_at=now, page_at={})
        else:
            page_at = {**reads.page_at, **dict.fromkeys(run.part.numbers(), now)}
            reads = Reads(reads.whole_at, page_at, now, run.part.calls)
    return reads


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

    Changes are assumed to be random with this average frequency. For a coin that changes all the
    time it is 1; for one that changes in one of a thousand reads, 1/3000.
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
