"""Lists of crawls and of rejected records."""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg import Connection, sql

from coinspider.store.fetch import Listing, fetch_listing

FIRST_COMPLETE = sql.SQL("""
SELECT ended_at FROM crawl
WHERE vs_currency = %(constant_vs_currency)s AND outcome = 'complete' AND whole IS NOT FALSE
ORDER BY id LIMIT 1
""")
"""When the first whole crawl of a currency ended."""
_CRAWLS = """
SELECT id, spider, vs_currency AS currency, started_at,
       extract(epoch FROM coalesce(ended_at, now()) - started_at)::float AS seconds,
       coalesce(outcome, 'running') AS outcome, page_count AS pages, record_count AS records,
       inserted_count AS new, updated_count AS changed, unchanged_count AS unchanged,
       rejected_count AS rejected, refused_count AS refused, job,
       CASE WHEN ended_at IS NULL AND waiting_until > extract(epoch FROM now())
           THEN to_char(to_timestamp(waiting_until) AT TIME ZONE 'UTC',
                        '"it waits for the API''s limit until "HH24:MI:SS" UTC"')
           ELSE message END AS message
FROM crawl
WHERE (%(outcome)s::text IS NULL OR coalesce(outcome, 'running') = %(outcome)s)
    AND CASE coalesce(%(schedule)s, '')
        WHEN '' THEN true
        WHEN %(no_schedule)s THEN id > (SELECT max(id) FROM crawl) - %(looked_at)s
            AND (job IS NULL OR right(job, %(suffix)s) NOT LIKE %(job_time)s)
        ELSE starts_with(job, %(schedule)s || '.')
            AND length(job) = length(%(schedule)s) + %(suffix)s
    END
ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
"""
NO_SCHEDULE = "(none)"
"""In place of a schedule's name: crawls that no schedule has begun, among the newest."""
_LOOKED_AT = 50_000
# What follows the name of its schedule in a job's id: .20261124T140122.123
_JOB_TIME = ".________T______.___"
_JOB = r"\.\d{8}T\d{6}\.\d+$"
_LATEST_RUNS = """
SELECT id, schedule, started_at, outcome, seconds FROM (
    SELECT *, row_number() OVER (PARTITION BY schedule ORDER BY id DESC) AS place FROM (
        SELECT id, started_at, coalesce(outcome, 'running') AS outcome,
               extract(epoch FROM coalesce(ended_at, now()) - started_at)::float AS seconds,
               CASE WHEN job ~ %(job)s THEN regexp_replace(job, %(job)s, '')
                    ELSE %(no_schedule)s END AS schedule
        FROM crawl ORDER BY id DESC LIMIT %(looked_at)s
    ) AS latest WHERE outcome <> 'skipped'
) AS numbered WHERE place <= %(limit)s ORDER BY id
"""
_CRAWL_ARGUMENTS = "SELECT id, arguments::text FROM crawl WHERE id = ANY (%(ids)s)"
_REJECTED = """
SELECT id, crawl_id AS crawl, rejected_at, reason, column_name AS "column", source_url, text
FROM rejected_record
WHERE (%(crawl)s::bigint IS NULL OR crawl_id = %(crawl)s)
    AND (%(record)s::bigint IS NULL OR id = %(record)s)
    AND (%(reason)s::text IS NULL OR reason = %(reason)s)
ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
"""
_REASONS = """
SELECT reason, count(*) AS records, max(rejected_at) AS latest, max(column_name) AS "column",
       count(*) OVER () AS reasons, (sum(count(*)) OVER ())::bigint AS all_records
FROM rejected_record
WHERE %(crawl)s::bigint IS NULL OR crawl_id = %(crawl)s
GROUP BY reason ORDER BY 2 DESC, 1 LIMIT 20
"""


def list_crawls(
    connection: Connection, limit: int | None, offset: int = 0, *,
    outcome: str | None = None, schedule: str | None = None,
) -> Listing:  # fmt: skip
    """The newest crawls first: all, or those with an outcome (or ``running``) or of a schedule."""
    values = {
        "limit": limit, "offset": offset, "outcome": outcome, "schedule": schedule,
        "no_schedule": NO_SCHEDULE, "looked_at": _LOOKED_AT, "suffix": len(_JOB_TIME),
        "job_time": _JOB_TIME,
    }  # fmt: skip
    return fetch_listing(connection, sql.SQL(_CRAWLS), values)


def list_latest_runs(connection: Connection, limit: int, looked_at: int = 2000) -> Listing:
    """Up to ``limit`` runs of each schedule, the oldest first; only the newest crawls are read."""
    values = {"limit": limit, "looked_at": looked_at, "job": _JOB, "no_schedule": NO_SCHEDULE}
    return fetch_listing(connection, sql.SQL(_LATEST_RUNS), values)


def schedule_of(job: str | None) -> str:
    """The name of the schedule that began a job, or :data:`NO_SCHEDULE`."""
    name = re.sub(_JOB, "", job or "")
    return name if name != (job or "") else NO_SCHEDULE


def read_crawl_arguments(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """The arguments crawls were started with, by their ids."""
    rows = fetch_listing(connection, sql.SQL(_CRAWL_ARGUMENTS), {"ids": list(ids)}).rows
    return {crawl_id: json.loads(text) for crawl_id, text in rows}


class Rejected(NamedTuple):
    """Which rejected records: all, or those of a crawl, with a reason, or with an id."""

    crawl: int | None = None
    reason: str | None = None
    record: int | None = None


_ALL = Rejected()


def list_rejected_records(
    connection: Connection, limit: int | None, offset: int = 0, which: Rejected = _ALL
) -> Listing:  # fmt: skip
    """The newest first. If only a value was set aside, ``column`` names it; its row is stored."""
    values = {"limit": limit, "offset": offset} | which._asdict()
    return fetch_listing(connection, sql.SQL(_REJECTED), values)


def list_rejected_reasons(connection: Connection, crawl: int | None = None) -> Listing:
    """The twenty most frequent reasons, with the number of records of each and of all."""
    return fetch_listing(connection, sql.SQL(_REASONS), {"crawl": crawl})


def first_complete_crawl(connection: Connection, currency: str) -> datetime | None:
    """When the first whole crawl of a currency ended; coins that came later are new."""
    rows = fetch_listing(connection, FIRST_COMPLETE, {"constant_vs_currency": currency}).rows
    return rows[0][0] if rows else None
