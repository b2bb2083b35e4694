"""What scrapyd must remember about the schedules across restarts."""

import socket
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from twisted.internet.defer import Deferred

_CREATE = """
CREATE TABLE IF NOT EXISTS schedule (
    name text PRIMARY KEY, definition text, next_time text, last_time text, last_job text,
    run_count integer, skipped_count integer, paused integer
)
"""
_CREATE_NODE = "CREATE TABLE IF NOT EXISTS node (name text)"
_NAME_NODE = "INSERT INTO node SELECT ? WHERE NOT EXISTS (SELECT 1 FROM node)"
_READ_NODE = "SELECT name FROM node"
_READ = """
SELECT definition, next_time, last_time, last_job, run_count, skipped_count, paused
FROM schedule WHERE name = ?
"""
_WRITE = "INSERT OR REPLACE INTO schedule VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass
class ScheduleState:
    """The state of a schedule; times are UTC."""

    definition: str
    next_time: datetime
    last_time: datetime | None = None
    last_job: str | None = None
    run_count: int = 0
    skipped_count: int = 0
    paused: bool = False


class ScheduleStore(Protocol):
    """Keeps the states of the schedules, for one scrapyd or several."""

    shared: bool
    """Whether other processes also write them."""

    node: str | None
    """The name of the scrapyd that it belongs to, if it is not shared."""

    def now(self) -> datetime: ...

    def begin(self, name: str, first: ScheduleState) -> ScheduleState:
        """The stored state; ``first`` for a schedule that is new or was changed."""
        ...

    def refresh(self, states: Mapping[str, ScheduleState]) -> Deferred[None] | None:
        """Update the states with the changes of other processes."""
        ...

    def claim(self, name: str, state: ScheduleState, next_time: datetime) -> bool:
        """Advance a due time. ``False`` if another process has already done so, or paused it."""
        ...

    def write(self, name: str, state: ScheduleState) -> None: ...

    def write_paused(self, name: str, state: ScheduleState) -> None: ...

    def close(self) -> None: ...


class ScheduleStates:
    """A table of an SQLite file, which this process alone writes."""

    shared = False

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path)
        self.connection.execute(_CREATE)
        self.node: str | None = self._node()

    def _node(self) -> str:
        """It survives restarts, and differs from that of any other scrapyd."""
        new = f"{socket.gethostname()}-{uuid4().hex[:8]}"
        with self.connection:
            self.connection.execute(_CREATE_NODE)
            self.connection.execute(_NAME_NODE, [new])
        name: str = self.connection.execute(_READ_NODE).fetchone()[0]
        return name

    def now(self) -> datetime:
        return datetime.now(UTC)

    def begin(self, name: str, first: ScheduleState) -> ScheduleState:
        state = self.read(name)
        if state is None or state.definition != first.definition:
            state = replace(state or first, definition=first.definition, next_time=first.next_time)
        self.write(name, state)
        return state

    def refresh(self, states: Mapping[str, ScheduleState]) -> None:
        """They are always up to date."""

    def claim(self, name: str, state: ScheduleState, next_time: datetime) -> bool:
        state.next_time = next_time
        return True

    def read(self, name: str) -> ScheduleState | None:
        row = self.connection.execute(_READ, [name]).fetchone()
        if row is None:
            return None
        definition, next_time, last_time, last_job, run_count, skipped_count, paused = row
        return ScheduleState(
            definition,
            datetime.fromisoformat(next_time),
            datetime.fromisoformat(last_time) if last_time else None,
            last_job,
            run_count,
            skipped_count,
            bool(paused),
        )

    def write(self, name: str, state: ScheduleState) -> None:
        last = state.last_time and state.last_time.isoformat()
        values = (
            name,
            state.definition,
            state.next_time.isoformat(),
            last,
            state.last_job,
            state.run_count,
            state.skipped_count,
            state.paused,
        )
        with self.connection:
            self.connection.execute(_WRITE, values)

    write_paused = write

    def close(self) -> None:
        self.connection.close()
