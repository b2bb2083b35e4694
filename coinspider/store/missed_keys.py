"""The known records that a whole crawl did not see, kept in its row for the next crawl."""

from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

_KEEP = "UPDATE crawl SET missed_keys = %s WHERE id = %s"
_OF_LAST = """
SELECT missed_keys FROM crawl
WHERE lock_name = (SELECT lock_name FROM crawl WHERE id = %(id)s) AND id <> %(id)s
    AND whole AND outcome = 'complete'
ORDER BY id DESC LIMIT 1
"""


async def keep_missed_keys(connection: AsyncConnection, crawl_id: int, keys: list[Any]) -> None:
    await connection.execute(_KEEP, [Jsonb(keys), crawl_id])


async def last_missed_keys(connection: AsyncConnection, crawl_id: int) -> set[Any]:
    """Those of the last complete crawl of the same list."""
    row = await (await connection.execute(_OF_LAST, {"id": crawl_id})).fetchone()
    return {tuple(key) if isinstance(key, list) else key for key in (row and row[0]) or ()}
