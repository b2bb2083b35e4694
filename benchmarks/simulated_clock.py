"""An event loop whose waits take no time: its clock is moved forward instead."""

import asyncio
import selectors
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, tzinfo
from types import ModuleType
from typing import Any
from unittest.mock import patch

BEGAN = 1_800_000_000.4  # Unix time at the start


class _Selector(selectors.SelectSelector):
    """Does not wait, but says how long it would have waited."""

    def __init__(self, clock: "SimulatedClock"):
        super().__init__()
        self.clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing will ever happen"
        self.clock.now += timeout
        return super().select(0)


class SimulatedClock:
    """Runs coroutines; ``now`` is the seconds that have passed for them."""

    now = 0.0

    def run(self, work: Coroutine[Any, Any, Any], *modules: ModuleType) -> None:
        """Run a coroutine to its end; these modules see the simulated time."""
        loop = asyncio.SelectorEventLoop(_Selector(self))
        loop.time = lambda: self.now  # type: ignore[method-assign]
        try:
            with self._patched(modules):
                loop.run_until_complete(work)
        finally:
            loop.close()

    def time(self) -> float:
        """Unix time."""
        return BEGAN + self.now

    @contextmanager
    def _patched(self, modules: tuple[ModuleType, ...]) -> Iterator[None]:
        names = {
            "monotonic": lambda: self.now,
            "time": self.time,
            "datetime": self._datetime(),
            "STOP_INTERVAL": 1e9,  # a long wait is one step
        }
        with ExitStack() as stack:
            for module in modules:
                for name, value in names.items():
                    if hasattr(module, name):
                        stack.enter_context(patch.object(module, name, value))
            yield

    def _datetime(clock) -> type[datetime]:  # noqa: N805
        class SimulatedDatetime(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.fromtimestamp(clock.time(), tz)

        return SimulatedDatetime
