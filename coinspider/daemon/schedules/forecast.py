"""Whether a month's calls suffice for the schedules at fixed times."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from coinspider.daemon.schedules.account_credits import read_credits, settings_of
from coinspider.daemon.schedules.page_weights import USUAL_COINS
from coinspider.daemon.schedules.run_calls import (
    assumed_calls,
    read_list_calls,
    read_usual_calls,
)
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.errors import ConfigurationError
from coinspider.http.account import account_name
from coinspider.http.limit.credits import credits_from_settings
from coinspider.http.limit.month import following_month
from coinspider.sources.coingecko import api_from_settings, monthly_credits
from coinspider.spiders.coins import CoinsSpider

A_MONTH = timedelta(days=31)
_ORDINALS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}


class Forecast(NamedTuple):
    """How many of its key's monthly calls a schedule at fixed times needs."""

    schedule: Schedule
    account: str
    credits: int | None
    """``None`` if calls are not counted."""
    needed: int
    others: int = 0
    """The calls that the other such schedules of this key need."""
    is_assumed: bool = False
    """Whether no crawl has shown yet how many calls a run takes."""

    def used_up_at(self, now: datetime) -> datetime | None:
        """The time from the beginning of the month until none are left; ``None`` if they last."""
        together = self.needed + self.others
        if self.credits is None or together <= self.credits:
            return None
        first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        end = first + A_MONTH * (self.credits / together)
        return end if end < following_month(now) else None

    def warning(self, now: datetime) -> str | None:
        """One line about a schedule whose calls do not last."""
        end = self.used_up_at(now)
        if end is None:
            return None
        day = f"{end.day}{_ORDINALS.get(end.day, 'th')}"
        also = ""
        if self.others:
            also = f", {self.needed + self.others:,} with the other schedules of this key"
        assumed = f" (assuming {USUAL_COINS:,} coins)" if self.is_assumed else ""
        hint = ". budget = auto makes them last" if self.schedule.spider == CoinsSpider.name else ""
        return (
            f"{self.schedule.when} needs {self.needed:,} calls a month{also}, the plan has"
            f" {self.credits:,}: used up on the {day} at {end:%H:%M} UTC{hint}{assumed}"
        )


def forecasts(schedules: Iterable[Schedule]) -> dict[str, Forecast]:
    """The forecasts by name, for enabled schedules of ``coins`` at fixed times, by the settings
    alone.
    """
    found: dict[str, Forecast] = {}
    for schedule in _of_coins(schedules):
        try:
            settings = settings_of(schedule)
            key = settings.get("COINGECKO_API_KEY")
            account = account_name(api_from_settings(settings).base_url, key)
            calls, known = assumed_calls(schedule.arguments), monthly_credits(settings).calls
        except ConfigurationError:
            continue  # its jobs will report it
        if calls:
            needed = _a_month(schedule, calls)
            found[schedule.name] = Forecast(schedule, account, known, needed, is_assumed=True)
    return found


def read_forecasts(schedules: Iterable[Schedule]) -> dict[str, Forecast]:
    """The same by what the database knows of earlier crawls and of the credits. For threads."""
    schedules = list(schedules)
    found = forecasts(schedules)
    for schedule in _of_coins(schedules):
        try:
            known = read_credits(settings_of(schedule))
            calls = read_usual_calls(settings_of(schedule), schedule.arguments)
        except ConfigurationError:
            continue
        if schedule.name in found:
            found[schedule.name] = found[schedule.name]._replace(credits=known.monthly)
        if calls:
            needed = _a_month(schedule, calls)
            found[schedule.name] = Forecast(schedule, known.account, known.monthly, needed)
    others = filter(None, map(_read_other, schedules))
    return found | {forecast.schedule.name: forecast for forecast in others}


def _read_other(schedule: Schedule) -> Forecast | None:
    """That of another API with monthly credits, once a crawl of it was complete."""
    if schedule.spider == CoinsSpider.name or not _has_fixed_times(schedule):
        return None
    settings = settings_of(schedule)
    try:
        known = credits_from_settings(settings)
    except ConfigurationError:
        return None
    if not known or not known.calls:
        return None
    if not (crawled := read_list_calls(schedule.spider, schedule.arguments)):
        return None
    url, calls = crawled
    account = account_name(url, settings.get("API_TOKEN") or settings.get("API_USERNAME"))
    return Forecast(schedule, account, known.calls, _a_month(schedule, calls))


def with_others(
    found: Mapping[str, Forecast], name: str, running: Iterable[Schedule]
) -> Forecast | None:
    """The forecast of a schedule beside those that run; ``None`` if nothing is known of it."""
    if not (own := found.get(name)):
        return None
    others = [found[one.name] for one in running if one.name in found and one.name != name]
    return own._replace(others=sum(of.needed for of in others if of.account == own.account))


def _of_coins(schedules: Iterable[Schedule]) -> list[Schedule]:
    return [one for one in schedules if one.spider == CoinsSpider.name and _has_fixed_times(one)]


def _has_fixed_times(schedule: Schedule) -> bool:
    return schedule.enabled and not schedule.budget


def _a_month(schedule: Schedule, calls: int) -> int:
    return int(calls * (A_MONTH / schedule.period))
