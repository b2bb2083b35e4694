"""One crawl of the same thing at a time, whatever process or machine it runs in."""

from datetime import datetime

from psycopg import AsyncConnection

# The session holds it, so it ends with the connection, however the process ends:
# https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
_TAKE = """
SELECT pg_try_advisory_lock(hashtextextended(%s, 0)), pid, backend_start
FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""
_END_SESSION = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s
"""


class CrawlLock:
    """Held for as long as the connection lasts that it was taken on."""

    session: tuple[int, datetime] | None = None

    def __init__(self, name: str):
        self.name = name

    async def take(self, connection: AsyncConnection) -> bool:
        """Whether the lock was free, or held by a lost connection of this process.

        Such a connection may live on in the server, as after a cut network, and even be at work.
        """
        if self.session:
            await connection.execute(_END_SESSION, self.session)
        cursor = await connection.execute(_TAKE, [f"coinspider crawl {self.name}"])
        taken, *session = await cursor.fetchone() or (False, None, None)
        if taken:
            self.session = (session[0], session[1])
        return bool(taken)
