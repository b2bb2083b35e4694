"""Records that are set aside: what could not be stored, and why."""

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import AsyncConnection

from coinspider.records.record import Source
from coinspider.store.crawl_row import RETURNING_TOTALS, Batch, Totals, fetch_totals

TEXT_MAX = 100_000  # bytes
_INSERT = f"""
WITH stored AS (
    INSERT INTO rejected_record (crawl_id, source_url, text, reason)
    SELECT %(crawl_id)s, *
    FROM unnest(%(source_urls)s::text[], %(texts)s::text[], %(reasons)s::text[])
)
UPDATE crawl SET batch_count = %(batch)s WHERE id = %(crawl_id)s {RETURNING_TOTALS}
"""  # noqa: S608


class RejectedRecord(NamedTuple):
    """A row of the table ``rejected_record``; its text is the record's own, byte for byte.

    Bytes that are not UTF-8 and NUL characters, which PostgreSQL can't hold, appear as ``\\xff``.
    Of a text of more than ``TEXT_MAX`` bytes only these are kept.
    """

    source_url: str | None
    text: str
    reason: str


def rejected_record(source: Source | None, text: bytes, reason: str) -> RejectedRecord:
    return RejectedRecord(source.url if source else None, readable(text[:TEXT_MAX]), reason)


def readable(text: bytes) -> str:
    """The text of a record in a form that PostgreSQL can hold."""
    return text.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


async def quarantine(
    connection: AsyncConnection, batch: Batch, records: Sequence[RejectedRecord]
) -> Totals:
    """Store a batch of rejected records, and note it in the crawl's row."""
    source_urls, texts, reasons = map(list, zip(*records, strict=True))
    values = {"source_urls": source_urls, "texts": texts, "reasons": reasons}
    ids = {"batch": batch.number, "crawl_id": batch.crawl_id}
    return await fetch_totals(await connection.execute(_INSERT, values | ids))
