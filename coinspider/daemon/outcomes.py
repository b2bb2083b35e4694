"""What became of a job: its row of the table ``crawl`` in words, or why it has none.

A wrong argument, no database, a process that could not start: the table ``crawl`` knows nothing
about these, so scrapyd keeps them itself, in the table ``fleet_failed_job``. Whether a job has a
row is checked when they are shown, because the database may be away when the job ends. A row that
the process left open is closed as soon as its end is known.
"""

import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import NamedTuple, TypedDict, cast

import msgspec
import psycopg
from psycopg.types.json import Jsonb
from twisted.internet.error import ProcessTerminated
from twisted.python.failure import Failure

from coinspider.crawl.outcome import SUM, sum_in_words
from coinspider.crawl.reasons import KINDS, Reason, by_hand, remarks_of, stored_reason
from coinspider.daemon.database import connection, query
from coinspider.daemon.protocols import JobProcess
from coinspider.secrets import masked, masked_arguments
from coinspider.store.crawl import NO_SCHEDULE
from coinspider.store.schema import FLEET_FAILED_JOB
from coinspider.text import counted, visible

BAD = ("failed", "died", "exhausted", "misconfigured")
"""The outcomes that need action."""


class Crawl(TypedDict, total=False):
    """A row of ``crawl``, or a job without one, whose ``id`` is ``None``; and what pages add."""

    id: int | None
    spider: str
    currency: str | None
    job: str | None
    started_at: datetime
    ended_at: datetime
    seconds: float
    outcome: str
    pages: int
    expected_pages: int
    records: int
    message: str | None
    reason: str | None
    reason_figures: msgspec.Raw | dict[str, object] | None
    exit_status: int | None
    arguments: Mapping[str, str]
    schedule: str
    period: float | None
    project: str
    log: str | None
    told: str
    figures: str
    remedy: str
    healed: bool
    late: bool
    sent: Mapping[str, str] | None
    progress: object
    repeat: Mapping[str, str] | None


def told(row: Crawl) -> str:
    """What it says besides outcome and figures: the reason of a failure, remarks.

    A row of 0.2 has no reason, and a running crawl none yet: their message is shown as it is.
    """
    figures = _figures(row)
    reason = stored_reason(row.get("reason"), figures)
    if figures is None or (row.get("reason") and not reason):
        return row.get("message") or ""
    words = [reason.for_people()] if reason and row["reason"] != "interrupted" else []
    return "; ".join([*words, *remarks_of(figures)])


def told_figures(row: Crawl) -> str:
    """``68 pages, 17,000 records, 3 new``; empty if it read no page."""
    if not row.get("pages"):
        return ""
    numbers = cast(Mapping[str, int], row)
    shown = {column: numbers.get(word) or 0 for word, column in SUM.items()}
    records = f"{row['records']:,} record{'' if row['records'] == 1 else 's'}"
    return ", ".join([counted(row["pages"], "page"), records, sum_in_words(shown, ",")])


def remedy(row: Crawl) -> str:
    """One sentence; refers to the log if nothing better is known."""
    if "exit_status" in row:  # it ended before it had a row; a signal gives no exit status
        codes = {None: "killed", 2: "misconfigured", 130: "stopped"}
        return KINDS[codes.get(row["exit_status"], "spider_exception")].remedy
    reason = stored_reason(row.get("reason"), _figures(row))
    text = reason.remedy if reason else "Its log says more."
    return text if row.get("schedule") != NO_SCHEDULE else by_hand(text)


def _figures(row: Crawl) -> dict[str, object] | None:
    """The reason's figures, which a query may have left as JSON text."""
    figures = row.get("reason_figures")
    if isinstance(figures, msgspec.Raw):
        return msgspec.json.decode(figures, type=dict[str, object])
    return figures


