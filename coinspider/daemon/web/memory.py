"""Recent results of a view, for others who request the same."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")
SIZE = 256


class Memory(Generic[T]):
    """Keeps the latest answers for some seconds; for threads."""

    def __init__(self, seconds: float, now: Callable[[], float] = monotonic):
        self.seconds, self._now = seconds, now
        self._kept: OrderedDict[object, tuple[float, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: object, find: Callable[[], T]) -> T:
        """The answer for a key, computed again if it is too old; two threads may do so at once."""
        with self._lock:
            until, kept = self._kept.get(key, (0.0, None))
        if kept is not None and self._now() < until:
            return kept
        found = find()
        with self._lock:
            self._kept[key] = self._now() + self.seconds, found
            self._kept.move_to_end(key)
            if len(self._kept) > SIZE:
                self._kept.popitem(last=False)
        return found
