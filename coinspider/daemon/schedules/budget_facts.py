"""What a schedule with ``budget`` may spend, and on what, by the database and the settings."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from coinspider.daemon.schedules.account_credits import account_of, read_credits, settings_of
from coinspider.daemon.schedules.budget import Budget, PlannedRun, next_run, plan
from coinspider.daemon.schedules.page_weights import read_weights
from coinspider.daemon.schedules.reads import read_reads
from coinspider.daemon.schedules.run_calls import read_usual_calls
from coinspider.daemon.schedules.schedule import AUTO, Schedule
from coinspider.errors import ConfigurationError
from coinspider.http.limit.month import following_month

_A_DAY = timedelta(days=1)


def read_budgets(schedule: Schedule, running: Iterable[Schedule], now: datetime) -> list[Budget]:
    """What a schedule may spend beside the other active ones: until the month ends, and in the
    next month as far as that is known. Empty if no calls are counted.
    """
    settings = settings_of(schedule)
    known, month_end = read_credits(settings), following_month(now)
    kept = settings.getfloat("BUDGET_RESERVE_SHARE")
    others = [
        one for one in running if one.name != schedule.name and account_of(one) == known.account
    ]
    month = month_end - now.astimezone(UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    rest = (month_end - now) / month
    this = _calls(schedule, others, _spendable(known.left, known.monthly, kept), rest)
    if this is None:
        return []
    weights = read_weights(_currency(schedule.arguments))
    whole_calls = read_usual_calls(settings, schedule.arguments) or 0
    end_calls = max(1, whole_calls - len(weights))
    budgets = [Budget(this, month_end, weights, end_calls)]
    following = _calls(schedule, others, _spendable(known.monthly, known.monthly, kept), 1.0)
    if following is not None:
        budgets.append(Budget(following, following_month(month_end), weights, end_calls))
    return budgets


def read_warning(schedule: Schedule, running: Iterable[Schedule], now: datetime) -> str | None:
    """One line about a budget that never suffices for a pass over all pages. For threads."""
    try:
        budgets = read_budgets(schedule, running, now)
    except ConfigurationError:  # its jobs will report it
        return None
    if not budgets or budgets[-1].calls >= budgets[-1].whole.calls:
        return None
    calls, needed = max(0, int(budgets[-1].calls)), budgets[-1].whole.calls
    return (
        f"{schedule.when} gives it {calls:,} calls a month, and a pass over all pages takes"
        f" {needed}: it reads nothing"
    )


def _spendable(left: int | None, monthly: int | None, kept: float) -> float | None:
    return None if left is None else left - kept * (monthly or left)


def _calls(
    schedule: Schedule, others: Sequence[Schedule], left: float | None, rest: float
) -> float | None:
    """The calls for a schedule, of those that are ``left`` for the ``rest`` of the month (1 for a
    whole one); ``None`` if no calls are counted.
    """
    owned = rest * sum(int(one.budget or 0) for one in others if one.budget != AUTO)
    if schedule.budget != AUTO:
        own = rest * int(schedule.budget or 0)
        return own if left is None else own * min(1.0, left / (own + owned))
    if left is None:
        return None
    return (left - owned) / (1 + sum(one.budget == AUTO for one in others))


def read_next_run(
    schedule: Schedule, running: Iterable[Schedule], last_at: datetime | None
) -> PlannedRun:
    """What the schedule reads next. For threads; raises what :func:`query` does."""
    now = datetime.now(UTC)
    budgets = read_budgets(schedule, running, now)
    reads = read_reads(_currency(schedule.arguments), last_at)
    if not budgets:
        whole = Budget(0, now, []).whole
        assert schedule.every
        return PlannedRun(max(now, last_at + schedule.every) if last_at else now, whole)
    return next_run(budgets[0], reads, now)


class DayPlan(NamedTuple):
    """What a schedule with a budget reads in the next day: the first runs, and the calls of all."""

    schedule: str
    runs: list[PlannedRun]
    calls: int


def read_plan(
    schedule: Schedule, running: Iterable[Schedule], last_at: datetime | None, shown: int
) -> DayPlan:
    """For threads. No runs if no calls are counted, or if the settings contradict each other."""
    now = datetime.now(UTC)
    try:
        budgets = read_budgets(schedule, running, now)
    except ConfigurationError:  # its jobs will report it
        budgets = []
    if not budgets:
        return DayPlan(schedule.name, [], 0)
    reads = read_reads(_currency(schedule.arguments), last_at)
    runs = list(plan(budgets, reads, now, now + _A_DAY))
    return DayPlan(schedule.name, runs[:shown], sum(run.part.calls for run in runs))


def _currency(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("vs_currency", "usd"))
