"""Whether a schedule can last: the calls that it needs in a month, and those that there are."""

from datetime import datetime, timedelta
from typing import NamedTuple

from coinspider.daemon.schedules.budget_facts import USUAL_COINS, settings_of
from coinspider.daemon.schedules.freshness import PAGE_SIZE
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.errors import ConfigurationError
from coinspider.http.limit_state import following_month
from coinspider.sources.coingecko import monthly_credits

A_MONTH = timedelta(days=31)


class Forecast(NamedTuple):
    """Calls that a schedule needs in a month, and the credits; ``None`` where none are counted."""

    needed: int
    credits: int | None

    def warning(self, schedule: Schedule, now: datetime) -> str | None:
        """What becomes of a schedule that can't last, beginning with the month."""
        if self.credits is None or self.needed <= self.credits:
            return None
        first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        month = following_month(now) - first
        end = first + month * (self.credits / self.needed)
        return (
            f"{schedule.when} needs {self.needed:,} calls a month, the plan has"
            f" {self.credits:,}: used up on day {end.day} at {end:%H:%M} UTC."
            " budget = auto makes them last"
        )


def forecast(schedule: Schedule) -> Forecast | None:
    """For schedules of ``coins`` at fixed times; as many coins are assumed as there usually are."""
    if schedule.spider != "coins" or schedule.budget or not schedule.enabled:
        return None
    try:
        available = monthly_credits(settings_of(schedule))
    except ConfigurationError:
        return None  # its jobs will say so
    pages = int(schedule.arguments.get("pages", 0))
    per_page = int(schedule.arguments.get("per_page", PAGE_SIZE))
    calls = pages or -(-USUAL_COINS // per_page) + 1
    return Forecast(int(calls * (A_MONTH / schedule.period)), available)


def warning(schedule: Schedule, now: datetime) -> str | None:
    """One line on a schedule that can't last."""
    found = forecast(schedule)
    return found.warning(schedule, now) if found else None
