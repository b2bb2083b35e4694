"""Rejected records: what could not be stored, and why."""

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import Connection, sql

from coinspider.records.record import RejectedRecord
from coinspider.store.connection import CrawlConnection
from coinspider.store.crawl import DONE, HELD, IF_HELD, NOTE, Batch, Totals
from coinspider.store.fetch import Listing, fetch_listing

_INSERT = f"""
WITH {HELD}, given AS (
    SELECT DISTINCT ON (identity) *, count(*) OVER (PARTITION BY identity) AS times
    FROM unnest(
        %(source_urls)s::text[], %(texts)s::text[], %(reasons)s::text[], %(columns)s::text[],
        %(identities)s::text[]
    ) WITH ORDINALITY AS sent (source_url, text, reason, column_name, identity, position)
    WHERE EXISTS (SELECT FROM held)
    ORDER BY identity, position DESC
),
known AS (
    UPDATE rejected_record AS kept SET
        crawl_id = %(crawl_id)s, last_rejected_at = now(), times = kept.times + given.times,
        source_url = given.source_url, text = given.text, reason = given.reason
    FROM given WHERE kept.identity = given.identity
    RETURNING kept.identity
),
written AS (
    INSERT INTO rejected_record (crawl_id, source_url, text, reason, column_name, identity, times)
    SELECT %(crawl_id)s, source_url, text, reason, column_name, identity, times FROM given
    WHERE NOT EXISTS (SELECT FROM known WHERE known.identity = given.identity)
    ORDER BY position
    RETURNING 1
), {DONE}
{NOTE} {IF_HELD}
"""  # noqa: S608
_LIST = """
SELECT id, crawl_id AS crawl, rejected_at, coalesce(last_rejected_at, rejected_at) AS last_at,
       times, reason, column_name AS "column", source_url, text
FROM rejected_record
WHERE (%(crawl)s::bigint IS NULL OR crawl_id = %(crawl)s)
    AND (%(record)s::bigint IS NULL OR id = %(record)s)
    AND (%(reason)s::text IS NULL OR reason = %(reason)s)
ORDER BY last_at DESC, id DESC LIMIT %(limit)s OFFSET %(offset)s
"""
_REASONS = """
SELECT reason, count(*) AS records, max(coalesce(last_rejected_at, rejected_at)) AS latest,
       max(column_name) AS "column", count(*) OVER () AS reasons,
       (sum(count(*)) OVER ())::bigint AS all_records
FROM rejected_record
WHERE %(crawl)s::bigint IS NULL OR crawl_id = %(crawl)s
GROUP BY reason ORDER BY 2 DESC, 1 LIMIT 200
"""


async def insert_rejected(
    connection: CrawlConnection, batch: Batch, records: Sequence[RejectedRecord]
) -> Totals | None:
    """Store a batch of rejected records, and note it in the crawl's row.

    What was rejected before keeps its row, which counts the times and shows the last text.

    ``None`` if the batch was written before, or the crawl has lost its lease.
    """
    names = ("source_urls", "texts", "reasons", "columns", "identities")
    values = dict(zip(names, map(list, zip(*records, strict=True)), strict=True))
    done = await connection.execute_alone(_INSERT, values | batch.values)
    row = await done.fetchone()
    return Totals(*row) if row else None


class RejectedFilter(NamedTuple):
    """Which rejected records: all, or those of a crawl, with a reason, or with an id."""

    crawl: int | None = None
    reason: str | None = None
    record: int | None = None


_ALL = RejectedFilter()


def list_rejected_records(
    connection: Connection, limit: int | None, offset: int = 0, which: RejectedFilter = _ALL
) -> Listing:
    """The newest first. If only a value was set aside, ``column`` names it; its row is stored."""
    values = {"limit": limit, "offset": offset} | which._asdict()
    return fetch_listing(connection, sql.SQL(_LIST), values)


def list_rejected_reasons(connection: Connection, crawl: int | None = None) -> Listing:
    """The 200 most frequent reasons, with the number of records of each and of all."""
    return fetch_listing(connection, sql.SQL(_REASONS), {"crawl": crawl})
