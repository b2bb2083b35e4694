"""What a job may bring along by HTTP."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from scrapyd import webservice
from scrapyd.webservice import WsResource, param
from twisted.web import error, http

from coinspider.daemon.configuration import local_configuration
from coinspider.daemon.job_check import ADDRESSES, JOB, check_spider_arguments, names_in
from coinspider.daemon.schedules.service import ScheduleService, describe, schedule_service
from coinspider.errors import ConfigurationError


def check_settings(given: Iterable[str]) -> None:
    """Raise for a setting that ``settings_allowed`` in ``scrapyd.conf`` does not name."""
    allowed = _allowed("settings_allowed")
    for setting in given:
        name = setting.partition("=")[0]
        if "=" not in setting or name not in allowed:
            raise request_error(
                f"setting {name} may not be given by HTTP: settings_allowed in scrapyd.conf"
                f" has {', '.join(sorted(allowed)) or 'none'}"
            )


def may_be_sent(given: Iterable[str]) -> bool:
    """Whether none of these arguments leads a crawl to an address that is not allowed."""
    return not (ADDRESSES.intersection(given) - _allowed("arguments_allowed"))


def check_arguments(project: str, spider: str, given: dict[str, str]) -> None:
    """Raise for an argument that the command line would refuse, or that names an address."""
    if refused := (ADDRESSES & given.keys()) - _allowed("arguments_allowed"):
        raise request_error(
            f"argument {', '.join(refused)} may not be given by HTTP, unless arguments_allowed in"
            " scrapyd.conf names it"
        )
    try:
        check_spider_arguments(project, spider, given)
    except ConfigurationError as problem:
        raise request_error(str(problem)) from None


def request_error(message: str) -> error.Error:
    # As scrapyd tells errors: with the status in the body.
    return error.Error(code=http.OK, message=message.encode())


@cache
def _allowed(option: str) -> frozenset[str]:
    return names_in(local_configuration(), option)


_OWN = ("project", "spider", "_version", "priority")
PENDING_MAX = 1000


class ScheduleJson(webservice.Schedule):
    """scrapyd's own, limited to arguments that the spider takes and to allowed settings.

    A setting could make a crawl write any file, or read from any address.
    """

    def render_POST(self, txrequest: Any) -> Any:
        sent = {
            name.decode("utf-8", "replace"): [value.decode("utf-8", "replace") for value in values]
            for name, values in txrequest.args.items()
        }
        if any("\0" in text for name, values in sent.items() for text in (name, *values)):
            raise request_error("there is a NUL in a parameter, which no process can be given")
        settings, [job] = sent.pop("setting", []), sent.pop("jobid", ["job"])[:1]
        if not JOB.fullmatch(job):
            raise request_error("jobid is of letters, digits, '_', '-', '.' and ':'")
        check_settings(settings)
        self._check_queue()
        project, spider, *_ = (sent.pop(name, [""])[0] for name in _OWN)
        check_arguments(project, spider, {name: values[0] for name, values in sent.items()})
        return super().render_POST(txrequest)

    def _check_queue(self) -> None:
        pending = sum(queue.count() for queue in self.root.poller.queues.values())
        if pending >= PENDING_MAX:
            raise request_error(
                f"{pending} jobs are pending already: cancel some, or try again later"
            )


class _ScheduleResource(WsResource):
    @property
    def service(self) -> ScheduleService:
        return schedule_service(self.root.app)

    def schedule(self, name: str) -> Any:
        try:
            return self.service.schedules[name]
        except KeyError:
            raise request_error(f"schedule '{name}' not found") from None


class SchedulesJson(_ScheduleResource):
    """``GET``: all schedules, with their next and last times (UTC) and how many runs there were."""

    def render_GET(self, txrequest: Any) -> dict[str, Any]:
        return {"schedules": [describe(self.service, name) for name in self.service.schedules]}


class PauseSchedule(_ScheduleResource):
    """``POST schedule=NAME``: no more runs until it is resumed, even after a restart."""

    @param("schedule")
    def render_POST(self, txrequest: Any, schedule: str) -> dict[str, Any]:
        self.service.pause(self.schedule(schedule), True)
        return {"schedule": describe(self.service, schedule)}


class ResumeSchedule(_ScheduleResource):
    """``POST schedule=NAME``: resume, with the next run at its time."""

    @param("schedule")
    def render_POST(self, txrequest: Any, schedule: str) -> dict[str, Any]:
        self.service.pause(self.schedule(schedule), False)
        return {"schedule": describe(self.service, schedule)}


class RunSchedule(_ScheduleResource):
    """``POST schedule=NAME``: an extra run now."""

    @param("schedule")
    def render_POST(self, txrequest: Any, schedule: str) -> dict[str, Any]:
        found = self.schedule(schedule)
        if active := self.service.active_job(found):
            job = self.service.state[schedule].last_job
            raise request_error(f"job {job} of this schedule is {active}")
        return {"jobid": self.service.run_now(found)}
