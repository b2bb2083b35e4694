"""Decides whether the listing of the coins is new enough for a page, and makes it.

If it is too old, a page uses the table itself, and the listing is made again in the background. So
what pages use reflects the last crawl or, while crawls write, is some seconds old. Only of so many
coins that it takes seconds to make, an old one is used until the next is ready: without it, each
page would take too long.
"""

from collections.abc import Callable
from threading import Lock, Thread
from time import monotonic
from typing import NamedTuple

from psycopg import Connection, Error
from twisted.logger import Logger

from coinspider.daemon.database import database
from coinspider.daemon.views.columns import CHANGES
from coinspider.errors import CoinspiderError
from coinspider.items import FullCoin
from coinspider.store.connection import transaction
from coinspider.store.listing import TABLE, Version, listing_version, make_listing

log = Logger()
# How old it may be while crawls write, and while they don't (the price of an hour ago still
# changes). Making it takes at most a twentieth of the time.
_AGE_WRITTEN, _AGE_SAME, _SHARE = 5.0, 120.0, 20  # seconds, seconds, times
_LONG = 3.0  # seconds
_RENEWED = 0.5  # of that age, so that the next one is ready in time
_PATIENCE = 600.0  # seconds
_PAUSE = 600.0  # seconds: after a failure, for example if the database is read-only


class Made(NamedTuple):
    """The state a listing reflects, when it was made, and how many seconds that took.

    ``sorts`` are the columns of which it has the order, but not the values.
    """

    version: Version
    at: float
    seconds: float
    sorts: frozenset[str] = frozenset()

    def suits(self, now: Version) -> bool:
        """Whether it may be used: rows may have been written since, but no crawl has ended.

        One that takes long to make is used until the next one is ready.
        """
        is_current = now.ended_at == self.version.ended_at or self.seconds > _LONG
        return is_current and self.age(now) < 1

    def is_old(self, now: Version) -> bool:
        """Whether it is time to make the next one."""
        return now.ended_at != self.version.ended_at or self.age(now) > _RENEWED

    def age(self, now: Version) -> float:
        """Its age as a share of the maximum."""
        least = _AGE_SAME if now == self.version else _AGE_WRITTEN
        return (monotonic() - self.at) / max(least, _SHARE * self.seconds)


class CoinListing:
    """The listing of a database; for threads."""

    def __init__(self, make: Callable[[frozenset[str]], Made | None]):
        self._make = make
        self._made: Made | None = None
        self._sorts: frozenset[str] = frozenset()
        self._making = Lock()
        self._paused_until = 0.0

    def current(self, connected: Connection) -> str | None:
        """Its name, if it may be used; if it is out of date, it is made again."""
        now, made = listing_version(connected, FullCoin), self._made
        if not made or made.is_old(now) or not self._sorts <= made.sorts:
            Thread(target=self.renew, daemon=True, name="listing").start()
        return TABLE if made and made.suits(now) else None

    def needed(self, connected: Connection) -> str | None:
        """Like :meth:`current`, but waits if there is none, or only an old one."""
        if found := self.current(connected):
            return found
        if not self._made:
            self.renew(wait=True)
        return TABLE if self._made else None

    def renew(self, wait: bool = False) -> None:
        """Make it, unless that is already happening."""
        if not self._making.acquire(blocking=wait):
            return
        try:
            if monotonic() >= self._paused_until and not (wait and self._made):
                self._made = self._make(self._sorts) or self._made
        except (Error, CoinspiderError) as error:
            self._paused_until = monotonic() + _PAUSE
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            log.info("The pages go without a listing of the coins: {reason}", reason=reason)
        finally:
            self._making.release()

    def has_order(self, column: str) -> bool:
        """Whether it has the order by this column of the table; if not, the next one has."""
        self._sorts |= {column}
        return bool(self._made and column in self._made.sorts)

    def forget(self) -> None:
        """Note that somebody has dropped it."""
        self._made = None


def make_in_database(sorts: frozenset[str]) -> Made | None:
    """In its own transaction; ``None`` if another node is making it."""
    begin = monotonic()
    with transaction(database()._replace(statement_timeout=_PATIENCE)) as connection:
        version = listing_version(connection, FullCoin)
        if not version.written or not make_listing(connection, FullCoin, CHANGES, sorts):
            return None
    return Made(version, begin, monotonic() - begin, sorts)


coin_listing = CoinListing(make_in_database)
