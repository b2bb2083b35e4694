"""The table ``fleet_failed_job``: jobs that failed, on any node, with the reason."""

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from coinspider.daemon import database
from coinspider.daemon.failed_jobs import KEPT, FailedJob, FailedJobs

_FIELDS = ", ".join(FailedJob._fields)
_VALUES = ", ".join(f"%({name})s" for name in FailedJob._fields)
_ADD = f"""
INSERT INTO fleet_failed_job ({_FIELDS}) VALUES ({_VALUES})
ON CONFLICT (job) DO UPDATE SET message = excluded.message, ended_at = excluded.ended_at,
    exit_status = excluded.exit_status
"""  # noqa: S608
_FORGET = """
DELETE FROM fleet_failed_job WHERE job IN (
    SELECT job FROM fleet_failed_job ORDER BY ended_at DESC OFFSET %s
)
"""
_NEWEST = f"""
SELECT {_FIELDS} FROM fleet_failed_job WHERE %(job)s::text IS NULL OR job = %(job)s
ORDER BY ended_at DESC LIMIT %(limit)s
"""  # noqa: S608


class FleetFailedJobs(FailedJobs):
    """Like :class:`~coinspider.daemon.failed_jobs.FailedJobs`, for all nodes."""

    def __init__(self) -> None:
        """Nothing to do: the fleet has made the table."""

    def add(self, job: FailedJob) -> None:
        with database.connection() as connection:
            connection.execute(_ADD, job._asdict() | {"arguments": Jsonb(dict(job.arguments))})
            connection.execute(_FORGET, [KEPT])

    def newest(self, limit: int = KEPT, job: str | None = None) -> list[FailedJob]:
        with database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(FailedJob))
            return cursor.execute(_NEWEST, {"job": job, "limit": limit}).fetchall()
