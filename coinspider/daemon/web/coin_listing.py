"""Whether the listing of the coins is new enough for a page to look in it, and its making.

A page that finds it too old looks in the table itself, and the listing is made anew beside it. So
none is wrong: what a page looks in is of the last crawl, or, while crawls write, some seconds old.
"""

from collections.abc import Callable
from threading import Lock, Thread
from time import monotonic
from typing import NamedTuple

from psycopg import Connection, Error
from twisted.logger import Logger

from coinspider.daemon.database import database
from coinspider.daemon.web.coin_columns import CHANGES
from coinspider.errors import CoinspiderError
from coinspider.items import FullCoin
from coinspider.store.connect import transaction
from coinspider.store.listing import TABLE, Version, listing_version, make_listing

log = Logger()
# How old it may be while crawls write, and while they don't: the price of an hour ago moves all the
# same. To make it takes no more than a twentieth of the time.
_AGE_WRITTEN, _AGE_SAME, _SHARE = 5.0, 120.0, 20  # seconds, seconds, times
_RENEWED = 0.5  # of that age, so that the next one is there in time
_PATIENCE = 600.0  # seconds
_PAUSE = 600.0  # seconds: after a failure, as where the database may only be read


class Made(NamedTuple):
    """What a listing is of, when it was made, and how many seconds that took."""

    version: Version
    at: float
    seconds: float

    def suits(self, now: Version) -> bool:
        """Whether it may be looked in: rows may have been written, but no crawl has ended."""
        return now.ended_at == self.version.ended_at and self.age(now) < 1

    def age(self, now: Version) -> float:
        """As a share of how old it may be."""
        least = _AGE_SAME if now == self.version else _AGE_WRITTEN
        return (monotonic() - self.at) / max(least, _SHARE * self.seconds)


class CoinListing:
    """The one of a database; for threads."""

    def __init__(self, make: Callable[[], Made | None]):
        self._make = make
        self._made: Made | None = None
        self._making = Lock()
        self._paused_until = 0.0

    def current(self, connected: Connection) -> str | None:
        """Its name, where it may be looked in; where it is not up to date it is made anew."""
        now, made = listing_version(connected, FullCoin), self._made
        if not made or not made.suits(now) or made.age(now) > _RENEWED:
            Thread(target=self.renew, daemon=True, name="listing").start()
        return TABLE if made and made.suits(now) else None

    def needed(self, connected: Connection) -> str | None:
        """As :meth:`current`, but waited for if there is none, or an old one."""
        if found := self.current(connected):
            return found
        if not self._made:
            self.renew(wait=True)
        return TABLE if self._made else None

    def renew(self, wait: bool = False) -> None:
        """Make it, unless that is done at this moment."""
        if not self._making.acquire(blocking=wait):
            return
        try:
            if monotonic() >= self._paused_until and not (wait and self._made):
                self._made = self._make() or self._made
        except (Error, CoinspiderError) as error:
            self._paused_until = monotonic() + _PAUSE
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            log.info("The pages go without a listing of the coins: {reason}", reason=reason)
        finally:
            self._making.release()

    def forget(self) -> None:
        """Somebody has dropped it."""
        self._made = None


def make_in_database() -> Made | None:
    """In a transaction of its own; ``None`` if another node does so at this moment."""
    begin = monotonic()
    with transaction(database()._replace(statement_timeout=_PATIENCE)) as connection:
        version = listing_version(connection, FullCoin)
        if not version.written or not make_listing(connection, FullCoin, CHANGES):
            return None
    return Made(version, begin, monotonic() - begin)


coin_listing = CoinListing(make_in_database)
