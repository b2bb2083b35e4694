"""How far the crawls of an incremental source have come: the table ``source_state``."""

from psycopg import AsyncConnection

_READ = "SELECT since FROM source_state WHERE source = %s"
_WRITE = """
INSERT INTO source_state (source, since) VALUES (%s, %s)
ON CONFLICT (source) DO UPDATE SET since = excluded.since, updated_at = now()
"""


async def read_since(connection: AsyncConnection, source: str) -> str | None:
    """How far the last complete crawl of the source came; ``None`` before the first one."""
    row = await (await connection.execute(_READ, [source])).fetchone()
    return row[0] if row else None


async def write_since(connection: AsyncConnection, source: str, since: str) -> None:
    await connection.execute(_WRITE, [source, since])
