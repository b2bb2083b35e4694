"""The table ``crawl``: a row for each run, from its start to its end, and lists of them."""

import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import sub
from typing import NamedTuple

import msgspec
from psycopg import AsyncConnection, Connection, sql
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb
from scrapy.statscollectors import StatsCollector

from coinspider.crawl.reasons import remarks_of
from coinspider.crawl.target import NODE, CrawlTarget, Ending, Shortage
from coinspider.errors import CrawlRowError, LeaseLostError
from coinspider.stats import FIGURES, figures
from coinspider.store.connection import CrawlConnection
from coinspider.store.fetch import Listing, fetch_listing
from coinspider.store.schema import CRAWL


class Totals(NamedTuple):
    """What the batches of a crawl have done so far, according to its row."""

    batch_count: int = 0
    inserted_count: int = 0
    updated_count: int = 0
    unchanged_count: int = 0
    older_count: int = 0
    repeated_count: int = 0
    future_count: int = 0

    def since(self, earlier: "Totals") -> "Totals":
        return Totals(*map(sub, self, earlier))


# The columns that a batch changes are updated in the same statement.
_SET_FIGURES = ", ".join(f"{name} = %({name})s" for name in FIGURES if name not in Totals._fields)
_BEGIN = """
INSERT INTO crawl (spider, job, arguments, url, vs_currency, lock_name, whole, host, process_id,
                   node, started_at, ended_at, page_count, record_count)
VALUES (%(spider)s, %(job)s, %(arguments)s, %(url)s, %(vs_currency)s, %(lock_name)s, %(whole)s,
        %(host)s, %(process_id)s, %(node)s, now(), NULL, 0, 0)
RETURNING id
"""
# The lease lasts this many seconds from the end of a statement, not from its start.
_ALIVE = "updated_at = {0}, lease_until = {0} + %(lease)s * interval '1 s'"
_UPDATE = f"""
UPDATE crawl SET {_ALIVE.format("clock_timestamp()")}, {_SET_FIGURES}
WHERE id = %(id)s AND ended_at IS NULL
"""  # noqa: S608
_END = f"""
UPDATE crawl SET updated_at = now(), ended_at = now(), outcome = %(outcome)s,
                 message = %(message)s, reason = %(reason)s, reason_figures = %(reason_figures)s,
                 {_SET_FIGURES}
WHERE id = %(id)s
"""  # noqa: S608
_TOTALS = f"SELECT {', '.join(Totals._fields)}, ended_at IS NULL FROM crawl WHERE id = %s"  # noqa: S608
# The parts of a batch's statement: it writes only while "held" has a row, so a crawl that lost its
# lease writes nothing, and a batch that is sent again nothing anew. What was "written" is then
# "done", and noted.
HELD = """
held AS MATERIALIZED (
    SELECT FROM crawl
    WHERE id = %(crawl_id)s AND ended_at IS NULL AND batch_count < %(batch)s FOR NO KEY UPDATE
)
"""
DONE = "done AS MATERIALIZED (SELECT clock_timestamp() AS moment, count(*) FROM written)"
NOTE = f"UPDATE crawl SET batch_count = %(batch)s, {_ALIVE.format('(SELECT moment FROM done)')}"  # noqa: S608
IF_HELD = f"""
WHERE id = %(crawl_id)s AND EXISTS (SELECT FROM held) RETURNING {", ".join(Totals._fields)}
"""
# Of the last crawls, the one in the middle: one that met an outage says nothing about the next one.
# Parts of a list have its URL, too. Crawls of 0.1 did not count their calls.
_SAME = """
spider = %(spider)s AND url = %(url)s AND (arguments->>'pages', arguments->>'first_page')
    IS NOT DISTINCT FROM (%(pages)s::text, %(first_page)s::text)
"""
EARLIER = f"""
SELECT (array_agg(page_count ORDER BY ended_at DESC))[1] AS pages,
       percentile_disc(0.5) WITHIN GROUP (
           ORDER BY CASE WHEN call_count > 0 THEN call_count - refused_count ELSE page_count + 1 END
       )::integer AS calls,
       (SELECT reason_figures->'shortage' FROM {CRAWL.sound}
        WHERE {_SAME} AND outcome IN ('complete', 'failed')
        ORDER BY ended_at DESC LIMIT 1) AS shortage
FROM (
    SELECT * FROM {CRAWL.sound} WHERE {_SAME} AND outcome = 'complete'
    ORDER BY ended_at DESC LIMIT 5
) AS last
"""  # noqa: S608
_READ_SINCE = "SELECT since FROM source_state WHERE source = %s"
_WRITE_SINCE = """
INSERT INTO source_state (source, since) VALUES (%s, %s)
ON CONFLICT (source) DO UPDATE SET since = excluded.since, updated_at = now()
"""
FIRST_COMPLETE = sql.SQL(f"""
SELECT ended_at FROM {CRAWL.sound}
WHERE vs_currency = %(constant_vs_currency)s AND outcome = 'complete' AND whole IS NOT FALSE
ORDER BY id LIMIT 1
""")  # noqa: S608
"""When the first whole crawl of a currency ended."""
# While the first whole crawl of a currency goes on, most coins are still missing. It is looked for
# among the newest, because the table has no index for it.
_FIRST = """
CASE WHEN ended_at IS NULL AND whole AND expected_page_count > 0 AND NOT EXISTS (
    SELECT FROM crawl AS earlier
    WHERE (earlier.spider, earlier.outcome) = (crawl.spider, 'complete')
        AND earlier.vs_currency IS NOT DISTINCT FROM crawl.vs_currency
        AND earlier.whole IS NOT FALSE
) THEN format('first crawl: page %%s of %%s', page_count, expected_page_count) END
"""
_FIRST_OF_CURRENCY = f"""
SELECT {_FIRST} FROM crawl
WHERE id > (SELECT max(id) FROM crawl) - 1000 AND vs_currency = %(currency)s AND ended_at IS NULL
ORDER BY 1 LIMIT 1
"""  # noqa: S608
_CRAWLS = f"""
SELECT id, spider, vs_currency AS currency,
       (SELECT string_agg(format('%%s=%%s', key, value), ' ' ORDER BY key)
        FROM jsonb_each_text(arguments) WHERE key <> 'vs_currency') AS given, started_at,
       extract(epoch FROM coalesce(ended_at, now()) - started_at)::float AS seconds,
       coalesce(outcome, 'running') AS outcome, page_count AS pages, record_count AS records,
       inserted_count AS new, updated_count AS changed, unchanged_count AS unchanged,
       rejected_count AS rejected, refused_count AS refused, job, older_count AS older,
       repeated_count AS repeated, dropped_count AS dropped, delisted_count AS delisted, reason,
       reason_figures,
       expected_page_count AS expected_pages,
       coalesce(message, nullif(concat_ws('; ', {_FIRST},
           CASE WHEN ended_at IS NULL AND waiting_until > extract(epoch FROM now())
           THEN to_char(to_timestamp(waiting_until) AT TIME ZONE 'UTC',
                        '"it waits for the API''s limit until "HH24:MI:SS" UTC"') END), ''))
           AS message
FROM {CRAWL.sound}
WHERE (%(outcome)s::text IS NULL OR coalesce(outcome, 'running') = %(outcome)s)
    AND CASE coalesce(%(schedule)s, '')
        WHEN '' THEN true
        WHEN %(no_schedule)s THEN id > (SELECT max(id) FROM crawl) - %(looked_at)s
            AND (job IS NULL OR right(job, %(suffix)s) NOT LIKE %(job_time)s)
        ELSE starts_with(job, %(schedule)s || '.')
            AND length(job) = length(%(schedule)s) + %(suffix)s
    END
ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
"""  # noqa: S608
NO_SCHEDULE = "(none)"
"""In place of a schedule's name: crawls that no schedule has begun, among the newest."""
_LOOKED_AT = 50_000
# What follows the name of its schedule in a job's id: .20261124T140122.123
_JOB_TIME = ".________T______.___"
_JOB = r"\.\d{8}T\d{6}\.\d+$"
_LATEST_RUNS = f"""
SELECT id, schedule, started_at, outcome, seconds FROM (
    SELECT *, row_number() OVER (PARTITION BY schedule ORDER BY id DESC) AS place FROM (
        SELECT id, started_at, coalesce(outcome, 'running') AS outcome,
               extract(epoch FROM coalesce(ended_at, now()) - started_at)::float AS seconds,
               CASE WHEN job ~ %(job)s THEN regexp_replace(job, %(job)s, '')
                    ELSE %(no_schedule)s END AS schedule
        FROM {CRAWL.sound} ORDER BY id DESC LIMIT %(looked_at)s
    ) AS latest WHERE outcome <> 'skipped'
) AS numbered WHERE place <= %(limit)s ORDER BY id
"""  # noqa: S608
_CRAWL_ARGUMENTS = f"SELECT id, arguments::text FROM {CRAWL.sound} WHERE id = ANY (%(ids)s)"  # noqa: S608
_FOR_PAGES = "older repeated dropped delisted reason reason_figures expected_pages"


