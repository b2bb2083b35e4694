"""What the sandbox counts for each key: calls against the limit, and monthly credits."""

from collections.abc import Callable
from dataclasses import dataclass, field

from coinspider.sandbox.limits import Limit, NoLimit


@dataclass
class Account:
    """One key, or all clients without one; ``credits`` is ``None`` if they are not counted."""

    limit: Limit
    credits: int | None = None
    used: int = 0

    @property
    def is_exhausted(self) -> bool:
        return self.credits is not None and self.used >= self.credits

    @property
    def credits_left(self) -> int | None:
        return None if self.credits is None else max(0, self.credits - self.used)


@dataclass
class Accounts:
    """An account for each key, created on its first call."""

    new_limit: Callable[[], Limit] = NoLimit
    credits: int | None = None
    by_key: dict[str | None, Account] = field(default_factory=dict)

    def of(self, key: str | None) -> Account:
        if key not in self.by_key:
            self.by_key[key] = Account(self.new_limit(), self.credits)
        return self.by_key[key]
