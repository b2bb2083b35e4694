"""Runs the schedules inside scrapyd, as jobs of its queue."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg
from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, LogLevel

from coinspider.daemon.schedules.budget_runs import BudgetRuns
from coinspider.daemon.schedules.forecast_service import Forecasts
from coinspider.daemon.schedules.jobs import add_job, job_state, service_named
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.daemon.schedules.state import ScheduleState, ScheduleStore
from coinspider.errors import DatabaseUnreachableError

log = Logger()
TICK = 0.25  # seconds
NAME = "schedules"
# How long no other scrapyd begins a run with the same budget.
CLAIMED = timedelta(seconds=5)


class ScheduleService(Service):
    """Schedules the job of each schedule when its time has come.

    One run makes up for all that were missed while scrapyd was down or the machine asleep.
    """

    name = NAME

    def __init__(
        self,
        app: Any,
        schedules: Iterable[Schedule],
        states: ScheduleStore,
        now: Callable[[], datetime] | None = None,
    ):
        self.app, self.states, self.now = app, states, now or states.now
        self.schedules = {schedule.name: schedule for schedule in schedules}
        self.state: dict[str, ScheduleState] = {}
        self.budgets = BudgetRuns()
        self.forecasts = Forecasts(self.schedules, self.active)
        self.is_away = False
        self.ticking: Any = LoopingCall(self.tick)

    def startService(self) -> None:
        super().startService()
        for schedule in self.schedules.values():
            self.state[schedule.name] = self._resume(schedule)
        self.ticking.start(TICK)
        self.forecasts.start()

    def stopService(self) -> None:
        super().stopService()
        self.ticking.stop()
        self.forecasts.stop()
        self.states.close()

    def _resume(self, schedule: Schedule) -> ScheduleState:
        first = schedule.first_time(self.now())
        state = self.states.begin(schedule.name, ScheduleState(schedule.when, first))
        # An interval starts again; a missed time of a cron expression is due now.
        if schedule.every and not self.states.shared:
            state.next_time = first
        return state

    def tick(self) -> Any:
        """Nothing begins while the states can't be read."""
        refreshed = maybeDeferred(self.states.refresh, self.state)
        return refreshed.addCallbacks(self._look_at_all, self._not_refreshed)

    def _not_refreshed(self, failure: Any) -> None:
        if not failure.check(psycopg.Error, DatabaseUnreachableError):
            log.failure("The states of the schedules can't be read", failure)
        elif not self.is_away:
            log.emit(
                LogLevel.warn,
                "No schedule begins, as the database does not answer: {reason}",
                reason=" ".join(str(failure.value).split()),
            )
        self.is_away = True

    def _look_at_all(self, _: object) -> None:
        self.is_away = False
        for name, schedule in self.schedules.items():
            try:
                self._look_at(schedule, self.state[name])
            except Exception:
                log.failure("Schedule {name}", name=name)

    def _look_at(self, schedule: Schedule, state: ScheduleState) -> None:
        now = self.now()
        if schedule.budget:
            self._look_at_budget(schedule, state, now)
            return
        if schedule.is_too_late(state.next_time, now):
            state.next_time = schedule.next_time(now, now)
        if not schedule.enabled or state.next_time > now:
            return
        active = self.active_job(schedule)
        if active and schedule.overlap == "wait" and not state.paused:
            return
        due = state.next_time
        if not self.states.claim(schedule.name, state, schedule.next_time(due, now)):
            return
        if not state.paused and active:
            state.skipped_count += 1
            log.emit(
                LogLevel.warn,
                "Schedule {name}: the run of {due} is skipped, as job {job} is still {word}",
                name=schedule.name, due=due.isoformat(timespec="seconds"),
                job=state.last_job, word=active,
            )  # fmt: skip
        elif not state.paused:
            self._run(schedule, state, self._standby(schedule, now))
        self.states.write(schedule.name, state)

    def _standby(self, schedule: Schedule, now: datetime) -> dict[str, str]:
        """Settings with which the run is skipped if another node has just done the same."""
        if not self.states.node:
            return {}
        period = schedule.shortest_period(now).total_seconds()
        return {"SCHEDULE_NODE": self.states.node, "SCHEDULE_PERIOD": f"{period:g}"}

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
        if self.states.claim(schedule.name, state, now + CLAIMED):
            self._run(schedule, state, {}, run.part.arguments())
            self.states.write(schedule.name, state)

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
        """Whether its last job is ``pending`` or ``running``."""
        return job_state(self.app, schedule.project, self.state[schedule.name].last_job)

    def runs(self, schedule: Schedule) -> bool:
        """Whether it is active, that is, neither disabled nor paused."""
        return schedule.enabled and not self.state[schedule.name].paused

    def run_now(self, schedule: Schedule) -> str:
        """Schedule its job at once, and return the job's id."""
        state = self.state[schedule.name]
        job = self._run(schedule, state, {})
        self.states.write(schedule.name, state)
        return job

    def pause(self, schedule: Schedule, paused: bool) -> None:
        state = self.state[schedule.name]
        state.paused = paused
        self.states.write_paused(schedule.name, state)

    def _run(
        self,
        schedule: Schedule,
        state: ScheduleState,
        settings: Mapping[str, str],
        part: Mapping[str, str] | None = None,
    ) -> str:
        now = self.now()
        state.last_job = add_job(self.app, schedule, now, settings, part or {})
        state.last_time = now
        state.run_count += 1
        return state.last_job


def schedule_service(app: Any) -> ScheduleService:
    """The service inside this scrapyd."""
    service = service_named(NAME, app)
    assert isinstance(service, ScheduleService)
    return service
