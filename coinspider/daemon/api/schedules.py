"""The schedules over HTTP, and scrapyd's ``schedule.json`` with checks of its arguments."""

import re
from typing import Any

from scrapyd import webservice
from scrapyd.webservice import WsResource, param

from coinspider.daemon.api.job_arguments import check_arguments, check_settings, request_error
from coinspider.daemon.schedules.service import ScheduleService, describe, schedule_service

_OWN = ("project", "spider", "_version", "priority")
PENDING_MAX = 1000
_JOB = re.compile(r"[\w.:-]{1,200}")


class Schedule(webservice.Schedule):
    """scrapyd's own, limited to arguments that the spider takes and to allowed settings.

    A setting could make a crawl write any file, or read from any address.
    """

    def render_POST(self, txrequest: Any) -> Any:
        sent = {
            name.decode("utf-8", "replace"): [value.decode("utf-8", "replace") for value in values]
            for name, values in txrequest.args.items()
        }
        settings, [job] = sent.pop("setting", []), sent.pop("jobid", ["job"])[:1]
        if not _JOB.fullmatch(job):
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


class Schedules(_ScheduleResource):
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