KEPT = 1000
# scrapyd ends, or someone cancels the job, before Scrapy handles the signal.
_STOPPED, _INTERRUPTED = (signal.SIGINT, signal.SIGTERM), 130
_OUTCOMES: dict[int | None, str] = {2: "misconfigured", 3: "skipped", _INTERRUPTED: "interrupted"}
REASON_MAX = 500  # characters
_STDERR_MAX = 20_000  # bytes
_FIELDS = "job, spider, arguments, started_at, ended_at, exit_status, message"
_ADD = f"""
INSERT INTO fleet_failed_job ({_FIELDS}) VALUES (
    %(job)s, %(spider)s, %(arguments)s, %(started_at)s, %(ended_at)s, %(exit_status)s, %(message)s
)
ON CONFLICT (job) DO UPDATE SET message = excluded.message, ended_at = excluded.ended_at,
    exit_status = excluded.exit_status
"""  # noqa: S608
_FORGET = """
DELETE FROM fleet_failed_job WHERE job IN (
    SELECT job FROM fleet_failed_job ORDER BY ended_at DESC OFFSET %s
)
"""
_NEWEST = f"""
SELECT {_FIELDS} FROM {FLEET_FAILED_JOB.sound} WHERE %(job)s::text IS NULL OR job = %(job)s
ORDER BY ended_at DESC LIMIT %(limit)s
"""  # noqa: S608
# Another node may run the same job again by now.
_CLOSE = """
UPDATE crawl SET ended_at = now(), outcome = %(outcome)s, message = %(message)s,
                 reason = %(reason)s, reason_figures = %(figures)s
WHERE job = %(job)s AND host = %(host)s AND process_id = %(process_id)s AND ended_at IS NULL
"""
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
    process_id: int | None = None

    @property
    def outcome(self) -> str:
        return _OUTCOMES.get(self.exit_status, "failed")

    def as_crawl(self) -> Crawl:
        """Like a row of ``crawl``, but without an id and figures."""
        return {
            "id": None,
            "spider": self.spider,
            "job": self.job,
            "arguments": dict(self.arguments),
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "seconds": (self.ended_at - self.started_at).total_seconds(),
            "outcome": self.outcome,
            "message": self.message,
            "exit_status": self.exit_status,
        }


class FailedJobs:
    """Those of the newest ``KEPT`` jobs of all nodes that did not end with status 0.

    What fails while the database is away is recorded when it is back.
    """

    def __init__(self) -> None:
        self.unrecorded: deque[FailedJob] = deque(maxlen=KEPT)
        # The heartbeat and the end of a job may record at the same time.
        self._recording = Lock()

    def add(self, job: FailedJob) -> None:
        """For the reactor; :meth:`record` stores it."""
        arguments, message = masked_arguments(job.arguments), visible(masked(job.message))
        self.unrecorded.append(job._replace(arguments=arguments, message=message))

    def record(self) -> None:
        """For threads; raises what the database does."""
        with self._recording:
            while self.unrecorded:
                job = self.unrecorded[0]
                arguments = Jsonb(dict(job.arguments))
                with connection() as connected:
                    connected.execute(_ADD, job._asdict() | {"arguments": arguments})
                    connected.execute(_FORGET, [KEPT])
                _close_row(job)
                self.unrecorded.popleft()

    def known(self, limit: int = KEPT, job: str | None = None) -> list[FailedJob]:
        """Those of this node that are not recorded yet: all there is without a database."""
        found = [one for one in reversed(self.unrecorded) if job in (None, one.job)]
        return found[:limit]

    def newest(self, limit: int = KEPT, job: str | None = None) -> list[FailedJob]:
        """Jobs that failed, with or without a row in ``crawl``. Blocks, as :func:`query` does."""
        stored = [FailedJob(**row) for row in query(_NEWEST, {"job": job, "limit": limit})]
        found = {one.job: one for one in [*self.known(limit, job), *stored]}
        return list(found.values())[:limit]

    def without_row(self, limit: int = KEPT, job: str | None = None) -> list[FailedJob]:
        """Jobs that never began to crawl. Blocks; raises what :func:`query` raises."""
        failed = self.newest(limit, job)
        rows = query(_WITH_ROW, [[job.job for job in failed]]) if failed else []
        begun = {row["job"] for row in rows}
        return [job for job in failed if job.job not in begun]


def _close_row(job: FailedJob) -> None:
    """Close the row of a crawl whose process has ended and could not."""
    is_killed = job.exit_status is None
    reason = Reason("killed" if is_killed else "process_ended", {"why": job.message})
    values = {
        "job": job.job,
        "host": socket.gethostname(),
        "process_id": job.process_id,
        "outcome": "died" if is_killed else job.outcome,
        "message": job.message,
        "reason": reason.code,
        "figures": Jsonb(reason.figures),
    }
    try:
        with connection() as connected:
            connected.execute(_CLOSE, values)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        pass  # no crawl of this version has made its table


@dataclass
class JobWatch:
    """Listens to what scrapyd's process protocol of a job receives.

    ``note`` is called at the end of a job with an exit status other than 0.
    """

    process: JobProcess
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

    def _ended(self, status: Failure) -> None:
        end = cast(ProcessTerminated, status.value)
        try:
            if end.exitCode != 0:
                self.note(self._failed_job(end.exitCode, end.signal))
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
            process.pid,
        )


def last_words(stderr: bytes) -> str:
    """The last line that a process wrote, which is the reason, also after a traceback."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    line = lines[-1].strip() if lines else "it said nothing: see its log"
    return line.removeprefix("coinspider: ")[:REASON_MAX]
