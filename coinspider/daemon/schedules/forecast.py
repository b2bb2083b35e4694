"""What the schedules cost in a month, and whether their key's calls suffice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from coinspider.daemon.nodes import repeating
from coinspider.daemon.schedules.budget import (
    Budget,
    Freshness,
    Reads,
    freshness,
    plan,
    whole_passes,
)
from coinspider.daemon.schedules.budget_facts import (
    USUAL_COINS,
    assumed_calls,
    read_budgets,
    read_credits,
    read_list_calls,
    read_usual_calls,
    read_warning,
    settings_of,
)
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.errors import ConfigurationError
from coinspider.http.api_key import account_name
from coinspider.http.limit.state import credits_from_settings, first_of_month, following_month
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
        end = first_of_month(now) + A_MONTH * (self.credits / together)
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


log = Logger()
# How many calls a crawl takes changes slowly; the first crawls show it.
LOOKED_UP_EVERY = timedelta(minutes=5)


class Forecasts:
    """Knows which schedules' calls do not suffice, and logs each warning once.

    ``running`` gives the active schedules. Until the database answers, only the settings are known.
    """

    def __init__(
        self, schedules: Mapping[str, Schedule], running: Callable[[], Sequence[Schedule]]
    ):
        self.schedules, self.running = schedules, running
        self.found = forecasts(schedules.values())
        self.too_small: dict[str, str] = {}
        self.warned: set[str] = set()
        self.looking = repeating("look at the calls that are left", self._look)

    def start(self) -> None:
        self.looking.start(LOOKED_UP_EVERY.total_seconds())

    def stop(self) -> None:
        self.looking.stop()

    def of(self, schedule: Schedule) -> Forecast | None:
        return with_others(self.found, schedule.name, self.running())

    def warning(self, schedule: Schedule, now: datetime) -> str | None:
        """One line about a schedule whose calls do not suffice."""
        forecast = self.of(schedule)
        return forecast.warning(now) if forecast else self.too_small.get(schedule.name)

    def _look(self) -> Deferred[None]:
        looking = deferToThread(_read_all, [*self.schedules.values()], self.running())
        return looking.addCallbacks(self._keep, self._failed).addCallback(self._warn)

    def _keep(self, found: tuple[dict[str, Forecast], dict[str, str]]) -> None:
        self.found, self.too_small = found

    def _failed(self, failure: Failure) -> None:
        """The schedules themselves say that there is no database."""
        log.debug("The forecasts can't be looked up: {why}", why=failure.getErrorMessage())

    def _warn(self, _: object) -> None:
        for schedule in self.running():
            text = self.warning(schedule, datetime.now(UTC))
            if not text:
                self.warned.discard(schedule.name)
            elif schedule.name not in self.warned:
                self.warned.add(schedule.name)
                log.emit(LogLevel.warn, "Schedule {name}: {text}", name=schedule.name, text=text)


def _read_all(
    schedules: Sequence[Schedule], running: Sequence[Schedule]
) -> tuple[dict[str, Forecast], dict[str, str]]:
    now = datetime.now(UTC)
    warnings = {one.name: read_warning(one, running, now) for one in running if one.budget}
    return read_forecasts(schedules), {name: text for name, text in warnings.items() if text}
