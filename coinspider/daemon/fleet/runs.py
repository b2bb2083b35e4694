"""The table ``fleet_run``: each run of a job, the node it is on, and the end of its log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import kwargs_row

TAIL_BYTES = 16_384
_COLUMNS = """
id, queue_id, project, spider, job, node, process_id AS pid,
started_at AS start_time, ended_at AS end_time, outcome
"""
_BEGIN = """
INSERT INTO fleet_run (queue_id, project, spider, job, node, process_id)
VALUES (%s, %s, %s, %s, %s, %s) RETURNING id
"""
_TAIL = "UPDATE fleet_run SET log_tail = %s WHERE id = %s AND ended_at IS NULL"
_END = """
UPDATE fleet_run SET ended_at = now(), outcome = %s, log_tail = %s
WHERE id = %s AND ended_at IS NULL
"""
_LOST = """
UPDATE fleet_run SET ended_at = now(), outcome = 'lost' WHERE ended_at IS NULL AND node <> ALL (
    SELECT name FROM fleet_node
)
"""
_LOST_OF = (
    "UPDATE fleet_run SET ended_at = now(), outcome = 'lost' WHERE ended_at IS NULL AND node = %s"
)
_COUNT_LOST = "SELECT count(*) FROM fleet_run WHERE queue_id = %s AND outcome = 'lost'"
_HAS_ENDED = """
SELECT EXISTS (SELECT FROM crawl WHERE job = %s AND outcome NOT IN ('died', 'interrupted'))
"""
_RUNNING = f"SELECT {_COLUMNS} FROM fleet_run WHERE ended_at IS NULL ORDER BY id"  # noqa: S608
_FINISHED = f"""
SELECT {_COLUMNS} FROM fleet_run WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT %s
"""  # noqa: S608
_COUNT = "SELECT count(*) FROM fleet_run WHERE ended_at IS NOT NULL"
# As long as a job is in the queue, how often it was lost must be known.
_FORGET = """
DELETE FROM fleet_run WHERE id IN (
    SELECT id FROM fleet_run WHERE ended_at IS NOT NULL ORDER BY ended_at DESC OFFSET %s
) AND NOT EXISTS (SELECT FROM procrastinate_jobs WHERE procrastinate_jobs.id = queue_id)
"""
_FIND_TAIL = """
SELECT node, log_tail FROM fleet_run WHERE project = %s AND spider = %s AND job = %s
ORDER BY id DESC LIMIT 1
"""


class Run(NamedTuple):
    """One run of a job. Times are local, without a zone, as in scrapyd."""

    id: int
    queue_id: int | None
    project: str
    spider: str
    job: str
    node: str
    pid: int | None
    start_time: datetime
    end_time: datetime | None
    outcome: str | None


def _run(**row: Any) -> Run:
    local = {
        name: row[name].astimezone().replace(tzinfo=None)
        for name in ("start_time", "end_time")
        if row[name]
    }
    return Run(**row | local)


def begin_run(connection: psycopg.Connection, process: Any, node: str, queue_id: int | None) -> int:
    """Add a run of scrapyd's ``process`` on a node, and return its id."""
    row = connection.execute(
        _BEGIN, [queue_id, process.project, process.spider, process.job, node, process.pid]
    ).fetchone()
    assert row
    return int(row[0])


def keep_tails(connection: psycopg.Connection, tails: Sequence[tuple[str, int]]) -> None:
    """Store the end of the log of each run, by its id."""
    connection.cursor().executemany(_TAIL, tails)


def end_run(connection: psycopg.Connection, run_id: int, outcome: str, tail: str) -> None:
    connection.execute(_END, [outcome, tail, run_id])


def end_lost_runs(connection: psycopg.Connection) -> int:
    """Close the runs of nodes that are gone; return how many."""
    return connection.execute(_LOST).rowcount


def end_lost_runs_of(connection: psycopg.Connection, node: str) -> None:
    """Close the runs of a node that was killed and starts again."""
    connection.execute(_LOST_OF, [node])


def count_lost(connection: psycopg.Connection, queue_id: int | None) -> int:
    """How many nodes died while they ran a job."""
    row = connection.execute(_COUNT_LOST, [queue_id]).fetchone()
    return int(row[0]) if row else 0


def has_ended(connection: psycopg.Connection, job: str) -> bool:
    """Whether a job's crawl ended, according to its own row."""
    try:
        with connection.transaction():
            row = connection.execute(_HAS_ENDED, [job]).fetchone()
    except psycopg.errors.UndefinedTable:
        return False  # nothing was crawled yet
    return bool(row and row[0])


def running_runs(connection: psycopg.Connection) -> list[Run]:
    return connection.cursor(row_factory=kwargs_row(_run)).execute(_RUNNING).fetchall()


def finished_runs(connection: psycopg.Connection, limit: int) -> list[Run]:
    """The newest first."""
    return connection.cursor(row_factory=kwargs_row(_run)).execute(_FINISHED, [limit]).fetchall()


def count_finished_runs(connection: psycopg.Connection) -> int:
    row = connection.execute(_COUNT).fetchone()
    return int(row[0]) if row else 0


def forget_runs(connection: psycopg.Connection, keep: int) -> None:
    """Delete all finished runs except the newest."""
    connection.execute(_FORGET, [keep])


def find_tail(
    connection: psycopg.Connection, project: str, spider: str, job: str
) -> tuple[str, str] | None:
    """The node of a job's last run, and the end of its log."""
    return connection.execute(_FIND_TAIL, [project, spider, job]).fetchone()
