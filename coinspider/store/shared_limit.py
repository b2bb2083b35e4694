"""A limit that all crawls with the same API and key share."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from math import ceil
from time import monotonic
from typing import TypeVar
from uuid import uuid4

import msgspec
from psycopg import AsyncConnection

from coinspider.http.limit.state import (
    ConfiguredLimit,
    Grant,
    Holder,
    LimitState,
    stored_state,
    within_credits,
)
from coinspider.http.limit.turns import CallLimit, Change, LocalLimit, give_back, leave, take
from coinspider.store.account import (
    KnownState,
    Replacement,
    lock_account,
    replace_account,
    replace_known_account,
)
from coinspider.store.connection import CrawlConnection, one_line
from coinspider.store.reconnecting import SESSION_ERRORS
from coinspider.store.session import CrawlSession

Changes = list[tuple[Change, float]]
"""What has happened, each with its time of :func:`~time.monotonic`."""
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
        self.stored = ""  # the state as JSON, as it was when this crawl last wrote it
        self.granted = Grant(0)
        self.number = 0  # of the current change; the database knows the last one of each crawl
        self.turn = asyncio.Lock()
        self.open = 0  # calls, before the current change grants more
        self.changes: Changes = []
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
        async with self.turn:
            self.number += 1
            happened = self.changes.copy()
            try:
                if not (self.stored and await self._change_known(happened, last)):
                    await self.session.run_at_once(partial(self._change_locked, happened, last))
            except SESSION_ERRORS as error:
                return error
            del self.changes[: len(happened)]
            return None

    async def _change_known(self, happened: Changes, last: Change) -> bool:
        """Change the state as this crawl left it, in one round trip; return whether it was so.

        Only where no call of another crawl counts: then all times are of this crawl's own clock.
        """
        state = stored_state(self.stored)
        if {*state.holders, *(ended.holder for ended in state.ended)} - {self.holder}:
            return False
        known = KnownState(self.stored, monotonic() + self.clock_ahead)
        made = state.made
        self._apply(state, happened, last, known.now)
        stored, calls = _json(state), state.made - made
        total = await self.session.run_at_once(
            lambda connection, crawl_id: replace_known_account(
                connection, self.account, Replacement(stored, calls), known, crawl_id
            )
        )
        if total is None:
            return False
        self.state, self.stored, self.calls = state, stored, total
        return True

    async def _change_locked(
        self, happened: Changes, last: Change, connection: CrawlConnection, crawl_id: int
    ) -> None:
        """Change the state that other crawls change as well, in two round trips."""
        # The server is asked after this. So nothing that has happened is taken to be earlier than
        # it was, however long the question takes.
        asked_at = monotonic()
        state, server_asked_at, now = await lock_account(connection, self.account, crawl_id)
        self.clock_ahead = server_asked_at - asked_at
        made, me = state.made, state.holders.setdefault(self.holder, Holder())
        if me.changes == self.number:
            # This was done before the connection broke. What was granted then is too old by now.
            give_back(state, self.holder, me.open - self.open)
            happened = []
        self._apply(state, happened, last, now)
        stored, calls = _json(state), state.made - made
        total = await replace_account(connection, self.account, Replacement(stored, calls))
        self.state, self.stored, self.calls = state, stored, total

    def _apply(self, state: LimitState, happened: Changes, last: Change, now: float) -> None:
        me = state.holders.setdefault(self.holder, Holder())
        for change, moment in happened:
            change(state, moment + self.clock_ahead)
        self.open = me.open
        last(state, now)
        if self.holder in state.holders:
            state.holders[self.holder].changes = self.number

    def _go_on_alone(self) -> LocalLimit:
        alone = LocalLimit(self.configured, lambda: monotonic() + self.clock_ahead)
        alone.state, alone.holder = self.state, self.holder
        for change, moment in self.changes:
            change(alone.state, moment + self.clock_ahead)
        return alone


def _json(state: LimitState) -> str:
    """Small, so that an update finds room in the row's own page: times are later by up to 1 ms."""
    for ended in state.ended:
        ended.first_at, ended.at = (ceil(1000 * at) / 1000 for at in (ended.first_at, ended.at))
    return msgspec.json.encode(state).decode()
