"""What the page of the crawls says besides their rows."""

from datetime import UTC, datetime, timedelta

import pytest

from coinspider.daemon.views.crawls import add_repeats, run_charts
from coinspider.store.crawl import NO_SCHEDULE, schedule_of

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def runs(*seconds, schedule="coins", outcome="complete"):
    return [
        {"id": number, "schedule": schedule, "started_at": NOW + timedelta(minutes=number),
         "outcome": outcome, "seconds": value}
        for number, value in enumerate(seconds)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("job", "schedule"),
    [
        ("coins.20261124T140122.123", "coins"),
        ("coins.eur.20261124T140122.123", "coins.eur"),
        ("again.12.1795640629", NO_SCHEDULE),
        ("d2b1a0e6cab011f1a0c00242ac110002", NO_SCHEDULE),
        ("", NO_SCHEDULE),
        (None, NO_SCHEDULE),
    ],
)
def test_schedule_of_a_job_is_in_its_name(job, schedule):
    assert schedule_of(job) == schedule


def test_each_schedule_has_a_chart_whose_slow_run_flattens_no_other():
    charts = run_charts(
        [*runs(*[2.0] * 20, 900.0), *runs(1.0, schedule="b", outcome="failed")], {"coins": 180.0}
    )
    assert charts.keys() == {"coins", "b"}
    coins = charts["coins"]
    assert coins.summary == "21 runs: 21 complete; 2.0 s to 15 min, the last 15 min"
    assert charts["b"].summary == "1 run: 1 failed; 1.0 s"
    assert [bar.is_cut for bar in coins.chart.bars] == [False] * 20 + [True]
    assert coins.chart.bars[0].height >= 400
    xs = [mark[0] for mark in coins.marks]
    assert xs == sorted(xs)
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y, _, _ in coins.marks)
    assert coins.marks[-1][2:] == ("2026-03-04 12:20:00 UTC", "15 min, complete")


def test_crawl_of_another_address_is_not_to_be_run_again():
    crawls = [{"id": 1}, {"id": 2}]
    add_repeats(crawls, {1: {"pages": "2"}, 2: {"url": "http://a"}})
    assert [crawl["repeat"] for crawl in crawls] == [{"pages": "2"}, None]
