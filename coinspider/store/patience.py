"""How long to wait for the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# The server itself ends statements that take too long; a server that stays silent is given up.
_GRACE = 5.0  # seconds
# How many seconds a crawl that is told to end has for its work in the database. psycopg then takes
# up to ten more to cancel; scrapyd kills after thirty (stop_timeout).
_STOP = 10.0


class Patience:
    """A time limit for each answer, and for all of them together once the crawl is told to end."""

    def __init__(self, statement_timeout: float):
        self.seconds = statement_timeout + _GRACE
        self.deadline: float | None = None
        self.waiting: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def bound(self) -> AsyncIterator[None]:
        """A context that raises :exc:`TimeoutError` if it takes too long."""
        until = asyncio.get_running_loop().time() + self.seconds
        async with asyncio.timeout_at(min(until, self.deadline or until)) as scope:
            self.waiting.add(scope)
            try:
                yield
            finally:
                self.waiting.discard(scope)

    def end_soon(self) -> None:
        """From now on there is one deadline for everything."""
        self.deadline = deadline = asyncio.get_running_loop().time() + _STOP
        for scope in self.waiting:
            scope.reschedule(min(scope.when() or deadline, deadline))

    def is_over(self) -> bool:
        return self.deadline is not None and asyncio.get_running_loop().time() >= self.deadline
