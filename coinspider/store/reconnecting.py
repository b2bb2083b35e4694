"""A connection to PostgreSQL that outlives the database's absences."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import uniform
from time import monotonic
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection

from coinspider.errors import DatabaseGoneError, DatabaseUnreachableError
from coinspider.store.connect import one_line

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Connection, serialisation, resources, the operator's intervention, the system: not the statement
# is at fault.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_OUTAGES = ("08", "40", "53", "55P03", "57", "58")
_LONGEST_PAUSE = 5.0  # seconds


def is_outage(error: Exception) -> bool:
    """Whether the same may work a little later."""
    if isinstance(error, psycopg.Error) and error.sqlstate:
        return error.sqlstate.startswith(_OUTAGES)
    # What the client itself says of a broken connection has no code.
    return isinstance(
        error, psycopg.OperationalError | psycopg.InterfaceError | DatabaseUnreachableError
    )


class Outage:
    """A time without the database, and the growing pauses in it."""

    def __init__(self) -> None:
        self.began, self.pause = monotonic(), 0.1

    def passed(self) -> float:
        return monotonic() - self.began

    async def wait(self) -> None:
        await asyncio.sleep(self.pause * uniform(0.5, 1.0))  # noqa: S311
        self.pause = min(self.pause * 2, _LONGEST_PAUSE)


class ReconnectingConnection:
    """Runs one piece of work at a time, again where the database was away meanwhile.

    It is waited for, at most ``timeout`` seconds at a time; then nothing is tried any more.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        reconnect: Callable[[], Awaitable[AsyncConnection]],
        timeout: float,
    ):
        self.connection, self.reconnect, self.timeout = connection, reconnect, timeout
        self.turn = asyncio.Lock()
        self.ended_by: Exception | None = None

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do some work that may be done again.

        Raises :exc:`DatabaseGoneError`, and what ``work`` and ``reconnect`` raise but for outages.
        """
        async with self.turn:
            outage = None
            while True:
                try:
                    result = await work(await self._connected())
                except Exception as error:
                    if not is_outage(error):
                        raise
                    outage = outage or self._begin_outage(error)
                    await self._wait(outage, error)
                else:
                    if outage:
                        logger.info("The database is back, %.1f s later", outage.passed())
                    return result

    async def close(self) -> None:
        await self.connection.close()

    async def _connected(self) -> AsyncConnection:
        if self.ended_by:
            raise self.ended_by
        if self.connection.closed:
            self.connection = await self.reconnect()
        return self.connection

    def _begin_outage(self, error: Exception) -> Outage:
        logger.warning(
            "The database is away, and waited for up to %g s: %s", self.timeout, one_line(error)
        )
        return Outage()

    async def _wait(self, outage: Outage, error: Exception) -> None:
        if outage.passed() + outage.pause > self.timeout:
            message = f"the database was away for {self.timeout:g} seconds: {one_line(error)}"
            self.ended_by = DatabaseGoneError(message)
            raise self.ended_by from None
        await outage.wait()