class Batch(NamedTuple):
    """What a batch notes in its crawl's row; if its number is there, it is written."""

    crawl_id: int
    number: int
    lease: float = 25.0
    """For how many seconds the batch extends the crawl's lease."""

    @property
    def values(self) -> dict[str, float]:
        """The parameters of these parts."""
        return {"crawl_id": self.crawl_id, "batch": self.number, "lease": self.lease}


async def begin_crawl(connection: AsyncConnection, target: CrawlTarget) -> int:
    """Add the row of a crawl that starts now, and return its id."""
    values = {
        "spider": target.source,
        "job": target.job,
        "arguments": Jsonb(dict(target.arguments)),
        "url": target.url,
        "vs_currency": target.constants.get("vs_currency"),
        "lock_name": target.lock_name,
        "whole": target.whole,
        "host": socket.gethostname(),
        "process_id": os.getpid(),
        "node": os.environ.get(NODE),
    }
    row = await (await connection.execute(_BEGIN, values)).fetchone()
    assert row
    return int(row[0])


async def update_crawl(
    connection: CrawlConnection, crawl_id: int, stats: StatsCollector, lease: float
) -> bool:
    """Update the row: a heartbeat that extends the lease by ``lease`` seconds.

    ``False`` if the row is closed.
    """
    values = {"id": crawl_id, "lease": lease}
    done = await connection.execute_alone(_UPDATE, values | figures(stats), prepare=True)
    return bool(done.rowcount)


