"""Only one crawl of the same list at a time, whatever process or machine it runs in.

A crawl holds the lease of its ``lock_name`` while its row in ``crawl`` is open and ``lease_until``
is in the future, by the server's clock. Heartbeats and batches extend it. A crawl that finds the
lease expired closes that row as ``died``. Every write is in a transaction that locks the crawl's
row and checks that it is open, so a crawl that lost its lease changes nothing more, whatever was
under way. Nothing depends on a session, so it works behind a pooler.
"""

import socket
from datetime import datetime
from typing import NamedTuple

from coinspider.crawl.target import CrawlTarget
from coinspider.store.connection import CrawlConnection
from coinspider.store.crawl import begin_crawl, read_totals
from coinspider.store.schema import CRAWL

# coinspider 0.1 holds the same lock until its session ends. Here it only separates two crawls that
# begin at the same time.
# https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
_OPEN = f"""
SELECT id, started_at, updated_at, host, process_id, backend_pid,
       coalesce(lease_until, '-infinity') < clock_timestamp() AS is_expired,
       backend_pid IS NOT NULL AND NOT EXISTS (
           SELECT FROM pg_stat_activity AS session
           WHERE pid = backend_pid AND coalesce(backend_start, '-infinity') <= updated_at
       ) AS has_no_session
FROM {CRAWL.sound} WHERE lock_name = %s AND ended_at IS NULL ORDER BY id DESC
"""  # noqa: S608
# A batch may have locked its row: the crawl is alive after all.
_END_DEAD = f"""
UPDATE crawl SET ended_at = %(updated_at)s, outcome = 'died', reason = 'died',
                 message = 'its process ended silently', reason_figures = '{{}}'
WHERE id = %(id)s AND ended_at IS NULL
    AND {CRAWL.columns["updated_at"].sound("updated_at")} = %(updated_at)s
RETURNING id
"""  # noqa: S608
_END_SESSION = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = %s AND usename = current_user AND backend_start <= %s
"""
_HOLD = """
UPDATE crawl SET updated_at = clock_timestamp(), backend_pid = %(backend_pid)s,
                 lease_until = clock_timestamp() + %(seconds)s * interval '1 s'
WHERE id = %(id)s AND ended_at IS NULL
RETURNING updated_at
"""
_HELD = "SELECT FROM crawl WHERE id = %s AND ended_at IS NULL FOR NO KEY UPDATE"


class Run(NamedTuple):
    """A crawl without an end: it is running, or it died."""

    id: int
    started_at: datetime
    updated_at: datetime
    host: str
    process_id: int
    backend_pid: int | None
    is_expired: bool
    has_no_session: bool

    def __str__(self) -> str:
        return f"crawl {self.id}, process {self.process_id} on {self.host}"

    def is_dead(self) -> bool:
        """Whether its lease has expired, or its process (on this machine) and session are gone."""
        if self.is_expired:
            return True
        if not self.has_no_session or self.host != socket.gethostname():
            return False
        import psutil

        return not psutil.pid_exists(self.process_id)


class CrawlLease:
    """A lease for ``seconds``, which each heartbeat renews."""

    crawl_id = 0
    backend: tuple[int, datetime] | None = None
    """The session that holds it, if it is the crawl's own."""

    def __init__(self, name: str, seconds: float):
        self.name, self.seconds = name, seconds

    async def take(
        self, connection: CrawlConnection, target: CrawlTarget
    ) -> list[Run] | Run | None:
        """Begin the crawl's row and return the crawls that died, or return the one that holds the
        lease.

        ``None`` if that one has just begun and has no row yet. It may be repeated.
        """
        async with connection.transaction():
            locked = await connection.execute(_LOCK, [f"coinspider crawl {self.name}"])
            is_free = (await locked.fetchone() or [False])[0]
            found = await (await connection.execute(_OPEN, [self.name])).fetchall()
            runs = [Run(*row) for row in found]
            if self.crawl_id in (run.id for run in runs):
                # The connection broke after this was done.
                await self.hold(connection)
                return []
            if living := [run for run in runs if not run.is_dead()]:
                return living[0]
            if not is_free:
                return runs[0] if runs else None
            for run in runs:
                if not await self._end(connection, run):
                    return run
            self.crawl_id = await begin_crawl(connection, target)
            await self.hold(connection)
        return runs

    async def hold(self, connection: CrawlConnection) -> None:
        """Continue the lease on this connection, which may be a new one after an outage.

        The old session may still be alive in the server, for example after a network failure.
        Raises :exc:`~coinspider.errors.LeaseLostError` where another crawl took over.
        """
        if self.backend:
            await connection.execute(_END_SESSION, self.backend)
        values = {
            "id": self.crawl_id,
            "seconds": self.seconds,
            "backend_pid": connection.process_id,
        }
        held = await (await connection.execute(_HOLD, values)).fetchone()
        if not held:
            await read_totals(connection, self.crawl_id)
            return
        self.backend = (connection.process_id, held[0]) if connection.process_id else None

    async def check(self, connection: CrawlConnection) -> None:
        """For use in a transaction: until it ends, nobody else can take over.

        Raises :exc:`~coinspider.errors.LeaseLostError`.
        """
        held = await connection.execute(_HELD, [self.crawl_id])
        if not held.rowcount:
            await read_totals(connection, self.crawl_id)

    async def _end(self, connection: CrawlConnection, run: Run) -> bool:
        """Close the row of a dead crawl, and its session; ``False`` if it is alive after all."""
        if run.backend_pid:
            await connection.execute(_END_SESSION, [run.backend_pid, run.updated_at])
        ended = await connection.execute(_END_DEAD, run._asdict())
        return bool(ended.rowcount)
