"""When the next run of a schedule with a budget is looked up, and when its answer is too old."""

from datetime import UTC, datetime, timedelta

import pytest
from twisted.internet.defer import Deferred

from coinspider.daemon.schedules import service
from coinspider.daemon.schedules.budget import Part, PlannedRun
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.daemon.schedules.service import BudgetRuns
from coinspider.daemon.schedules.states import ScheduleState

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
AUTO = Schedule("auto", "coins", budget="auto")
RUN = PlannedRun(NOW, Part(1, 1))


@pytest.fixture
def lookups(monkeypatch):
    """The answers that have not come yet."""
    asked = []

    def defer(*_):
        asked.append(Deferred())
        return asked[-1]

    monkeypatch.setattr(service, "deferToThread", defer)
    return asked


@pytest.fixture
def next_run():
    """What is due this many seconds after the first look, or ``None``."""
    runs, begun_at = BudgetRuns(), [None]

    def look(seconds=0.0, active=False, begun=None):
        begun_at.append(begun or begun_at[-1])
        state = ScheduleState("budget auto", NOW, begun_at[-1])
        now = NOW + timedelta(seconds=seconds)
        return runs.next(AUTO, [AUTO], state, now, lambda _: active)

    return look


def test_next_run_is_looked_up_once_a_minute(lookups, next_run):
    assert next_run() is None
    assert next_run(1) is None
    lookups[0].callback(RUN)
    assert next_run(59) == RUN
    assert len(lookups) == 1
    assert next_run(60) == RUN
    assert len(lookups) == 2


def test_nothing_is_looked_up_until_the_run_has_ended(lookups, next_run):
    for second in range(100):
        assert next_run(second, active=True) is None
    assert not lookups
    next_run(102)
    assert len(lookups) == 1


def test_plan_made_before_another_nodes_run_is_not_carried_out(lookups, next_run):
    next_run()
    lookups[0].callback(RUN)
    assert next_run(1) == RUN
    assert next_run(2, begun=NOW) is None
    assert len(lookups) == 2


def test_answer_from_before_another_nodes_run_is_not_used(lookups, next_run):
    next_run()
    next_run(1, begun=NOW)
    lookups[0].callback(RUN)
    assert next_run(2) is None
    lookups[1].callback(RUN)
    assert next_run(3) == RUN


def test_failed_lookup_is_tried_again_in_a_minute(lookups, next_run):
    next_run()
    lookups[0].errback(ValueError("no database"))
    assert next_run(30) is None
    next_run(60)
    assert len(lookups) == 2
