"""What is to be known of the schedules after a restart of scrapyd, beside its queues."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_CREATE = """
CREATE TABLE IF NOT EXISTS schedule (
    name text PRIMARY KEY, definition text, next_time text, last_time text, last_job text,
    run_count integer, skipped_count integer, paused integer
)
"""
_READ = """
SELECT definition, next_time, last_time, last_job, run_count, skipped_count, paused
FROM schedule WHERE name = ?
"""
_WRITE = "INSERT OR REPLACE INTO schedule VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass
class ScheduleState:
    """Where a schedule stands; times are UTC."""

    definition: str
    next_time: datetime
    last_time: datetime | None = None
    last_job: str | None = None
    run_count: int = 0
    skipped_count: int = 0
    paused: bool = False


class ScheduleStates:
    """A table of an SQLite file."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path)
        self.connection.execute(_CREATE)

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
            name, state.definition, state.next_time.isoformat(), last, state.last_job,
            state.run_count, state.skipped_count, state.paused,
        )  # fmt: skip
        with self.connection:
            self.connection.execute(_WRITE, values)

    def close(self) -> None:
        self.connection.close()
