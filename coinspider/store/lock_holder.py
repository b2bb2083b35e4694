"""Who holds the lock that a statement waited for in vain."""

from collections.abc import Iterable

import psycopg
from psycopg import AsyncConnection, errors

# https://www.postgresql.org/docs/current/view-pg-locks.html
_HOLDER = """
SELECT relname, session.pid, coalesce(nullif(application_name, ''), backend_type), usename,
       xact_start
FROM pg_locks JOIN pg_class ON pg_class.oid = relation
    JOIN pg_stat_activity AS session ON session.pid = pg_locks.pid
WHERE granted AND relname = ANY(%s) AND session.pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY mode = 'AccessShareLock', xact_start LIMIT 1
"""


async def lock_holder(connection: AsyncConnection, error: Exception, tables: Iterable[str]) -> str:
    """One line about the session whose lock on a table may have caused an error; empty if none."""
    if not isinstance(error, errors.LockNotAvailable | errors.QueryCanceled):
        return ""
    try:
        async with connection.transaction():
            row = await (await connection.execute(_HOLDER, [list(tables)])).fetchone()
    except (psycopg.Error, TimeoutError):
        return ""
    if row is None:
        return ""
    table, pid, application, user, since = row
    began = f" since {since.isoformat(timespec='seconds')}" if since else ""
    return (
        f"the table {table} is locked by the server's process {pid}: {application} of {user}{began}"
    )
