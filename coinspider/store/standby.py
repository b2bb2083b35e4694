"""Nodes with the same schedules stand by for each other: only one of them crawls."""

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from coinspider.crawl.target import CrawlTarget

# The intervals of two nodes begin at different times, so a crawl that is due here was done there at
# some time within the last period; the rest allows for late starts.
_MOST = 0.75
_CRAWLED = """
SELECT id, coalesce(node, host), extract(epoch FROM now() - started_at)::bigint FROM crawl
WHERE spider = %(spider)s AND url = %(url)s AND lock_name = %(lock_name)s
    AND arguments = %(arguments)s AND outcome = 'complete' AND node IS DISTINCT FROM %(node)s
    AND started_at > now() - %(seconds)s * interval '1 s'
ORDER BY id DESC LIMIT 1
"""


async def crawled_elsewhere(connection: AsyncConnection, target: CrawlTarget) -> str | None:
    """Why a scheduled run need not begin, in one line, by the server's clock.

    Crawls of its own node don't count: intervals are not exact to the second.
    """
    if not target.period:
        return None
    values = {
        "spider": target.source,
        "url": target.url,
        "lock_name": target.lock_name,
        "arguments": Jsonb(dict(target.arguments)),
        "node": target.node,
        "seconds": target.period * _MOST,
    }
    row = await (await connection.execute(_CRAWLED, values)).fetchone()
    if row is None:
        return None
    crawl_id, node, seconds = row
    return (
        f"it was crawled {seconds} s ago already, by crawl {crawl_id} on {node}:"
        f" the schedule asks for it every {target.period:g} s"
    )
