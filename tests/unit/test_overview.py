"""What the pages say of crawls: which failure counts, how far a crawl is, the verdict."""

from datetime import UTC, datetime, timedelta

import pytest

from coinspider.daemon.outcomes import FailedJob
from coinspider.daemon.views.overview import (
    as_crawl,
    last_complete,
    last_failures,
    progress,
    verdict,
    with_end,
)

NOW = datetime(2026, 3, 4, tzinfo=UTC)
GOING = {"enabled": True, "paused": False}
PAUSED, OFF = GOING | {"paused": True}, GOING | {"enabled": False}


def crawl(number, outcome, currency="usd", schedule="coins", **other):
    """The lower its number, the newer."""
    begin = NOW - timedelta(minutes=number)
    return with_end({
        "id": 100 - number, "spider": "coins", "currency": currency, "started_at": begin,
        "seconds": 10.0, "outcome": outcome, "message": "why", "job": f"{schedule}.{number}",
        "pages": 5, "records": 1000, "sent": {}, "period": 180 if schedule else None, **other,
    })  # fmt: skip


def judged(crawls, schedules=(GOING,), **other):
    failures = last_failures(crawls, last_complete(crawls))
    return verdict(crawls, failures, schedules, **({"is_late": False, "exhausted": ""} | other))


@pytest.mark.parametrize(
    ("crawls", "options", "kind", "text"),
    [
        ([], {}, "other", "Nothing was crawled yet."),
        ([crawl(1, "running")], {}, "other", "The first crawl is running."),
        ([crawl(1, "complete")], {}, "good", "All is well."),
        ([crawl(1, "failed"), crawl(2, "complete")], {}, "bad", "The last crawl failed."),
        ([crawl(1, "running"), crawl(2, "died")], {}, "bad", "The last crawl failed."),
        ([crawl(1, "complete"), crawl(2, "failed")], {}, "good", "All is well."),
        ([crawl(1, "complete"), crawl(2, "failed", "eur")], {}, "bad", "The last crawl failed."),
        ([crawl(1, "complete"), crawl(2, "failed"), crawl(3, "failed", "eur")], {}, "bad",
         "The last crawl failed."),
        ([crawl(1, "failed"), crawl(2, "failed", "eur")], {}, "bad",
         "The last crawls of 2 sources failed."),
        ([crawl(1, "complete"), crawl(2, "failed", "eur", schedule="")], {}, "good",
         "All is well."),
        ([crawl(1, "failed", "eur", schedule=""), crawl(2, "complete")], {}, "bad",
         "The last crawl failed."),
        ([crawl(1, "complete", job=None, schedule=""), crawl(9, "failed", "eur", "", job=None),
          crawl(9, "failed", "btc", "", job=None)], {}, "good", "All is well."),
        ([crawl(1, "skipped"), crawl(2, "complete")], {}, "good", "All is well."),
        ([crawl(1, "complete")], {"is_late": True}, "bad", "The data is late."),
        ([crawl(1, "complete")], {"exhausted": "10,000 calls"}, "bad",
         "The credits of this month are used up."),
        ([crawl(1, "complete")], {"schedules": [OFF]}, "other",
         "No schedule is enabled: the data will become old."),
        ([crawl(1, "complete")], {"schedules": [PAUSED, OFF]}, "other",
         "All schedules are paused: the data will become old."),
        ([crawl(1, "complete")], {"schedules": [PAUSED, GOING]}, "good", "All is well."),
        ([crawl(1, "complete")], {"schedules": [GOING | {"name": "coins", "warning": "more"}]},
         "other", "coins more"),
    ],
)  # fmt: skip
def test_verdict(crawls, options, kind, text):
    assert judged(crawls, **options)[:2] == (kind, text)


@pytest.mark.parametrize(
    ("arguments", "healed"), [({}, True), ({"vs_currency": "usd"}, True),
                              ({"vs_currency": "eur"}, False)]
)  # fmt: skip
def test_job_that_never_began_is_a_failure_until_a_later_crawl_is_complete(arguments, healed):
    begin, end = NOW - timedelta(minutes=5), NOW - timedelta(minutes=4)
    jobs = [as_crawl(FailedJob("coins.5", "coins", arguments, begin, end, 2, "a bad argument"))]
    [failed] = last_failures(jobs, [crawl(1, "complete")])
    assert (failed["healed"], failed["message"]) == (healed, "a bad argument")
    assert not last_failures(jobs, [crawl(9, "complete")])[0]["healed"]


@pytest.mark.parametrize(
    ("running", "earlier", "expected"),
    [
        ({"pages": 5}, {"pages": 20}, (20, 30.0)),
        ({"pages": 0}, {"pages": 20}, (20, None)),
        ({"pages": 20}, {"pages": 20}, (20, 0)),
        ({"pages": 21}, {"pages": 20}, None),
        ({"pages": 5}, {"pages": 20, "outcome": "failed"}, None),
        ({"pages": 5}, {"pages": 20, "currency": "eur"}, None),
        ({"pages": 5}, {"pages": 20, "sent": {"pages": "1-20"}}, None),
    ],
    ids=["a quarter", "just begun", "the end", "longer than last time", "failed", "currency",
         "arguments"],
)  # fmt: skip
def test_progress_is_measured_by_the_last_complete_crawl_of_the_same_list(
    running, earlier, expected
):
    before = crawl(3, "complete") | earlier
    assert progress(crawl(1, "running") | running, [before]) == expected
