"""What the last complete crawls of a list had: how many pages, and how many calls they took."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from psycopg import AsyncConnection

# Of the last crawls, the one in the middle: one that met an outage says nothing about the next one.
# Parts of a list have its URL, too. Crawls of 0.1 did not count their calls.
EARLIER = """
SELECT (array_agg(page_count ORDER BY ended_at DESC))[1] AS pages,
       percentile_disc(0.5) WITHIN GROUP (
           ORDER BY CASE WHEN call_count > 0 THEN call_count - refused_count ELSE page_count + 1 END
       )::integer AS calls
FROM (
    SELECT * FROM crawl WHERE spider = %s AND url = %s AND outcome = 'complete'
        AND (arguments->>'pages', arguments->>'first_page')
            IS NOT DISTINCT FROM (%s::text, %s::text)
    ORDER BY ended_at DESC LIMIT 5
) AS last
"""


class Earlier(NamedTuple):
    """Of the last complete crawl the pages, and of the last ones the usual calls; ``None`` if there
    was none.
    """

    pages: int | None = None
    calls: int | None = None


def values(spider: str, url: str, arguments: Mapping[str, Any]) -> list[Any]:
    """The parameters of ``EARLIER``."""
    part = (arguments.get(name) for name in ("pages", "first_page"))
    return [spider, url, *(None if number is None else str(number) for number in part)]


async def read_earlier(
    connection: AsyncConnection, spider: str, url: str, arguments: Mapping[str, Any]
) -> Earlier:
    row = await (await connection.execute(EARLIER, values(spider, url, arguments))).fetchone()
    return Earlier(*row) if row else Earlier()
