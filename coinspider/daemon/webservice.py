"""The schedules by HTTP, and scrapyd's ``schedule.json`` with a look at what it is given."""

import re
from datetime import datetime
from functools import cache
from typing import Any

from scrapy.spiderloader import SpiderLoader
from scrapy.utils.project import get_project_settings
from scrapyd import Config, webservice
from scrapyd.webservice import WsResource, param
from twisted.web import error, http

from coinspider.arguments import parse_arguments
from coinspider.daemon.schedule import PROJECT
from coinspider.daemon.schedule_service import NAME, ScheduleService, service_named
from coinspider.failure import ConfigurationError

_JOB = re.compile(r"[\w.:-]{1,200}")
# Arguments that lead a crawl to another address.
_ADDRESSES = frozenset({"url"})


class Schedule(webservice.Schedule):
    """scrapyd's own, for arguments that the spider takes, and for no setting but the allowed ones.

    A setting may make a crawl write any file, or read from any address.
    """

    def render_POST(self, txrequest: Any) -> Any:
        names = ("project", "spider", "_version", "jobid", "priority", "setting")
        given = {
            name.decode(): values[0].decode("utf-8", "replace")
            for name, values in txrequest.args.items()
            if name.decode("utf-8", "replace") not in names
        }
        job = txrequest.args.get(b"jobid", [b"job"])[0].decode("utf-8", "replace")
        if not _JOB.fullmatch(job):
            raise _refusal("jobid is of letters, digits, '_', '-', '.' and ':'")
        check_settings(setting.decode("utf-8", "replace") for setting in
                       txrequest.args.get(b"setting", []))  # fmt: skip
        project, spider = (
            txrequest.args.get(name, [b""])[0].decode("utf-8", "replace")
            for name in (b"project", b"spider")
        )
        check_arguments(project, spider, given)
        return super().render_POST(txrequest)


def check_settings(given: Any) -> None:
    """Raise for a setting that ``settings_allowed`` in ``scrapyd.conf`` does not name."""
    allowed = _allowed("settings_allowed")
    for setting in given:
        name = setting.partition("=")[0]
        if "=" not in setting or name not in allowed:
            raise _refusal(
                f"setting {name} may not be given by HTTP: settings_allowed in scrapyd.conf"
                f" has {', '.join(sorted(allowed)) or 'none'}"
            )


def check_arguments(project: str, spider: str, given: dict[str, str]) -> None:
    """Raise for an argument that the command line would refuse, or that names an address."""
    if refused := (_ADDRESSES & given.keys()) - _allowed("arguments_allowed"):
        raise _refusal(
            f"argument {', '.join(refused)} may not be given by HTTP, unless arguments_allowed in"
            " scrapyd.conf names it"
        )
    spider_class = _spiders().get(spider) if project in (PROJECT, "default") else None
    declaration = getattr(spider_class, "arguments_class", None)
    if declaration:
        try:
            parse_arguments(declaration, given)
        except ConfigurationError as problem:
            raise _refusal(str(problem)) from None
    elif replaced := [name for name in given if hasattr(spider_class, name)]:
        raise _refusal(f"argument {', '.join(replaced)} is no argument of {spider}")


class _ScheduleResource(WsResource):
    @property
    def service(self) -> ScheduleService:
        service = service_named(NAME, self.root.app)
        assert isinstance(service, ScheduleService)
        return service

    def schedule(self, name: str) -> Any:
        try:
            return self.service.schedules[name]
        except KeyError:
            raise _refusal(f"schedule '{name}' not found") from None

    def describe(self, name: str) -> dict[str, Any]:
        schedule, state = self.service.schedules[name], self.service.state[name]
        going = schedule.enabled and not state.paused
        return {
            "name": name,
            "project": schedule.project,
            "spider": schedule.spider,
            "args": dict(schedule.arguments),
            "settings": dict(schedule.settings),
            "when": schedule.when,
            "overlap": schedule.overlap,
            "enabled": schedule.enabled,
            "paused": state.paused,
            "next_time": _text(state.next_time) if going else None,
            "last_time": _text(state.last_time),
            "last_job": state.last_job,
            "active": self.service.active_job(schedule),
            "runs": state.run_count,
            "skipped": state.skipped_count,
        }


class Schedules(_ScheduleResource):
    """``GET``: all schedules, with their next and last times (UTC) and how many runs there were."""

    def render_GET(self, txrequest: Any) -> dict[str, Any]:
        return {"schedules": [self.describe(name) for name in self.service.schedules]}


class PauseSchedule(_ScheduleResource):
    """``POST schedule=NAME``: no more runs, also after a restart, until it is resumed."""

    @param("schedule")
    def render_POST(self, txrequest: Any, schedule: str) -> dict[str, Any]:
        self.service.pause(self.schedule(schedule), True)
        return {"schedule": self.describe(schedule)}


class ResumeSchedule(_ScheduleResource):
    """``POST schedule=NAME``: runs again, the next one at its time."""

    @param("schedule")
    def render_POST(self, txrequest: Any, schedule: str) -> dict[str, Any]:
        self.service.pause(self.schedule(schedule), False)
        return {"schedule": self.describe(schedule)}


class RunSchedule(_ScheduleResource):
    """``POST schedule=NAME``: a run now, beside those at their times."""

    @param("schedule")
    def render_POST(self, txrequest: Any, schedule: str) -> dict[str, Any]:
        found = self.schedule(schedule)
        if active := self.service.active_job(found):
            job = self.service.state[schedule].last_job
            raise _refusal(f"job {job} of this schedule is {active}")
        return {"jobid": self.service.run_now(found)}


@cache
def _spiders() -> dict[str, type]:
    loader = SpiderLoader.from_settings(get_project_settings())
    return {name: loader.load(name) for name in loader.list()}


@cache
def _allowed(option: str) -> frozenset[str]:
    return frozenset(Config().get(option, "").replace(",", " ").split())


def _refusal(message: str) -> error.Error:
    # As scrapyd tells errors: with the status in the body.
    return error.Error(code=http.OK, message=message.encode())


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
