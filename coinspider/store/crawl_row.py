"""The table ``crawl``: a row for each run, from its start to its end."""

import os
import socket
from datetime import datetime
from operator import sub
from typing import NamedTuple

from psycopg import AsyncConnection, AsyncCursor
from psycopg.types.json import Jsonb
from scrapy.statscollectors import StatsCollector

from coinspider.crawl.target import CrawlTarget
from coinspider.errors import CrawlRowError
from coinspider.stats import FIGURES, figures


class Totals(NamedTuple):
    """What the batches of a crawl have done so far, as its row says."""

    batch_count: int = 0
    inserted_count: int = 0
    updated_count: int = 0
    unchanged_count: int = 0
    older_count: int = 0
    repeated_count: int = 0
    future_count: int = 0

    def since(self, earlier: "Totals") -> "Totals":
        return Totals(*map(sub, self, earlier))


# Those that a batch changes are changed with it, in the same statement.
_SET_FIGURES = ", ".join(f"{name} = %({name})s" for name in FIGURES if name not in Totals._fields)
_BEGIN = """
INSERT INTO crawl (spider, job, arguments, url, vs_currency, lock_name, whole, host, process_id,
                   started_at, ended_at, page_count, record_count)
VALUES (%(spider)s, %(job)s, %(arguments)s, %(url)s, %(vs_currency)s, %(lock_name)s, %(whole)s,
        %(host)s, %(process_id)s, now(), NULL, 0, 0)
RETURNING id
"""
# A crawl that lost its lock for a while may have been taken for dead meanwhile.
_UPDATE = f"""
UPDATE crawl SET updated_at = now(), ended_at = NULL, outcome = NULL, message = NULL, {_SET_FIGURES}
WHERE id = %(id)s
"""  # noqa: S608
_END = f"""
UPDATE crawl SET updated_at = now(), ended_at = now(), outcome = %(outcome)s,
                 message = %(message)s, {_SET_FIGURES}
WHERE id = %(id)s
"""  # noqa: S608
_END_DEAD = """
UPDATE crawl SET ended_at = updated_at, outcome = 'died',
                 message = 'its process ended without a word'
WHERE lock_name = %s AND ended_at IS NULL RETURNING id, started_at, updated_at, host, process_id
"""
_TOTALS = f"SELECT {', '.join(Totals._fields)} FROM crawl WHERE id = %s"  # noqa: S608
RETURNING_TOTALS = f"RETURNING {', '.join(Totals._fields)}"
_RUNNING = """
SELECT id, started_at, updated_at, host, process_id FROM crawl
WHERE lock_name = %s AND ended_at IS NULL ORDER BY id DESC LIMIT 1
"""
_LAST = """
SELECT page_count FROM crawl WHERE spider = %s AND url = %s AND outcome = 'complete'
ORDER BY ended_at DESC LIMIT 1
"""


class Batch(NamedTuple):
    """What a batch notes in its crawl's row: where the number stands there, it is written."""

    crawl_id: int
    number: int


class Run(NamedTuple):
    """A crawl that has no end: one that runs, or one that died."""

    id: int
    started_at: datetime
    updated_at: datetime
    host: str
    process_id: int

    def __str__(self) -> str:
        return f"crawl {self.id}, process {self.process_id} on {self.host}"


async def begin_crawl(connection: AsyncConnection, target: CrawlTarget) -> int:
    """Add the row of a crawl that starts now, and give its id."""
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
    }
    row = await (await connection.execute(_BEGIN, values)).fetchone()
    assert row
    return int(row[0])


async def update_crawl(connection: AsyncConnection, crawl_id: int, stats: StatsCollector) -> None:
    await connection.execute(_UPDATE, {"id": crawl_id} | figures(stats), prepare=True)


async def read_totals(connection: AsyncConnection, crawl_id: int) -> Totals:
    """What has been written, for when an answer of the server got lost."""
    return await fetch_totals(await connection.execute(_TOTALS, [crawl_id]))


async def fetch_totals(cursor: AsyncCursor) -> Totals:
    """What a statement that ends in ``RETURNING_TOTALS`` says."""
    if (row := await cursor.fetchone()) is None:
        raise CrawlRowError("the crawl's row was deleted while it ran")
    return Totals(*row)


async def end_crawl(
    connection: AsyncConnection, crawl_id: int, stats: StatsCollector, outcome: str, message: str
) -> None:
    values = {"id": crawl_id, "outcome": outcome, "message": message}
    await connection.execute(_END, values | figures(stats))


async def end_dead_crawls(connection: AsyncConnection, lock_name: str) -> list[Run]:
    """Close the rows of crawls that can't run any more, for whoever has their lock."""
    rows = await connection.execute(_END_DEAD, [lock_name])
    return [Run(*row) for row in await rows.fetchall()]


async def running_crawl(connection: AsyncConnection, lock_name: str) -> Run | None:
    """The crawl that has the lock, once it has written its row."""
    row = await (await connection.execute(_RUNNING, [lock_name])).fetchone()
    return Run(*row) if row else None


async def last_page_count(connection: AsyncConnection, spider: str, url: str) -> int | None:
    """How many pages with records the last complete crawl of the same list had."""
    row = await (await connection.execute(_LAST, [spider, url])).fetchone()
    return row[0] if row else None
