"""The table ``crawl``: a row for each run, from its start to its end."""

import os
import socket
from operator import sub
from typing import NamedTuple

from psycopg import AsyncConnection, AsyncCursor
from psycopg.types.json import Jsonb
from scrapy.statscollectors import StatsCollector

from coinspider.crawl.target import CrawlTarget
from coinspider.errors import CrawlRowError, LeaseLostError
from coinspider.stats import FIGURES, figures


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
UPDATE crawl SET {_ALIVE.format("clock_timestamp()")}, {_SET_FIGURES} WHERE id = %(id)s
"""  # noqa: S608
_END = f"""
UPDATE crawl SET updated_at = now(), ended_at = now(), outcome = %(outcome)s,
                 message = %(message)s, {_SET_FIGURES}
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
        "node": target.node,
    }
    row = await (await connection.execute(_BEGIN, values)).fetchone()
    assert row
    return int(row[0])


async def update_crawl(
    connection: AsyncConnection, crawl_id: int, stats: StatsCollector, lease: float
) -> None:
    """Update the row: a heartbeat that extends the lease by ``lease`` seconds."""
    values = {"id": crawl_id, "lease": lease}
    await connection.execute(_UPDATE, values | figures(stats), prepare=True)


async def read_totals(connection: AsyncConnection, crawl_id: int) -> Totals:
    """What has been written.

    Raises :exc:`LeaseLostError` if the row was closed, :exc:`CrawlRowError` if it is gone.
    """
    row = await (await connection.execute(_TOTALS, [crawl_id])).fetchone()
    if row is None:
        raise CrawlRowError("the crawl's row was deleted while it ran")
    *totals, is_open = row
    if not is_open:
        raise LeaseLostError(
            "another crawl of the same list took over: this one gave no sign of life for too long"
        )
    return Totals(*totals)


async def fetch_totals(cursor: AsyncCursor) -> Totals | None:
    """The result of a statement that ends in ``IF_HELD``; ``None`` if it did nothing."""
    row = await cursor.fetchone()
    return Totals(*row) if row else None


async def end_crawl(
    connection: AsyncConnection, crawl_id: int, stats: StatsCollector, outcome: str, message: str
) -> None:
    values = {"id": crawl_id, "outcome": outcome, "message": message}
    await connection.execute(_END, values | figures(stats))
