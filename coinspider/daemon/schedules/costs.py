"""What each schedule costs, and how fresh it keeps the coins."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from coinspider.daemon.schedules.budget import Budget, Reads, plan
from coinspider.daemon.schedules.budget_facts import read_budgets, read_warning
from coinspider.daemon.schedules.forecast import A_MONTH, read_forecasts, with_others
from coinspider.daemon.schedules.freshness import Freshness, freshness, whole_passes
from coinspider.daemon.schedules.schedule import Schedule

# A plan repeats itself after a day or two.
_SIMULATED = timedelta(days=3)


class Cost(NamedTuple):
    """The calls of a schedule in a month; what is unknown is ``None``."""

    schedule: Schedule
    calls: int | None
    ages: Freshness | None
    warning: str | None = None


def read_costs(schedules: Sequence[Schedule], now: datetime) -> list[Cost]:
    """For threads. Schedules of other spiders cost what is not known."""
    active = [one for one in schedules if one.enabled]
    found = read_forecasts(active)
    costs = []
    for schedule in active:
        if forecast := with_others(found, schedule.name, active):
            costs.append(Cost(schedule, forecast.needed, None, forecast.warning(now)))
        elif schedule.budget and (budgets := read_budgets(schedule, active, now)):
            calls = budgets[-1].calls
            ages = simulate(budgets[-1]._replace(month_end=now + A_MONTH), now)
            costs.append(Cost(schedule, int(calls), ages, read_warning(schedule, active, now)))
        else:
            costs.append(Cost(schedule, None, None))
    return costs


def simulate(budget: Budget, now: datetime) -> Freshness:
    """The ages of the coins with this budget for a month from now on."""
    end = now + _SIMULATED
    return freshness(plan([budget], Reads(None), now, end), budget.weights, now, end)


def simulate_whole(budget: Budget, now: datetime) -> Freshness:
    """The same, if whole passes alone are made at even times."""
    end = now + _SIMULATED
    calls = int(budget.calls * (_SIMULATED / (budget.month_end - now)))
    runs = whole_passes(budget.whole, calls, now, end)
    return freshness(runs, budget.weights, now, end)
