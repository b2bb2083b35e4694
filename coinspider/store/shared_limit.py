"""A limit that all crawls with the same API and key share."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import TypeVar
from uuid import uuid4

from psycopg import AsyncConnection

from coinspider.http.limit.credits import within_credits
from coinspider.http.limit.state import ConfiguredLimit, Grant, Holder, LimitState
from coinspider.http.limit.turns import CallLimit, Change, LocalLimit, give_back, leave, take
from coinspider.store.account import read_account, replace_account
from coinspider.store.connection import one_line
from coinspider.store.reconnecting import SESSION_ERRORS
from coinspider.store.session import CrawlSession

logger = logging.getLogger(__name__)
T = TypeVar("T")


class SharedLimit:
    """A :class:`~coinspider.http.limit.turns.CallLimit` in a row of ``api_account``.

    Calls are granted in batches, about as many as the crawl makes in a second, so that a wide limit
    costs a crawl no more than one transaction a second. The crawl waits for a database that is
    away. If it is there but can't be asked, the crawl goes on with what was known last.
    """

    def __init__(
        self,
        session: CrawlSession,
        account: str,
        configured: ConfiguredLimit,
    ):
        self.session, self.account, self.configured = session, account, configured
        self.calls = 0
        self.calls_max: int | None = None
        self.holder = uuid4().hex[:8]
        self.state = LimitState(period=configured.period)
        self.granted = Grant(0)
        self.number = 0  # of the current change; the database knows the last one of each crawl
        self.open = 0  # calls, before the current change grants more
        self.changes: list[tuple[Change, float]] = []
        self.clock_ahead = 0.0  # of the server's clock against monotonic()
        self.alone: CallLimit | None = None

    @property
    def credits_left(self) -> int | None:
        return None if self.calls_max is None else self.calls_max - self.calls

    def note(self, change: Change) -> None:
        self.changes.append((change, monotonic()))
        if self.alone:
            self.alone.note(change)

    async def take(self, wanted: int) -> Grant:
        def take_some(state: LimitState, now: float) -> None:
            self.granted = take(state, self.holder, now, wanted, self.configured)

        if error := await self._change(take_some):
            return await self._take_alone(wanted, error)
        if self.alone:
            logger.info("Calls are shared with other crawls of this key again")
            self.alone = None
        return self._within_credits(self.granted)

    async def _take_alone(self, wanted: int, error: Exception) -> Grant:
        if not self.alone:
            reason = one_line(error)
            logger.warning("Calls are not shared with other crawls of this key: %s", reason)
            self.alone = self._go_on_alone()
        grant = await self.alone.take(wanted)
        if grant.calls:
            self.changes.append((partial(self._add, grant.calls), monotonic()))
        return grant

    def _add(self, calls: int, state: LimitState, _now: float) -> None:
        """Count calls that were granted without the database."""
        state.holders.setdefault(self.holder, Holder()).open += calls
        state.made += calls

    def _within_credits(self, grant: Grant) -> Grant:
        """Another crawl may have made the calls that were left when this one began."""
        left = within_credits(grant, self.calls, self.calls_max)
        if unused := grant.calls - left.calls:
            self.note(lambda state, _now: give_back(state, self.holder, unused))
        return left

    async def ask(self, question: Callable[[AsyncConnection, str], Awaitable[T]]) -> T:
        """Query the database about this account; raises one of ``SESSION_ERRORS``."""
        return await self.session.run(lambda connection: question(connection, self.account))

    async def leave(self) -> None:
        """Note that this crawl needs no more calls."""
        await self._change(lambda state, _now: leave(state, self.holder))

    async def _change(self, last: Change) -> Exception | None:
        """Apply what has happened and one thing more, or return why that is not possible."""
        self.number += 1
        happened = self.changes.copy()
        try:
            self.state, self.calls = await self.session.run(
                lambda connection: self._apply(connection, happened, last)
            )
        except SESSION_ERRORS as error:
            return error
        del self.changes[: len(happened)]
        return None

    async def _apply(
        self, connection: AsyncConnection, happened: list[tuple[Change, float]], last: Change
    ) -> tuple[LimitState, int]:
        """Change the state in the database; return it, and the calls of this month."""
        # The server is asked after this. So nothing that has happened is taken to be earlier than
        # it was, however long the question takes.
        asked_at = monotonic()
        state, server_asked_at, now = await read_account(connection, self.account)
        self.clock_ahead = server_asked_at - asked_at
        made, me = state.made, state.holders.setdefault(self.holder, Holder())
        if me.changes == self.number:
            # This was done before the connection broke. What was granted then is too old by now.
            give_back(state, self.holder, me.open - self.open)
        else:
            for change, moment in happened:
                change(state, moment + self.clock_ahead)
            self.open = me.open
        last(state, now)
        if self.holder in state.holders:
            state.holders[self.holder].changes = self.number
        return state, await replace_account(connection, self.account, state, state.made - made)

    def _go_on_alone(self) -> LocalLimit:
        alone = LocalLimit(self.configured, lambda: monotonic() + self.clock_ahead)
        alone.state, alone.holder = self.state, self.holder
        for change, moment in self.changes:
            change(alone.state, moment + self.clock_ahead)
        return alone