async def read_totals(connection: CrawlConnection, crawl_id: int) -> Totals:
    """What has been written.

    Raises :exc:`LeaseLostError` if the row was closed, :exc:`CrawlRowError` if it is gone.
    """
    row = await (await connection.execute_alone(_TOTALS, [crawl_id])).fetchone()
    if row is None:
        raise CrawlRowError("the crawl's row was deleted while it ran")
    *totals, is_open = row
    if not is_open:
        raise LeaseLostError(
            "another crawl of the same list took over: this one gave no sign of life for too long"
        )
    return Totals(*totals)


async def end_crawl(
    connection: AsyncConnection, crawl_id: int, stats: StatsCollector, ending: Ending
) -> None:
    """Close the row: how the crawl ended, and its figures."""
    values = {
        "id": crawl_id,
        "outcome": ending.name,
        "message": ending.message,
        "reason": ending.code,
        "reason_figures": Jsonb(dict(ending.figures)),
    }
    await connection.execute(_END, values | figures(stats))


class Earlier(NamedTuple):
    """Of the last complete crawl the pages, and of the last ones the usual calls; ``None`` if there
    was none. Of the very last one how its list contradicted its total.
    """

    pages: int | None = None
    calls: int | None = None
    shortage: Shortage | None = None


def earlier_values(spider: str, url: str, arguments: Mapping[str, object]) -> dict[str, object]:
    """The parameters of ``EARLIER``."""
    part = {name: arguments.get(name) for name in ("pages", "first_page")}
    texts = {name: None if number is None else str(number) for name, number in part.items()}
    return {"spider": spider, "url": url, **texts}


async def read_earlier(
    connection: AsyncConnection, spider: str, url: str, arguments: Mapping[str, object]
) -> Earlier:
    row = await (
        await connection.execute(EARLIER, earlier_values(spider, url, arguments))
    ).fetchone()
    pages, calls, shortage = row or (None, None, None)
    try:
        return Earlier(pages, calls, shortage and msgspec.convert(shortage, Shortage))
    except msgspec.ValidationError:  # a row may have anything
        return Earlier(pages, calls)


async def read_since(connection: AsyncConnection, source: str) -> str | None:
    """How far the last complete crawl of the source came; ``None`` before the first one."""
    row = await (await connection.execute(_READ_SINCE, [source])).fetchone()
    return row[0] if row else None


async def write_since(connection: AsyncConnection, source: str, since: str) -> None:
    await connection.execute(_WRITE_SINCE, [source, since])


def read_crawls(
    connection: Connection,
    limit: int | None,
    offset: int = 0,
    *,
    outcome: str | None = None,
    schedule: str | None = None,
) -> Listing:
    """The newest crawls first: all, or those with an outcome (or ``running``) or of a schedule."""
    values = {
        "limit": limit,
        "offset": offset,
        "outcome": outcome,
        "schedule": schedule,
        "no_schedule": NO_SCHEDULE,
        "looked_at": _LOOKED_AT,
        "suffix": len(_JOB_TIME),
        "job_time": _JOB_TIME,
    }
    return fetch_listing(connection, sql.SQL(_CRAWLS), values)


def list_crawls(connection: Connection, limit: int | None, short: bool = False) -> Listing:
    """The newest crawls first, without what their message already says.

    If ``short``, that of a complete crawl has remarks alone: other columns have its figures.
    """
    listing = read_crawls(connection, limit)
    if short:
        rows = map(_shortened, listing.each_dict())
        listing = listing._replace(rows=[tuple(row.values()) for row in rows])
    return listing.without(_FOR_PAGES.split())


def _shortened(row: DictRow) -> DictRow:
    if row["outcome"] != "complete" or not row["reason_figures"]:
        return row
    return row | {"message": "; ".join(remarks_of(json.loads(bytes(row["reason_figures"]))))}


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


def first_complete_crawl(connection: Connection, currency: str) -> datetime | None:
    """When the first whole crawl of a currency ended; coins that came later are new."""
    rows = fetch_listing(connection, FIRST_COMPLETE, {"constant_vs_currency": currency}).rows
    return rows[0][0] if rows else None


def first_crawl(connection: Connection, currency: str) -> str | None:
    """How far the first whole crawl of a currency is; ``None`` if it does not go on now."""
    rows = fetch_listing(connection, sql.SQL(_FIRST_OF_CURRENCY), {"currency": currency}).rows
    return rows[0][0] if rows else None
