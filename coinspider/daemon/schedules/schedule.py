"""What runs when: the sections ``[schedule:NAME]`` of ``scrapyd.conf``."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from scrapyd import Config

from coinspider.daemon.configuration import SCHEDULE
from coinspider.daemon.jobs import PROJECT, check_project, check_spider, check_spider_arguments
from coinspider.errors import ConfigurationError
from coinspider.installation import SCRAPYD_CONF
from coinspider.text import readable_seconds

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
AUTO = "auto"
# The longest time without a whole pass of a schedule with a budget.
_BUDGET_PERIOD = timedelta(days=1)
# A clock that is set back by less was slightly wrong, and no schedule runs again.
_CORRECTED = timedelta(hours=1)


class Schedule(NamedTuple):
    """A spider, its arguments and settings, and the times at which it runs."""

    name: str
    spider: str
    project: str = PROJECT
    every: timedelta | None = None
    cron: str | None = None
    timezone: tzinfo = ZoneInfo("UTC")
    budget: str | None = None
    """Calls per month to spend evenly, or ``auto`` for the plan's credits."""
    overlap: str = "skip"
    """What to do with a run while the last one is pending or running: ``skip`` or ``wait``."""
    enabled: bool = True
    arguments: Mapping[str, str] = {}
    settings: Mapping[str, str] = {}
    file: str = SCRAPYD_CONF
    """The one that says when it runs."""

    @property
    def when(self) -> str:
        """The times as written in the section."""
        if self.budget:
            return f"budget {self.budget}"
        return f"cron {self.cron} {self.timezone}" if self.cron else f"every {self._short_every()}"

    @property
    def said(self) -> str:
        """The times as people say them: ``every 3 min`` for ``every 3m``."""
        if self.budget:
            is_auto = self.budget == AUTO
            calls = "the month's calls" if is_auto else f"{int(self.budget):,} calls a month"
            other = readable_seconds(self.every.total_seconds()) if self.every else ""
            return f"as often as {calls} allow" + (
                f" (every {other} if unlimited)" if other else ""
            )
        if self.cron:
            return f"at {self.cron} (cron), {self.timezone} time"
        every = self._short_every()
        return f"every {every[:-1]} {every[-1].replace('m', 'min')}"

    @property
    def period(self) -> timedelta:
        """The current interval between two runs."""
        if self.budget:
            return _BUDGET_PERIOD
        if self.every:
            return self.every
        first = self._next_cron_time(datetime.now(UTC))
        return self._next_cron_time(first) - first

    def _short_every(self) -> str:
        assert self.every
        for letter, unit in reversed(UNITS.items()):
            if not self.every % timedelta(**{unit: 1}):
                return f"{self.every // timedelta(**{unit: 1})}{letter}"
        return str(self.every)

    def first_time(self, now: datetime) -> datetime:
        """An interval begins at once; a cron expression waits for its time."""
        return now if self.every else self._next_cron_time(now)

    def next_time(self, due: datetime, now: datetime) -> datetime:
        """The next time after one that was due; missed ones are skipped."""
        if not self.every:
            return self._next_cron_time(now)
        missed = (now - due) // self.every
        return due + (max(missed, 0) + 1) * self.every

    def times_after(self, moment: datetime) -> Iterator[datetime]:
        """All due times after a moment."""
        while True:
            moment = moment + self.period if self.every else self._next_cron_time(moment)
            yield moment

    def is_too_late(self, due: datetime, now: datetime) -> bool:
        """Whether another time comes first, because the clock was set back.

        A cron time that comes again within the hour was just run, and the clock corrected.
        """
        if self.every:
            return due - now > self.every
        first = self._next_cron_time(now)
        again = self._next_cron_time(first) if first - now <= _CORRECTED else first
        return due > again

    def _next_cron_time(self, now: datetime) -> datetime:
        assert self.cron
        # As in Debian's cron: when clocks change, nothing runs twice and nothing is lost.
        return next(CronSim(self.cron, now.astimezone(self.timezone))).astimezone(UTC)


_NAME = re.compile(r"[\w.-]+")
_EVERY = re.compile(r"(\d+)([smhd])")
OPTIONS = ("spider", "project", "every", "cron", "timezone", "budget", "overlap", "enabled")
_OVERLAPS = ("skip", "wait")
_YES, _NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
# The time between two crawls with a budget, if no calls are counted.
_UNCOUNTED = timedelta(minutes=3)
# A schedule with a budget chooses the pages itself.
_WITH_BUDGET = {"vs_currency"}


