"""When a schedule counts as well, as failed, or as having old data."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from coinspider.daemon.alerts.rules import EndedRun, Limits, ScheduleRuns, health, missed_runs
from coinspider.daemon.schedules.schedule import Schedule

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
EVERY = Schedule("coins", "coins", every=timedelta(minutes=3))
# Monday to Friday from eight to half past nine, in Berlin.
OFFICE = Schedule("office", "coins", cron="*/30 8-9 * * 1-5", timezone=ZoneInfo("Europe/Berlin"))


def runs(*outcomes, success=None):
    """The newest first; ``success`` is how many minutes ago."""
    return ScheduleRuns(
        tuple(EndedRun(outcome, "why", NOW, "coins.1", 1) for outcome in outcomes),
        None if success is None else NOW - timedelta(minutes=success),
    )


@pytest.mark.parametrize(
    ("found", "limits", "status"),
    [
        (runs(), Limits(), "stale"),
        (runs("complete", success=1), Limits(), "ok"),
        (runs("complete", "failed", success=1), Limits(), "ok"),
        (runs("failed", "complete", success=4), Limits(), "failed"),
        (runs("died", "complete", success=4), Limits(), "failed"),
        (runs("misconfigured", success=4), Limits(), "failed"),
        (runs("exhausted", "complete", success=4), Limits(), "failed"),
        (runs("failed", "complete", success=4), Limits(failures=2), "ok"),
        (runs("failed", "failed", "complete", success=7), Limits(failures=2), "failed"),
        (runs("failed", success=4), Limits(failures=0), "ok"),
        (runs("failed", success=8), Limits(), "failed"),
        (runs("failed", success=9), Limits(), "stale"),
        (runs("complete", success=60), Limits(), "stale"),
        (runs("complete", success=60), Limits(periods=0), "ok"),
        (runs("failed", success=None), Limits(), "stale"),
        (runs(success=None), Limits(periods=21), "ok"),
    ],
)  # fmt: skip
def test_status_of_a_schedule(found, limits, status):
    watched_since = NOW - timedelta(hours=1)
    assert health(EVERY, found, limits, NOW, watched_since).status == status


def test_scrapyd_that_was_down_has_one_period_to_renew_the_data():
    old = runs("complete", success=600)
    assert health(EVERY, old, Limits(), NOW, NOW - timedelta(minutes=2)).status == "ok"
    assert health(EVERY, old, Limits(), NOW, NOW - timedelta(minutes=3)).status == "stale"
    assert health(EVERY, runs(), Limits(), NOW, NOW - timedelta(minutes=8)).status == "ok"
    assert health(EVERY, runs(), Limits(), NOW, NOW - timedelta(minutes=9)).status == "stale"


def test_message_says_since_when_and_why():
    found = health(EVERY, runs("failed", success=30), Limits(), NOW, NOW - timedelta(hours=1))
    assert found.message == (
        "no complete crawl since 2026-03-04 11:30 UTC, though its schedule is every 3m;"
        " the last run failed: why"
    )


@pytest.mark.parametrize(
    ("last", "now", "missed"),
    [
        ("2026-03-06 08:31", "2026-03-06 08:40", 0),  # Friday, the last run of the week
        ("2026-03-06 08:31", "2026-03-09 06:59", 0),  # Monday, before it opens
        ("2026-03-06 08:31", "2026-03-09 07:00", 1),
        ("2026-03-06 08:31", "2026-03-09 08:00", 3),
        ("2026-03-27 08:31", "2026-03-30 06:00", 1),  # after the change to summer time
    ],
)
def test_times_outside_a_cron_expression_are_not_missed_runs(last, now, missed):
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (last, now)]
    assert missed_runs(OFFICE, *moments) == missed


@pytest.mark.parametrize("schedule", [EVERY, OFFICE], ids=["every", "cron"])
def test_count_of_missed_runs_is_bounded(schedule):
    assert missed_runs(schedule, datetime(2001, 1, 1, tzinfo=UTC), NOW) == 1000
    assert missed_runs(schedule, NOW + timedelta(days=9), NOW) == 0
