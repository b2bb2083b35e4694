"""A schedule as it is shown over HTTP, in JSON and on a page."""

from datetime import datetime
from typing import Any

from coinspider.daemon.schedules.service import ScheduleService


def describe(service: ScheduleService, name: str) -> dict[str, Any]:
    """The schedule and the history of its runs; times are text in UTC."""
    schedule, state = service.schedules[name], service.state[name]
    going = schedule.enabled and not state.paused
    return {
        "name": name,
        "project": schedule.project,
        "spider": schedule.spider,
        "args": dict(schedule.arguments),
        "settings": dict(schedule.settings),
        "when": schedule.when,
        "warning": service.warning(schedule),
        "overlap": schedule.overlap,
        "enabled": schedule.enabled,
        "paused": state.paused,
        "next_time": _text(service.next_time(schedule)) if going else None,
        "next_part": service.next_part(schedule) if going else None,
        "last_time": _text(state.last_time),
        "last_job": state.last_job,
        "active": service.active_job(schedule),
        "runs": state.run_count,
        "skipped": state.skipped_count,
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