def read_schedules(
    sections: Mapping[str, Mapping[str, str]], files: Mapping[str, str] | None = None
) -> list[Schedule]:
    """The schedules of a configuration's sections; ``files`` are those that say when each runs.

    Raises :exc:`ConfigurationError` with the section's name and what is wrong with it.
    """
    return [
        _read(section.removeprefix(SCHEDULE), options)._replace(
            file=(files or {}).get(section, SCRAPYD_CONF)
        )
        for section, options in sections.items()
        if section.startswith(SCHEDULE)
    ]


def _read(name: str, options: Mapping[str, str]) -> Schedule:
    try:
        return _schedule(name, options)
    except ValueError as error:
        raise ConfigurationError(f"[{SCHEDULE}{name}]: {error}") from None


def _schedule(name: str, options: Mapping[str, str]) -> Schedule:
    if not _NAME.fullmatch(name):
        raise ValueError("its name is one of letters, digits, '_', '-' and '.'")
    own, arguments, settings = {}, {}, {}
    for option, value in options.items():
        if option.startswith("argument."):
            arguments[option.removeprefix("argument.")] = value
        elif option.startswith("setting."):
            # configparser makes all options lower case; settings are upper case.
            settings[option.removeprefix("setting.").upper()] = value
        else:
            own[option] = value
    if unknown := own.keys() - set(OPTIONS):
        allowed = ", ".join((*OPTIONS, "argument.NAME", "setting.NAME"))
        raise ValueError(f"unknown {', '.join(sorted(unknown))}: allowed are {allowed}")
    if not own.get("spider"):
        raise ValueError("spider is missing: the name of a spider")
    _check_times(own)
    if "budget" in own and (others := arguments.keys() - _WITH_BUDGET):
        raise ValueError(
            f"budget reads all coins in parts: it takes no argument.{min(others)}, only"
            " argument.vs_currency"
        )
    return Schedule(
        name=name,
        spider=own["spider"],
        project=own.get("project", PROJECT),
        every=_every(own["every"]) if "every" in own else _UNCOUNTED if "budget" in own else None,
        budget=_budget(own["budget"]) if "budget" in own else None,
        cron=_cron(own["cron"]) if "cron" in own else None,
        timezone=_timezone(own.get("timezone", "UTC")),
        overlap=_one_of("overlap", own.get("overlap", "skip"), _OVERLAPS),
        enabled=_one_of("enabled", own.get("enabled", "yes").lower(), (*_YES, *_NO)) in _YES,
        arguments=arguments,
        settings=settings,
    )


def _check_times(own: Mapping[str, str]) -> None:
    """Exactly one way to give the times; ``every`` with ``budget`` is for plans without credits."""
    if "budget" not in own:
        if ("every" in own) == ("cron" in own):
            raise ValueError("give either every = 3m or cron = */3 * * * *, or budget = auto")
    elif "cron" in own:
        raise ValueError("give either budget or cron")
    elif own["spider"] != "coins":
        raise ValueError("budget is for the spider coins")


def _every(text: str) -> timedelta:
    match = _EVERY.fullmatch(text)
    if not match or not int(match[1]):
        raise ValueError(f"every = {text}: a number from 1 with s, m, h or d, such as 3m")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def _budget(text: str) -> str:
    if text != AUTO and not (text.isascii() and text.isdecimal() and int(text)):
        raise ValueError(f"budget = {text}: auto, or a number of calls a month from 1")
    return text


def _cron(text: str) -> str:
    if len(text.split()) != 5:
        raise ValueError(f"cron = {text}: five fields, such as */3 * * * *")
    try:
        next(CronSim(text, datetime.now(UTC)))
    except CronSimError as error:
        raise ValueError(f"cron = {text}: {error}") from None
    except StopIteration:
        raise ValueError(f"cron = {text}: that day never comes") from None
    return text


def _timezone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"timezone = {name}: not one such as UTC or Europe/Berlin") from None


def _one_of(option: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise ValueError(f"{option} = {value}: one of {', '.join(allowed)}")
    return value


def check_schedules(config: Config, schedules: Iterable[Schedule]) -> None:
    """Raises :exc:`ConfigurationError` with the section's name. Disabled ones are checked too."""
    for schedule in schedules:
        try:
            check_project(config, schedule.project)
            check_spider(schedule.project, schedule.spider)
            check_spider_arguments(schedule.project, schedule.spider, schedule.arguments)
        except ConfigurationError as error:
            raise ConfigurationError(f"[{SCHEDULE}{schedule.name}]: {error}") from None
