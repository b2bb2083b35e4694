"""Threads that wait for the database: some for pages, others for monitoring."""

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from coinspider.errors import ViewError

PAGE_THREADS, FIGURE_THREADS = 4, 2
WAITING_MAX = 100
_loop: Any = reactor


class Workers:
    """A pool of threads; simultaneous requests for the same thing are computed once."""

    def __init__(self, name: str, threads: int):
        self._pool = ThreadPool(0, threads, name)
        self._waiting: dict[Hashable, list[Deferred[Any]]] = {}
        self._pool.start()
        _loop.addSystemEventTrigger("during", "shutdown", self._pool.stop)

    def run(self, key: Hashable, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """The function's result. Raises :exc:`ViewError` if too many wait already."""
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= WAITING_MAX:
                raise ViewError(503, "Too many pages are requested at once: try again.")
            waiting = self._waiting[key] = []
            work = deferToThreadPool(_loop, self._pool, function, *args)
            work.addBoth(self._pass_on, key)
        result: Deferred[Any] = Deferred()
        waiting.append(result)
        return result

    def _pass_on(self, result: Any, key: Hashable) -> None:
        for waiting in self._waiting.pop(key):
            # From here on a failure is handled separately.
            waiting.callback(result)


@cache
def page_workers() -> Workers:
    return Workers("pages", PAGE_THREADS)


@cache
def figure_workers() -> Workers:
    """A separate pool, so that expensive pages never keep a monitor waiting."""
    return Workers("figures", FIGURE_THREADS)
