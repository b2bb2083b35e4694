"""What is known of a limit, as a value.

One crawl alone keeps it in memory; crawls that share a key keep it in the database. Times are
seconds since 1970 of one clock: this machine's, or the database's.
"""

from typing import NamedTuple

from msgspec import Struct, field

NEVER = 1e12
# How long a call may begin after it was granted. One of a crawl that died then counts for a period.
GRANT_SECONDS = 2.0


class ToldLimit(Struct, frozen=True):
    """What a user or a plan says: ``calls`` in ``period`` seconds; 0 calls where nothing is said.

    A ``firm`` one is never exceeded; one that is not firm is only where learning begins.
    """

    calls: int = 0
    period: float = 60.0
    firm: bool = True


class Ended(Struct):
    """Calls of one crawl that count until a period after ``at``, when the last of them ended."""

    holder: str
    count: int
    first_at: float
    at: float


class Holder(Struct):
    """A crawl: how many calls it may make or has under way, and whether it waits for more."""

    open: int = 0
    until: float = 0.0
    """When the last of them has begun, at the latest."""
    active_until: float = 0.0
    waits: bool = False
    wanted: int = 1
    changes: int = 0
    """The number of its last change of the state."""


class Grant(NamedTuple):
    """How many calls may go; where none may, for how many seconds, and why."""

    calls: int
    wait: float = 0.0
    why: str = ""
    exhausted: str = ""
    """Why none may for the rest of the month."""
    at_once: int = 1_000_000
    """How many calls may be under way at a time."""


class LimitState(Struct):
    """All that is known of the limit of one API and key; ``calls`` is 0 where that is nothing."""

    calls: int = 0
    period: float = 60.0
    rate: float = 0.0
    """Calls per second, where the limiter gives them back one by one: ``calls`` is the burst."""
    tokens: float = 0.0
    tokens_at: float = 0.0
    source: str = ""
    """How it is known: ``learned`` from refusals, or told by ``headers``."""
    refused_at: float = 0.0
    run_start: float = 0.0
    run_passed: int = 0
    """How many calls have passed since the last refusal, and when the first of them began."""
    burst_start: float = 0.0
    burst_end: float = 0.0
    burst_passed: int = 0
    """When the calls began that met a limit at first, and when one of them was refused."""
    since_at: float = 0.0
    since_passed: int = 0
    """How many calls have passed since a bucket had one call; the rate is measured from there."""
    is_rough: bool = False
    """Whether the rate was measured from a few calls only."""
    since_wait: float = 0.0
    since_full: bool = False
    """Whether it was full then, or how long the wait was that was told then."""
    age: float = 0.0
    answered_at: float = 0.0
    """How long the last call took, in seconds, and when it was answered."""
    in_a_row: int = 0
    proven_calls: int = 0
    proven_rate: float = 0.0
    """What was known before the limit was raised for a trial."""
    is_proved: bool = False
    """Whether several periods' calls have passed without a refusal."""
    doubted_at: float = 0.0
    """When a refusal was last put down to something else."""
    distrusts_headers: bool = False
    """Whether refusals contradict what headers tell."""
    patience: float = 0.0
    probe_at: float = NEVER
    seen_at: float = 0.0
    """The latest time that was seen."""
    blocked_until: float = 0.0
    why: str = ""
    made: int = 0
    """How many calls were granted, without those that were given back."""
    told: ToldLimit = ToldLimit()
    """What the crawl that asked last was told."""
    exhausted_until: float = 0.0
    """No call goes before that: the credits of the month are used up."""
    exhausted_words: str = ""
    ended: list[Ended] = field(default_factory=list)
    by_second: dict[int, int] = field(default_factory=dict)
    """How many calls ended in each second of the last minute, however short the period is."""
    holders: dict[str, Holder] = field(default_factory=dict)

    def limit_for(self, told: ToldLimit) -> tuple[int, float, float]:
        """Calls, period and rate: the stricter of what is known and of what is firmly told."""
        firm = told.calls if told.firm else 0
        known = self.rate or self.calls / self.period
        if firm and (not self.calls or firm / told.period < known):
            return firm, told.period, 0.0
        return self.calls, self.period, self.rate

    def windows_beside(self, told: ToldLimit) -> list[tuple[int, float]]:
        """Calls and period of a window that holds as well as what ``limit_for`` returns."""
        known = [(self.calls, self.period)] if self.calls and not self.rate else []
        firm = [(told.calls, told.period)] if told.firm and told.calls else []
        strictest = self.limit_for(told)[:2]
        return [window for window in firm + known if window != strictest or self.rate]

    def others(self, holder: str) -> int:
        """How many crawls wait or call beside this one."""
        return sum(name != holder for name in self.holders)

    def is_careful(self) -> bool:
        """Whether the next call may well be refused: the first one after a refusal."""
        return self.in_a_row > 0
