"""Rejected records: what could not be stored, and why."""

from collections.abc import Sequence

from psycopg import AsyncConnection

from coinspider.records.record import RejectedRecord
from coinspider.store.crawl_row import DONE, HELD, IF_HELD, NOTE, Batch, Totals, fetch_totals

_INSERT = f"""
WITH {HELD}, written AS (
    INSERT INTO rejected_record (crawl_id, source_url, text, reason, column_name)
    SELECT %(crawl_id)s, *
    FROM unnest(
        %(source_urls)s::text[], %(texts)s::text[], %(reasons)s::text[], %(columns)s::text[]
    )
    WHERE EXISTS (SELECT FROM held)
    RETURNING 1
), {DONE}
{NOTE} {IF_HELD}
"""  # noqa: S608


async def insert_rejected(
    connection: AsyncConnection, batch: Batch, records: Sequence[RejectedRecord]
) -> Totals | None:
    """Store a batch of rejected records, and note it in the crawl's row.

    ``None`` if the batch was written before, or the crawl has lost its lease.
    """
    names = ("source_urls", "texts", "reasons", "columns")
    values = dict(zip(names, map(list, zip(*records, strict=True)), strict=True))
    return await fetch_totals(await connection.execute(_INSERT, values | batch.values))
