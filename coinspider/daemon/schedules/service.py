"""Runs the schedules inside scrapyd, as jobs of its queue."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import psycopg
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from coinspider.daemon.jobs import has_ended
from coinspider.daemon.launcher import launcher
from coinspider.daemon.nodes import DATABASE_ERRORS, repeating
from coinspider.daemon.protocols import Answer, Application, poller, scheduler, service_of
from coinspider.daemon.schedules.budget import PlannedRun
from coinspider.daemon.schedules.budget_facts import read_next_run
from coinspider.daemon.schedules.forecast import Forecasts
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.daemon.schedules.states import ScheduleState, ScheduleStates
from coinspider.secrets import masked_arguments
from coinspider.store.connection import one_line

log = Logger()
TICK = 0.25  # seconds
NAME = "schedules"
# How long no other scrapyd begins a run with the same budget.
CLAIMED = timedelta(seconds=5)
# Crawls by hand and those on other machines spend the same calls.
LOOKED_UP_EVERY = timedelta(minutes=1)
LOOKED_AT_EVERY = timedelta(seconds=2)  # whether a run has ended


class BudgetRuns:
    """Knows what is due next, at most a minute old; nothing while that is looked up.

    During a run nothing is looked up, because what it reads decides what comes next.
    """

    def __init__(self) -> None:
        self.found: dict[str, PlannedRun] = {}
        self.looked_up_at: dict[str, datetime] = {}
        self.last_time: dict[str, datetime | None] = {}

    def next(
        self,
        schedule: Schedule,
        running: Sequence[Schedule],
        state: ScheduleState,
        now: datetime,
        is_active: Callable[[Schedule], object],
    ) -> PlannedRun | None:
        """``running`` are all schedules with a budget that are active."""
        name = schedule.name
        if self.last_time.get(name) != state.last_time:  # another node has begun a run
            self.forget(name)
        looked_up_at = self.looked_up_at.get(name)
        if looked_up_at is None or abs(now - looked_up_at) >= LOOKED_UP_EVERY:
            self.last_time[name] = state.last_time
            if is_active(schedule):
                self.forget(name)
                self.looked_up_at[name] = now - LOOKED_UP_EVERY + LOOKED_AT_EVERY
                return None
            self.looked_up_at[name] = now
            looking = deferToThread(read_next_run, schedule, running, state.last_time)
            looking.addCallbacks(self._keep, self._failed, (name, state.last_time), {}, (name,))
        return self.found.get(name)

    def forget(self, name: str) -> None:
        """A run has begun or is going on: what follows must be looked up again."""
        self.found.pop(name, None)
        self.looked_up_at.pop(name, None)

    def _keep(self, run: PlannedRun, name: str, last_time: datetime | None) -> None:
        if self.last_time.get(name) == last_time:
            self.found[name] = run

    def _failed(self, failure: Failure, name: str) -> None:
        self.found.pop(name, None)
        log.emit(
            LogLevel.warn,
            "Schedule {name}: what is left can't be looked up: {reason}",
            name=name,
            reason=failure.getErrorMessage(),
        )


class ScheduleService(Service):
    """Schedules the job of each schedule when its time has come.

    One run makes up for all that were missed while scrapyd was down or the machine asleep.
    """

    name = NAME

    def __init__(self, app: Application, schedules: Iterable[Schedule], states: ScheduleStates):
        self.app, self.states, self.now = app, states, states.now
        self.schedules = {schedule.name: schedule for schedule in schedules}
        # Until the database has answered, each is as if it were new.
        self.state = {
            name: ScheduleState(schedule.when, schedule.first_time(self.now()))
            for name, schedule in self.schedules.items()
        }
        self.is_known = False
        self.budgets = BudgetRuns()
        self.forecasts = Forecasts(self.schedules, self.active)
        self.ticking = repeating("look at the schedules", self.tick)

    def startService(self) -> None:
        super().startService()
        self.ticking.start(TICK)
        self.forecasts.start()

    def stopService(self) -> None:
        super().stopService()
        self.ticking.stop()
        self.forecasts.stop()

    def tick(self) -> Deferred[None] | None:
        """Nothing begins while the states can't be read."""
        if self.states.is_due():
            reading = deferToThread(self.states.read, self.schedules)
            return reading.addCallback(self._keep).addErrback(self._not_read)
        if self.is_known:
            self._look_at_all()
        return None

    def _keep(self, found: Mapping[str, ScheduleState]) -> None:
        self.state |= found
        self.is_known = True
        self._look_at_all()

    def _not_read(self, failure: Failure) -> None:
        self.is_known = False
        if not failure.check(*DATABASE_ERRORS):  # of which the heartbeat tells
            log.failure("The states of the schedules can't be read", failure)

    def _look_at_all(self) -> None:
        for name, schedule in self.schedules.items():
            try:
                self._look_at(schedule, self.state[name])
            except DATABASE_ERRORS as error:
                self.is_known = False
                log.emit(
                    LogLevel.warn,
                    "Schedule {name}: what is due can't begin yet: {reason}",
                    name=name,
                    reason=one_line(error),
                )
            except Exception:
                log.failure("Schedule {name}", name=name)

    def _look_at(self, schedule: Schedule, state: ScheduleState) -> None:
        now = self.now()
        if schedule.budget:
            self._look_at_budget(schedule, state, now)
            return
        if schedule.is_too_late(state.next_time, now):
            self._claim(schedule, replace(state, next_time=schedule.next_time(now, now)))
            state = self.state[schedule.name]
        if not schedule.enabled or state.next_time > now:
            return
        active = self.active_job(schedule)
        if active and schedule.overlap == "wait" and not state.paused:
            return
        following = replace(state, next_time=schedule.next_time(state.next_time, now))
        if state.paused:
            self._claim(schedule, following)
        elif not active:
            self._claim(schedule, self._with_run(schedule, following), {})
        elif self._claim(schedule, replace(following, skipped_count=state.skipped_count + 1)):
            log.emit(
                LogLevel.warn,
                "Schedule {name}: the run of {due} is skipped, as job {job} is still {word}",
                name=schedule.name,
                due=state.next_time.isoformat(timespec="seconds"),
                job=state.last_job,
                word=active,
            )

    def _look_at_budget(self, schedule: Schedule, state: ScheduleState, now: datetime) -> None:
        """A run that is due waits for the end of the last one."""
        if not schedule.enabled or state.paused:
            return
        run = self.budgets.next(schedule, self.budgeted(), state, now, self.active_job)
        # Another node may just have begun one that is not in the database yet.
        if run is None or run.at > now or now < state.next_time <= now + CLAIMED:
            return
        if self.active_job(schedule):
            self.budgets.forget(schedule.name)
            return
        self.budgets.forget(schedule.name)
        claimed = self._with_run(schedule, replace(state, next_time=now + CLAIMED))
        self._claim(schedule, claimed, run.part.arguments())

    def next_time(self, schedule: Schedule) -> datetime | None:
        """When the next run is due; ``None`` if that is being looked up."""
        if schedule.budget:
            run = self.budgets.found.get(schedule.name)
            return run.at if run else None
        return self.state[schedule.name].next_time

    def budgeted(self) -> list[Schedule]:
        """The active schedules with a budget, which share what is left."""
        return [one for one in self.active() if one.budget]

    def active(self) -> list[Schedule]:
        """The active schedules."""
        return [one for one in self.schedules.values() if self.runs(one)]

    def next_part(self, schedule: Schedule) -> str | None:
        """Which pages a schedule with a budget reads next."""
        run = self.budgets.found.get(schedule.name)
        return str(run.part) if run else None

    def warning(self, schedule: Schedule) -> str | None:
        """One line about a schedule whose calls do not suffice."""
        return self.forecasts.warning(schedule, self.now())

    def active_job(self, schedule: Schedule) -> str | None:
        """Whether its last job is ``pending`` or ``running``; ``None`` if it has ended."""
        job = self.state[schedule.name].last_job
        try:
            if job and self._waits(schedule.project, job):
                return "pending"
        except DATABASE_ERRORS:
            pass  # what runs here is known nevertheless
        return "running" if job and job in launcher(self.app).running_jobs() else None

    def _waits(self, project: str, job: str) -> bool:
        """Whether it is in the queue, and its crawl has not ended.

        A node that was killed, or stopped when the crawl had just ended, may have left it there.
        """
        queue = poller(self.app).queues.get(project)
        if queue is None or not any(message["_job"] == job for message in queue.list()):
            return False
        return not has_ended(job)

    def runs(self, schedule: Schedule) -> bool:
        """Whether it is active, that is, neither disabled nor paused."""
        return schedule.enabled and not self.state[schedule.name].paused

    def run_now(self, schedule: Schedule) -> str:
        """Schedule its job at once, and return the job's id."""
        state = self._with_run(schedule, self.state[schedule.name])
        self.states.write(schedule.name, state, partial(self._queue, schedule, state, {}))
        self.state[schedule.name] = state
        poller(self.app).poll()
        return str(state.last_job)

    def pause(self, schedule: Schedule, paused: bool) -> None:
        self.states.write_paused(schedule.name, paused)
        self.state[schedule.name] = replace(self.state[schedule.name], paused=paused)

    def _with_run(self, schedule: Schedule, state: ScheduleState) -> ScheduleState:
        """The state once a run has begun now."""
        now = self.now()
        job = f"{schedule.name}.{now:%Y%m%dT%H%M%S.%f}"[:-3]
        return replace(state, last_job=job, last_time=now, run_count=state.run_count + 1)

    def _claim(
        self, schedule: Schedule, state: ScheduleState, part: Mapping[str, str] | None = None
    ) -> bool:
        """Advance a due time; with a ``part`` its run, which reads that, is queued as well."""
        queue = None if part is None else partial(self._queue, schedule, state, part)
        if not self.states.claim(schedule.name, self.state[schedule.name], state, queue):
            return False
        self.state[schedule.name] = state
        if queue:  # otherwise it would wait for the next poll_interval
            poller(self.app).poll()
        return True

    def _queue(
        self,
        schedule: Schedule,
        state: ScheduleState,
        part: Mapping[str, str],
        within: psycopg.Connection,
    ) -> None:
        if schedule.project not in scheduler(self.app).list_projects():
            log.error(
                "Schedule {name}: there is no project {project} any more",
                name=schedule.name,
                project=schedule.project,
            )
            return
        scheduler(self.app).schedule(
            schedule.project,
            schedule.spider,
            priority=0.0,
            settings=dict(schedule.settings),
            _job=state.last_job,
            _within=within,
            **{**schedule.arguments, **part},
        )


def schedule_service(app: Application) -> ScheduleService:
    """The service inside this scrapyd."""
    return service_of(app, NAME, ScheduleService)


def describe(service: ScheduleService, name: str) -> Answer:
    """The schedule and the history of its runs; times are text in UTC."""
    schedule, state = service.schedules[name], service.state[name]
    going = schedule.enabled and not state.paused
    return {
        "name": name,
        "project": schedule.project,
        "spider": schedule.spider,
        "args": masked_arguments(schedule.arguments),
        "settings": masked_arguments(schedule.settings),
        "when": schedule.when,
        "file": schedule.file,
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
