"""A connection to PostgreSQL that survives outages of the database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from random import uniform
from time import monotonic
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection, errors

from coinspider.errors import (
    CrawlRowError,
    DatabaseGoneError,
    DatabaseUnreachableError,
    LeaseLostError,
)
from coinspider.store.connection import CrawlConnection, Patience, one_line

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
logger = logging.getLogger(__name__)
T = TypeVar("T")
Within = AbstractAsyncContextManager[None]
# Connection, serialisation, resources, operator intervention, system errors: the statement is not
# at fault. https://www.postgresql.org/docs/current/errcodes-appendix.html
_OUTAGES = ("08", "40", "53", "55P03", "57", "58")
_LONGEST_PAUSE = 5.0  # seconds
_LAST_TRY = 2.0  # seconds
SESSION_ERRORS = (psycopg.Error, DatabaseGoneError, LeaseLostError, CrawlRowError)
"""What ends a crawl's work in the database, each with a message of one plain line."""


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


def is_outage(error: Exception) -> bool:
    """Whether the same work may succeed a little later."""
    if isinstance(error, psycopg.Error) and error.sqlstate:
        return error.sqlstate.startswith(_OUTAGES)
    # The client's own errors about broken or silent connections have no code.
    return isinstance(
        error,
        psycopg.OperationalError | psycopg.InterfaceError | DatabaseUnreachableError | TimeoutError,
    )


# What is the matter, by SQLSTATE: now, and afterwards.
_AWAY = ("The database is away", "the database was away")
_TROUBLES = {
    "55P03": ("A table is locked", "a table was locked"),
    "57014": ("A statement takes too long", "no statement came to its end"),
}


class Outage:
    """An outage of the database, with growing pauses between attempts."""

    def __init__(self) -> None:
        self.began, self.pause = monotonic(), 0.1
        self.cause, self.sqlstate = "", None

    def error(self, last: Exception, how_long: str) -> DatabaseGoneError:
        # The client's own errors have none: at the end it waits no longer for the server's.
        sqlstate = getattr(last, "sqlstate", None) or self.sqlstate
        _, was = _TROUBLES.get(sqlstate or "", _AWAY)
        return DatabaseGoneError(f"{was} {how_long}: {one_line(last)}{self.cause}", sqlstate)

    def passed(self) -> float:
        return monotonic() - self.began

    async def wait(self) -> None:
        await asyncio.sleep(self.pause * uniform(0.5, 1.0))  # noqa: S311
        self.pause = min(self.pause * 2, _LONGEST_PAUSE)


class ReconnectingConnection:
    """Runs one piece of work at a time, and repeats it after an outage.

    Each outage may last ``timeout`` seconds; after that nothing is tried again. ``explain`` adds
    what is known about an error to its message.
    """

    def __init__(
        self,
        connection: CrawlConnection,
        reconnect: Callable[[], Awaitable[CrawlConnection]],
        timeout: float,
        explain: Callable[[CrawlConnection, Exception], Awaitable[str]],
    ):
        self.connection, self.reconnect, self.timeout = connection, reconnect, timeout
        self.explain = explain
        self.turn = asyncio.Lock()
        self.ended_by: Exception | None = None
        # The first outage is the one that is reported.
        self.outage_count = 0

    @property
    def patience(self) -> Patience:
        return self.connection.patience

    async def run(
        self,
        work: Callable[[CrawlConnection], Awaitable[T]],
        within: Callable[[CrawlConnection], Within] = CrawlConnection.pinned,
    ) -> T:
        """Do some work that may be repeated, within a context of its connection.

        Raises :exc:`DatabaseGoneError`, and what ``work`` and ``reconnect`` raise but for outages.
        """
        outage = None
        try:
            while True:
                try:
                    result = await self._try(work, within)
                except Exception as error:
                    if not is_outage(error):
                        raise
                    outage = outage or await self._begin_outage(error)
                    await self._wait(outage, error)
                else:
                    if outage and self.outage_count == 1:
                        logger.info("The database is back, %.1f s later", outage.passed())
                    return result
        finally:
            self.outage_count -= bool(outage)

    def try_once_more(self) -> None:
        """Let what comes now be tried once, though an outage lasted too long: it may be over.

        A server that still answers gets a little time for it, even if the crawl is to end.
        """
        if isinstance(self.ended_by, DatabaseGoneError):
            if self.ended_by.sqlstate:
                self.patience.extend(_LAST_TRY)
            self.ended_by, self.timeout = None, 0.0

    async def _try(
        self,
        work: Callable[[CrawlConnection], Awaitable[T]],
        within: Callable[[CrawlConnection], Within],
    ) -> T:
        # The lock is released between two attempts, so that the heartbeat gets its turn.
        async with self.turn:
            connection = await self._connected()
            async with within(connection):
                return await work(connection)

    async def close(self) -> None:
        await self.connection.close()

    async def _connected(self) -> CrawlConnection:
        if self.ended_by:
            raise self.ended_by
        if self.connection.closed:
            self.connection = await self.reconnect()
        return self.connection

    async def _begin_outage(self, error: Exception) -> Outage:
        outage = Outage()
        self.outage_count += 1
        async with self.turn:
            cause = await self.explain(self.connection, error)
        outage.cause = f" ({cause})" if cause else ""
        outage.sqlstate = getattr(error, "sqlstate", None)
        if self.outage_count == 1 and self.timeout:
            now, _ = _TROUBLES.get(getattr(error, "sqlstate", None) or "", _AWAY)
            logger.warning(
                "%s; the crawl waits up to %g s for it: %s%s",
                now,
                self.timeout,
                one_line(error),
                outage.cause,
            )
        return outage

    async def _wait(self, outage: Outage, error: Exception) -> None:
        is_over = self.patience.is_over()
        if not is_over and outage.passed() + outage.pause <= self.timeout:
            await outage.wait()
            return
        how_long = "when the crawl was to end" if is_over else f"for {self.timeout:g} seconds"
        self.ended_by = outage.error(error, how_long)
        raise self.ended_by from None
