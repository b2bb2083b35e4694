"""One crawl of the same thing at a time, whatever process or machine it runs in."""

from psycopg import AsyncConnection

# The session holds it, so it ends with the connection, however the process ends:
# https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
_TAKE = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"


async def take_lock(connection: AsyncConnection, name: str) -> bool:
    """Take the lock of this name for as long as the connection lasts; whether it was free."""
    row = await (await connection.execute(_TAKE, [f"coinspider crawl {name}"])).fetchone()
    return row == (True,)
