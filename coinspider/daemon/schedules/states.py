"""What is remembered of the schedules: the table ``fleet_schedule``, for all nodes."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import psycopg
from twisted.logger import Logger, LogLevel

from coinspider.daemon import database
from coinspider.daemon.nodes import Node
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.store.schema import FLEET_SCHEDULE

log = Logger()
REFRESH = 1.0  # seconds
_FIELDS = "definition, next_time, last_time, last_job, run_count, skipped_count, paused"
_READ = f"SELECT name, {_FIELDS} FROM {FLEET_SCHEDULE.sound} WHERE name = ANY(%s)"  # noqa: S608
_BEGIN = """
INSERT INTO fleet_schedule (name, definition, next_time) VALUES (%s, %s, %s)
ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, next_time = excluded.next_time
WHERE fleet_schedule.definition <> excluded.definition
"""
# An interval begins when scrapyd does, unless other nodes go on with it.
_BEGIN_AGAIN = """
UPDATE fleet_schedule SET next_time = %s
WHERE name = %s AND NOT EXISTS (SELECT FROM fleet_node WHERE name <> %s)
"""
_WRITE = """
UPDATE fleet_schedule SET last_time = %s, last_job = %s, run_count = %s, skipped_count = %s
WHERE name = %s
"""
# Of the nodes that see the same due time, one advances it and runs the job.
_CLAIM = f"""
UPDATE fleet_schedule SET next_time = %s
WHERE name = %s AND ({FLEET_SCHEDULE.columns["next_time"].sound("next_time")}, paused) = (%s, %s)
"""  # noqa: S608
_PAUSE = "UPDATE fleet_schedule SET paused = %s WHERE name = %s"
_TAKE_OVER = f"""
INSERT INTO fleet_schedule (name, {_FIELDS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s::int::boolean)
ON CONFLICT (name) DO NOTHING
"""  # noqa: S608
_EARLIER = f"SELECT name, {_FIELDS} FROM schedule"  # noqa: S608


AddJob = Callable[[psycopg.Connection], None]
"""Adds a job to the queue, as a part of a transaction."""


@dataclass(frozen=True)
class ScheduleState:
    """The state of a schedule; times are UTC."""

    definition: str
    next_time: datetime
    last_time: datetime | None = None
    last_job: str | None = None
    run_count: int = 0
    skipped_count: int = 0
    paused: bool = False


class ScheduleStates:
    """The states of the schedules, shared by all nodes.

    The server's clock counts, so the nodes' clocks may differ by minutes. :meth:`read` is for a
    thread; the others change a single row each.
    """

    def __init__(self, node: Node, earlier: Path):
        self.node, self.earlier = node, earlier
        self.read_at = -REFRESH
        self.offset = timedelta(0)
        self.has_begun = False

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def is_due(self) -> bool:
        """Whether the states may have changed since they were read."""
        return self.node.is_open and monotonic() - self.read_at >= REFRESH

    def read(self, schedules: Mapping[str, Schedule]) -> dict[str, ScheduleState]:
        """The states, with the changes of other nodes."""
        self.read_at = monotonic()
        if not self.has_begun:
            self._take_over()
        with database.brief_transaction() as connection:
            self._read_clock(connection)
            if not self.has_begun:
                self._begin(connection, schedules.values())
            rows = connection.execute(_READ, [list(schedules)]).fetchall()
        self.has_begun = True
        return {name: ScheduleState(*fields) for name, *fields in rows}

    def _begin(self, connection: psycopg.Connection, schedules: Iterable[Schedule]) -> None:
        """Add those that are new, and change those that are defined differently now."""
        now = self.now()
        for schedule in schedules:
            first = schedule.first_time(now)
            connection.execute(_BEGIN, [schedule.name, schedule.when, first])
            if schedule.every and not schedule.budget:
                connection.execute(_BEGIN_AGAIN, [first, schedule.name, self.node.name])

    def claim(
        self, name: str, state: ScheduleState, changed: ScheduleState, queue: AddJob | None = None
    ) -> bool:
        """Advance a due time, and ``queue`` its run. ``False`` if another node has already done so,
        or paused it.

        All is done or nothing: a run that can't be queued stays due.
        """
        with database.brief_transaction() as connection:
            values = [changed.next_time, name, state.next_time, state.paused]
            claimed = connection.execute(_CLAIM, values).rowcount == 1
            if claimed:
                self._write(connection, name, changed, queue)
        if not claimed:
            self.read_at = -REFRESH
        return claimed

    def write(self, name: str, changed: ScheduleState, queue: AddJob) -> None:
        """``queue`` a run that is not due, and store its state."""
        with database.brief_transaction() as connection:
            self._write(connection, name, changed, queue)

    @staticmethod
    def _write(
        connection: psycopg.Connection, name: str, changed: ScheduleState, queue: AddJob | None
    ) -> None:
        counts = [changed.run_count, changed.skipped_count]
        connection.execute(_WRITE, [changed.last_time, changed.last_job, *counts, name])
        if queue:
            queue(connection)

    def write_paused(self, name: str, paused: bool) -> None:
        with database.brief_transaction() as connection:
            connection.execute(_PAUSE, [paused, name])

    def _read_clock(self, connection: psycopg.Connection) -> None:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row
        self.offset = row[0] - datetime.now(UTC)

    def _take_over(self) -> None:
        """What scrapyd 0.2 kept in an SQLite file: which schedules are paused, and the counts."""
        if not self.earlier.exists():
            return
        try:
            with closing(sqlite3.connect(self.earlier)) as file:
                rows = file.execute(_EARLIER).fetchall()
            with database.connection() as connection:
                connection.cursor().executemany(_TAKE_OVER, rows)
        except (sqlite3.Error, psycopg.DataError) as error:
            log.emit(
                LogLevel.warn, "{file} is not taken over: {why}", file=str(self.earlier), why=error
            )
        self.earlier.rename(self.earlier.with_suffix(".db.taken_over"))
