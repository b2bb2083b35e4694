"""The table ``fleet_schedule``: the state of each schedule, for all nodes."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import psycopg
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from coinspider.daemon import database
from coinspider.daemon.schedules.state import ScheduleState

REFRESH = 1.0  # seconds
_FIELDS = "definition, next_time, last_time, last_job, run_count, skipped_count, paused"
_READ = f"SELECT name, {_FIELDS} FROM fleet_schedule WHERE name = ANY(%s)"  # noqa: S608
_BEGIN = """
INSERT INTO fleet_schedule (name, definition, next_time) VALUES (%s, %s, %s)
ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, next_time = excluded.next_time
WHERE fleet_schedule.definition <> excluded.definition
"""
# Of the nodes that see the same due time, one advances it and runs the job.
_CLAIM = """
UPDATE fleet_schedule SET next_time = %s WHERE name = %s AND next_time = %s AND paused = %s
"""
_WRITE = """
UPDATE fleet_schedule SET last_time = %s, last_job = %s, run_count = %s, skipped_count = %s
WHERE name = %s
"""
_PAUSE = "UPDATE fleet_schedule SET paused = %s WHERE name = %s"


class FleetScheduleStates:
    """Like :class:`~coinspider.daemon.schedules.state.ScheduleStates`, shared by all nodes.

    The server's clock counts, so the nodes' clocks may differ by minutes.
    """

    shared = True
    node: str | None = None

    def __init__(self) -> None:
        self.read_at = -REFRESH
        self.offset = timedelta(0)
        with database.connection() as connection:
            self._read_clock(connection)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def begin(self, name: str, first: ScheduleState) -> ScheduleState:
        """The state of a schedule; ``first`` for one that is new, or defined differently now."""
        with database.brief_transaction() as connection:
            connection.execute(_BEGIN, [name, first.definition, first.next_time])
            return self._read(connection, [name]).get(name, first)

    def refresh(self, states: Mapping[str, ScheduleState]) -> Deferred[None] | None:
        """Update the states with the changes of other nodes, at most once a second, in a thread.

        A database that does not answer must not hold up the rest of scrapyd.
        """
        if monotonic() - self.read_at < REFRESH:
            return None
        self.read_at = monotonic()
        read: Deferred[Any] = deferToThread(self._read_all, list(states))
        return read.addCallback(self._keep, states)

    def _read_all(self, names: list[str]) -> dict[str, ScheduleState]:
        with database.connection() as connection:
            self._read_clock(connection)
            return self._read(connection, names)

    def _keep(
        self, found: Mapping[str, ScheduleState], states: Mapping[str, ScheduleState]
    ) -> None:
        for name, state in found.items():
            vars(states[name]).update(vars(state))

    def claim(self, name: str, state: ScheduleState, next_time: datetime) -> bool:
        """Advance a due time. ``False`` if another node has already done so, or paused it."""
        with database.brief_transaction() as connection:
            values = [next_time, name, state.next_time, state.paused]
            claimed = connection.execute(_CLAIM, values).rowcount == 1
        if claimed:
            state.next_time = next_time
        else:
            self.read_at = -REFRESH
        return claimed

    def write(self, name: str, state: ScheduleState) -> None:
        counts = [state.run_count, state.skipped_count]
        with database.brief_transaction() as connection:
            connection.execute(_WRITE, [state.last_time, state.last_job, *counts, name])

    def write_paused(self, name: str, state: ScheduleState) -> None:
        with database.brief_transaction() as connection:
            connection.execute(_PAUSE, [state.paused, name])

    def close(self) -> None:
        """Nothing to do: nothing is kept open."""

    def _read(
        self, connection: psycopg.Connection, names: Iterable[str]
    ) -> dict[str, ScheduleState]:
        rows = connection.execute(_READ, [list(names)]).fetchall()
        return {name: ScheduleState(*fields) for name, *fields in rows}

    def _read_clock(self, connection: psycopg.Connection) -> None:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row
        self.offset = row[0] - datetime.now(UTC)
