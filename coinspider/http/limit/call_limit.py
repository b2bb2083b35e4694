"""Where a crawl gets permission for its calls: in its own memory, or shared with other crawls."""

from collections.abc import Callable
from time import monotonic, time
from typing import Protocol

from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError
from coinspider.http.limit.credits import within_credits
from coinspider.http.limit.state import Grant, LimitState, ToldLimit
from coinspider.http.limit.turns import give_back, take

Change = Callable[[LimitState, float], None]
"""What is learned from a call: a function of the state and the time at which it ended."""


class CallLimit(Protocol):
    """The limit of one API and key, for one crawl.

    Implementations keep a :class:`LimitState` that nothing else changes. ``note`` remembers an
    event until the next ``take``, which applies it first. ``holder`` is the crawl's name in the
    state.
    """

    holder: str
    state: LimitState
    """As it was last seen."""
    calls_max: int | None
    """No call is granted once this many are made in the month; ``None`` for no such limit."""

    async def take(self, wanted: int) -> Grant:
        """Permission for up to ``wanted`` calls, or how long to wait for it."""

    def note(self, change: Change) -> None:
        """Remember an event that happened just now, without waiting."""


class LocalLimit:
    """A limit that no other crawl shares."""

    holder = ""

    def __init__(self, told: ToldLimit, clock: Callable[[], float] | None = None):
        self.told, self.state = told, LimitState(period=told.period)
        self.calls_max: int | None = None
        self.clock = clock or _steady_clock()

    async def take(self, wanted: int) -> Grant:
        grant = take(self.state, self.holder, self.clock(), 1, self.told)
        left = within_credits(grant, self.state.made, self.calls_max)
        if unused := grant.calls - left.calls:
            give_back(self.state, self.holder, unused)
        return left

    def note(self, change: Change) -> None:
        change(self.state, self.clock())


def _steady_clock() -> Callable[[], float]:
    """Unix time that never goes back."""
    began = time() - monotonic()
    return lambda: began + monotonic()


def told_from_settings(settings: BaseSettings) -> ToldLimit:
    """``RATELIMIT_CALLS`` (a number, or ``auto``) in ``RATELIMIT_PERIOD`` seconds.

    It is firm unless ``RATELIMIT_FIRM`` is off. Raises :exc:`ConfigurationError`.
    """
    text = str(settings.get("RATELIMIT_CALLS") or 0)
    period = settings.getfloat("RATELIMIT_PERIOD", 60.0)
    if text != "auto" and not text.isdecimal():
        raise ConfigurationError(
            f"API_RATE_LIMIT={text} is not a number of calls per minute (0 for no limit, auto to"
            " learn it)"
        )
    if not period > 0:
        raise ConfigurationError(f"RATELIMIT_PERIOD={period:g} is not a number of seconds above 0")
    if text == "auto":
        return ToldLimit(0, period, firm=False)
    return ToldLimit(int(text), period, settings.getbool("RATELIMIT_FIRM", True))
