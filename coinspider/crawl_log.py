"""The table ``crawl``: what complete crawls found, for the next one to know."""

from psycopg import AsyncConnection

_INSERT = """
INSERT INTO crawl (spider, url, started_at, page_count, record_count) VALUES (%s, %s, %s, %s, %s)
"""
_LAST = """
SELECT page_count FROM crawl WHERE spider = %s AND url = %s ORDER BY ended_at DESC LIMIT 1
"""


async def last_page_count(connection: AsyncConnection, spider: str, url: str) -> int | None:
    """How many pages with records the last complete crawl of the same list had."""
    row = await (await connection.execute(_LAST, [spider, url])).fetchone()
    return row[0] if row else None


async def log_crawl(connection: AsyncConnection, *values: object) -> None:
    """Add a complete crawl: spider, URL, start, pages with records, records."""
    await connection.execute(_INSERT, values)
