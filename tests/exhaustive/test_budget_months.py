"""Whatever goes wrong, no month's calls are exceeded, and nothing is caught up at once.

The planning on a clock of its own, with an API and a scrapyd that are away for days.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coinspider.crawl.target import with_margin
from coinspider.daemon.schedules.budget import Budget, Reads, next_run, volume_by_rank
from coinspider.http.limit.state import following_month

DAY = timedelta(days=1)
START = datetime(2026, 12, 26, tzinfo=UTC)
FAILED_CALLS = 7  # one, and RETRY_TIMES
RETRIES = (*[0] * 19, 3)
RESERVE = 0.02


class Key(NamedTuple):
    """Its credits, and the schedules that share them: one for each currency."""

    credits: int
    pages: int
    currencies: int


class Month:
    """What the schedules of a key read, and the calls that it costs."""

    def __init__(self, key, outage, absence):
        self.credits, self.weights = key.credits, volume_by_rank(key.pages * 250)
        self.reads = [Reads(None) for _ in range(key.currencies)]
        self.outage, self.absence, self.random = outage, absence, Random(key.credits)
        self.used, self.now, self.month_end = 0, START, following_month(START)
        self.by_day: dict[datetime, int] = {}
        self.allowed: dict[datetime, float] = {}
        self.complete = 0

    def run(self, until):
        while self.now < until:
            run, number = min(
                ((next_run(self.budget(), reads, self.now), n)
                 for n, reads in enumerate(self.reads)), key=lambda found: found[0].at,
            )  # fmt: skip
            self.now = min(max(self.now, run.at), self.month_end)
            begin, end = self.absence
            if begin <= self.now < end:
                self.now = end
            if self.now >= self.month_end:
                self.used, self.month_end = 0, following_month(self.now)
            elif run.at <= self.now and self.now < until:
                self.carry_out(run.part, number)
                self.now += timedelta(seconds=1)

    def budget(self):
        left = self.credits * (1 - RESERVE) - self.used
        return Budget(left / len(self.reads), self.month_end, self.weights)

    def carry_out(self, part, number):
        left = self.credits - self.used
        is_away = self.outage[0] <= self.now < self.outage[1]
        calls = FAILED_CALLS if is_away else part.calls + self.random.choice(RETRIES)
        calls = min(calls, left) if left >= with_margin(part.calls) else 0
        self.count(calls)
        is_complete = bool(calls) and not is_away
        self.complete += is_complete
        reads = self.reads[number]
        if not part.is_whole:
            pages = dict.fromkeys(part.numbers(), self.now) if is_complete else {}
            reads = reads._replace(
                page_at={**reads.page_at, **pages}, last_at=self.now, last_calls=max(1, calls)
            )
        elif is_complete:
            reads = Reads(self.now, {}, reads.last_at, reads.last_calls)
        else:
            reads = reads._replace(failed_at=self.now, failed_calls=calls)
        self.reads[number] = reads

    def count(self, calls):
        day = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        if day not in self.allowed:
            left = self.credits * (1 - RESERVE) - self.used
            self.allowed[day] = left * min(1.0, DAY / (self.month_end - self.now))
        self.used += calls
        self.by_day[day] = self.by_day.get(day, 0) + calls
        assert self.used <= self.credits * (1 - RESERVE) + FAILED_CALLS
        assert self.used <= self.credits


spans = st.tuples(st.floats(0, 5.5), st.floats(0.01, 3)).map(
    lambda span: (START + span[0] * DAY, START + (span[0] + span[1]) * DAY)
)
NEVER = (START, START)


@given(st.builds(Key, st.integers(1, 4000), st.integers(1, 75), st.integers(1, 3)), spans, spans)
@example(Key(2000, 69, 1), (START, START + DAY), NEVER)
@example(Key(2000, 69, 2), NEVER, (START + DAY, START + 4 * DAY))
@example(Key(2000, 69, 1), NEVER, (START + 5.99 * DAY, START + 7 * DAY))
@settings(max_examples=25)
def test_no_month_exceeds_its_credits_and_no_day_its_share(key, outage, absence):
    month = Month(key, outage, absence)
    month.run(START + 7 * DAY)
    # A whole pass is not evenly spread, and the day's last runs may fail.
    most = key.currencies * (key.pages + 1 + 2 * FAILED_CALLS)
    for day, calls in month.by_day.items():
        assert calls <= 1.3 * month.allowed[day] + most


@pytest.mark.parametrize("currencies", [1, 2])
def test_calls_left_after_an_outage_are_spent_by_the_months_end(currencies):
    month = Month(Key(2000, 69, currencies), (START + DAY, START + 2 * DAY), NEVER)
    month.run(START + 6 * DAY - timedelta(seconds=1))
    assert sum(month.by_day.values()) > 0.9 * 2000 * (1 - RESERVE)
    assert month.complete > 100
