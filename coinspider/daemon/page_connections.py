"""Database connections that pages pass on to the next page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from twisted.internet import reactor

from coinspider.daemon.database import database
from coinspider.store.connect import open_connection, pin_transaction

_IDLE_MAX = 30.0  # seconds


class IdleConnections:
    """Connections that the next page may use; for threads.

    Opening one, and reading the tables' definitions again, takes longer than most pages.
    """

    def __init__(self, now: Callable[[], float] = monotonic):
        self._idle: list[tuple[float, psycopg.Connection]] = []
        self._lock, self._now = Lock(), now

    def take(self) -> psycopg.Connection | None:
        """The most recently used one, unless that was long ago."""
        self.close_old()
        with self._lock:
            return self._idle.pop()[1] if self._idle else None

    def keep(self, connection: psycopg.Connection) -> None:
        if connection.info.transaction_status != TransactionStatus.IDLE:
            connection.close()
            return
        with self._lock:
            self._idle.append((self._now() + _IDLE_MAX, connection))

    def close_old(self) -> None:
        with self._lock:
            old = [one for until, one in self._idle if until <= self._now()]
            self._idle = [kept for kept in self._idle if kept[0] > self._now()]
        for connection in old:
            connection.close()


_idle = IdleConnections()


@contextmanager
def page_connection() -> Iterator[psycopg.Connection]:
    """Like :func:`~coinspider.daemon.database.connection`, but possibly used by an earlier page."""
    connected = _begin()
    try:
        yield connected
        connected.commit()
    except BaseException:
        connected.close()
        raise
    _idle.keep(connected)
    # Idle ones are closed even if no other page is requested.
    clock: Any = reactor
    clock.callFromThread(clock.callLater, _IDLE_MAX + 1, _idle.close_old)


def _begin() -> psycopg.Connection:
    if connected := _idle.take():
        try:
            pin_transaction(connected, database())
            return connected
        except psycopg.Error:  # the server has ended it
            connected.close()
    connected = open_connection(database())
    pin_transaction(connected, database())
    return connected
