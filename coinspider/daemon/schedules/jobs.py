"""The jobs of schedules in scrapyd's queue."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scrapyd.interfaces import IPoller, ISpiderScheduler
from twisted.application.service import IServiceCollection

from coinspider.daemon.schedules.schedule import Schedule


def service_named(name: str, app: Any) -> Any:
    collection: Any = IServiceCollection(app)
    return collection.getServiceNamed(name)


def job_state(app: Any, project: str, job: str | None) -> str | None:
    """``pending`` or ``running``; ``None`` if it has ended, or was never there."""
    queue = app.getComponent(IPoller).queues.get(project)
    if queue and any(message["_job"] == job for message in queue.list()):
        return "pending"
    return "running" if job in service_named("launcher", app).running_jobs() else None


def add_job(
    app: Any,
    schedule: Schedule,
    now: datetime,
    settings: Mapping[str, str],
    part: Mapping[str, str],
) -> str:
    """Add a run to the queue, and return the job's id.

    ``settings`` and the arguments in ``part`` are added to those of the schedule.
    """
    job = f"{schedule.name}.{now:%Y%m%dT%H%M%S.%f}"[:-3]
    app.getComponent(ISpiderScheduler).schedule(
        schedule.project, schedule.spider, priority=0.0,
        settings={**settings, **schedule.settings}, _job=job,
        **{**schedule.arguments, **part},
    )  # fmt: skip
    # Otherwise it would wait for the next poll_interval.
    app.getComponent(IPoller).poll()
    return job
