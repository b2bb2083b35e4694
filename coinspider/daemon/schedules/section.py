"""Reads the sections ``[schedule:NAME]`` of ``scrapyd.conf``."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from coinspider.daemon.job_check import PROJECT
from coinspider.daemon.schedules.schedule import AUTO, UNITS, Schedule
from coinspider.errors import ConfigurationError

SECTION = "schedule:"
_NAME = re.compile(r"[\w.-]+")
_EVERY = re.compile(r"(\d+)([smhd])")
OPTIONS = ("spider", "project", "every", "cron", "timezone", "budget", "overlap", "enabled")
_OVERLAPS = ("skip", "wait")
_BOOLEANS = {"yes": True, "true": True, "on": True, "1": True} | {
    "no": False, "false": False, "off": False, "0": False
}  # fmt: skip
# The time between two crawls with a budget, if no calls are counted.
_UNCOUNTED = timedelta(minutes=3)
# A schedule with a budget chooses the pages itself.
_WITH_BUDGET = {"vs_currency"}


def read_schedules(sections: Mapping[str, Mapping[str, str]]) -> list[Schedule]:
    """The schedules of a configuration's sections.

    Raises :exc:`ConfigurationError` with the section's name and what is wrong with it.
    """
    return [
        _read(section.removeprefix(SECTION), options)
        for section, options in sections.items()
        if section.startswith(SECTION)
    ]


def _read(name: str, options: Mapping[str, str]) -> Schedule:
    try:
        return _schedule(name, options)
    except ValueError as error:
        raise ConfigurationError(f"[{SECTION}{name}]: {error}") from None


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
        enabled=_BOOLEANS[_one_of("enabled", own.get("enabled", "yes").lower(), _BOOLEANS)],
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


def _one_of(option: str, value: str, allowed: object) -> str:
    names = list(allowed)  # type: ignore[call-overload]
    if value not in names:
        raise ValueError(f"{option} = {value}: one of {', '.join(names)}")
    return value
