"""Whether a month's calls suffice for the schedules."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from coinspider.daemon.schedules.budget_facts import settings_of
from coinspider.daemon.schedules.freshness import PAGE_SIZE
from coinspider.daemon.schedules.page_weights import USUAL_COINS
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.errors import ConfigurationError
from coinspider.http.account import account_name
from coinspider.http.limit.month import following_month
from coinspider.sources.coingecko import api_from_settings, monthly_credits

A_MONTH = timedelta(days=31)
_ORDINALS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}


class Forecast(NamedTuple):
    """How many of its key's monthly calls a schedule at fixed times needs."""

    schedule: Schedule
    account: str
    credits: int | None
    """``None`` if calls are not counted."""
    needed: int
    together: int
    """The calls that all such schedules of this key need."""

    def used_up_at(self, now: datetime) -> datetime | None:
        """The time from the beginning of the month until none are left; ``None`` if they last."""
        if self.credits is None or self.together <= self.credits:
            return None
        first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        end = first + A_MONTH * (self.credits / self.together)
        return end if end < following_month(now) else None

    def warning(self, now: datetime) -> str | None:
        """One line about a schedule whose calls do not last."""
        end = self.used_up_at(now)
        if end is None:
            return None
        day = f"{end.day}{_ORDINALS.get(end.day, 'th')}"
        others = self.together - self.needed
        also = f", {self.together:,} with the other schedules of this key" if others else ""
        return (
            f"{self.schedule.when} needs {self.needed:,} calls a month{also}, the plan has"
            f" {self.credits:,}: used up on the {day} at {end:%H:%M} UTC."
            " budget = auto makes them last"
        )


def forecasts(schedules: Iterable[Schedule]) -> dict[str, Forecast]:
    """The forecasts by name, for enabled schedules of ``coins`` at fixed times."""
    alone = [found for schedule in schedules if (found := _forecast(schedule))]
    together = {of.account: sum(f.needed for f in alone if f.account == of.account) for of in alone}
    return {of.schedule.name: of._replace(together=together[of.account]) for of in alone}


def _forecast(schedule: Schedule) -> Forecast | None:
    """Assumes the usual number of coins."""
    if schedule.spider != "coins" or schedule.budget or not schedule.enabled:
        return None
    settings = settings_of(schedule)
    try:
        account = account_name(
            api_from_settings(settings).base_url, settings.get("COINGECKO_API_KEY")
        )
        available = monthly_credits(settings).calls
    except ConfigurationError:
        return None  # its jobs will report it
    pages = int(schedule.arguments.get("pages", 0))
    per_page = int(schedule.arguments.get("per_page", PAGE_SIZE))
    calls = pages or -(-USUAL_COINS // per_page) + 1
    needed = int(calls * (A_MONTH / schedule.period))
    return Forecast(schedule, account, available, needed, needed)
