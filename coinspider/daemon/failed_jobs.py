"""Jobs that ended before their row in the table ``crawl`` began, and why.

A wrong argument, no database, a process that could not start: the database knows nothing about
these, so scrapyd keeps them itself, in an SQLite file. Whether a job has a row is checked when they
are shown, because the database may be away when the job ends.
"""

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from coinspider.daemon.database import query

KEPT = 1000
# scrapyd ends, or someone cancels the job, before Scrapy handles the signal.
_STOPPED, _INTERRUPTED = (signal.SIGINT, signal.SIGTERM), 130
_OUTCOMES: dict[int | None, str] = {2: "misconfigured", 3: "skipped", _INTERRUPTED: "interrupted"}
REASON_MAX = 500  # characters
_STDERR_MAX = 20_000  # bytes
_CREATE = """
CREATE TABLE IF NOT EXISTS failed_job (
    job text PRIMARY KEY, spider text, arguments text, started_at text, ended_at text,
    exit_status integer, message text
)
"""
_ADD = "INSERT OR REPLACE INTO failed_job VALUES (?, ?, ?, ?, ?, ?, ?)"
_FORGET = """
DELETE FROM failed_job WHERE job NOT IN (SELECT job FROM failed_job ORDER BY ended_at DESC LIMIT ?)
"""
_NEWEST = "SELECT * FROM failed_job WHERE ? IS NULL OR job = ? ORDER BY ended_at DESC LIMIT ?"
_WITH_ROW = "SELECT job FROM crawl WHERE job = ANY(%s)"


class FailedJob(NamedTuple):
    """``exit_status`` is ``None`` if a signal ended the process."""

    job: str
    spider: str
    arguments: Mapping[str, str]
    started_at: datetime
    ended_at: datetime
    exit_status: int | None
    message: str

    @property
    def outcome(self) -> str:
        return _OUTCOMES.get(self.exit_status, "failed")

    @property
    def seconds(self) -> float:
        return (self.ended_at - self.started_at).total_seconds()

    def as_crawl(self) -> dict[str, Any]:
        """Like a row of ``crawl``, but without an id and figures."""
        return {
            "id": None,
            "spider": self.spider,
            "job": self.job,
            "arguments": dict(self.arguments),
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "seconds": self.seconds,
            "outcome": self.outcome,
            "message": self.message,
            "exit_status": self.exit_status,
        }


class FailedJobs:
    """Those of the newest ``KEPT`` jobs that did not end with status 0; for any thread."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        with self._connection() as connection:
            connection.execute(_CREATE)

    def add(self, job: FailedJob) -> None:
        with self._connection() as connection:
            connection.execute(
                _ADD,
                (
                    job.job,
                    job.spider,
                    json.dumps(dict(job.arguments)),
                    job.started_at.isoformat(),
                    job.ended_at.isoformat(),
                    job.exit_status,
                    job.message,
                ),
            )
            connection.execute(_FORGET, [KEPT])

    def newest(self, limit: int = KEPT, job: str | None = None) -> list[FailedJob]:
        """Jobs that failed, with or without a row in ``crawl``."""
        with self._connection() as connection:
            rows = connection.execute(_NEWEST, [job, job, limit]).fetchall()
        return [
            FailedJob(
                name,
                spider,
                json.loads(arguments),
                datetime.fromisoformat(started),
                datetime.fromisoformat(ended),
                status,
                message,
            )
            for name, spider, arguments, started, ended, status, message in rows
        ]

    def without_row(self, limit: int = KEPT, job: str | None = None) -> list[FailedJob]:
        """Jobs that never began to crawl. Blocks; raises what :func:`query` raises."""
        failed = self.newest(limit, job)
        rows = query(_WITH_ROW, [[job.job for job in failed]]) if failed else []
        begun = {row["job"] for row in rows}
        return [job for job in failed if job.job not in begun]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            yield connection


@dataclass
class JobWatch:
    """Listens to what scrapyd's process protocol of a job receives.

    ``note`` is called at the end of a job with an exit status other than 0.
    """

    process: Any
    arguments: Mapping[str, str]
    note: Callable[[FailedJob], None]

    def __post_init__(self) -> None:
        self.started_at = datetime.now(UTC)
        self.stderr = b""
        self.pass_error_on, self.pass_end_on = self.process.errReceived, self.process.processEnded
        self.process.errReceived, self.process.processEnded = self._error_received, self._ended

    def _error_received(self, data: bytes) -> None:
        self.stderr = (self.stderr + data)[-_STDERR_MAX:]
        self.pass_error_on(data)

    def _ended(self, status: Any) -> None:
        code = status.value.exitCode
        try:
            if code != 0:
                self.note(self._failed_job(code, status.value.signal))
        finally:
            self.pass_end_on(status)

    def _failed_job(self, code: int | None, number: int | None) -> FailedJob:
        process = self.process
        reason = last_words(self.stderr) if number is None else f"signal {number} ended its process"
        if number in _STOPPED:
            code, reason = _INTERRUPTED, "it was told to stop before it began to crawl"
        return FailedJob(
            process.job,
            process.spider,
            self.arguments,
            self.started_at,
            datetime.now(UTC),
            code,
            reason,
        )


def job_arguments(message: Mapping[str, Any]) -> dict[str, str]:
    """The spider's arguments in a message of scrapyd's queue."""
    return {
        name: str(value)
        for name, value in message.items()
        if not name.startswith("_") and name not in ("name", "settings")
    }


def last_words(stderr: bytes) -> str:
    """The last line that a process wrote, which is the reason, also after a traceback."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    line = lines[-1].strip() if lines else "it said nothing: see its log"
    return line.removeprefix("coinspider: ")[:REASON_MAX]
