"""Records that are set aside: what could not be stored, and why."""

from collections.abc import Sequence

from psycopg import AsyncConnection

from coinspider.records.rejected_record import RejectedRecord
from coinspider.store.crawl_row import RETURNING_TOTALS, Batch, Totals, fetch_totals

_INSERT = f"""
WITH stored AS (
    INSERT INTO rejected_record (crawl_id, source_url, text, reason)
    SELECT %(crawl_id)s, *
    FROM unnest(%(source_urls)s::text[], %(texts)s::text[], %(reasons)s::text[])
)
UPDATE crawl SET batch_count = %(batch)s WHERE id = %(crawl_id)s {RETURNING_TOTALS}
"""  # noqa: S608


async def quarantine(
    connection: AsyncConnection, batch: Batch, records: Sequence[RejectedRecord]
) -> Totals:
    """Store a batch of rejected records, and note it in the crawl's row."""
    source_urls, texts, reasons = map(list, zip(*records, strict=True))
    values = {"source_urls": source_urls, "texts": texts, "reasons": reasons}
    ids = {"batch": batch.number, "crawl_id": batch.crawl_id}
    return await fetch_totals(await connection.execute(_INSERT, values | ids))
