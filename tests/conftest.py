"""The real things: PostgreSQL, the sandbox as a process, ``scrapy`` as a user runs it."""

import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from coinspider.store.embedded_server import start_embedded_server
from tests.helpers.needs import need
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.postgres import (
    drop_database,
    folder_in_memory,
    new_database,
    postmaster,
    server_directory,
)
from tests.helpers.processes import PROJECT, Sandbox, Scrapy, start_sandbox

# Otherwise hundreds of processes compile the same modules again, and each worker the tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# No test fails because a machine is slow, and nothing is kept from run to run.
settings.register_profile(
    "anywhere", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("anywhere")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """More workers than cores, because most tests outside unit/ wait for other processes."""
    is_unit = all("unit" in Path(place).parts for place in config.args)
    return (os.cpu_count() or 1) + (0 if is_unit else 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the first worker all tests of the site, and each worker a share of unit/ at the end.

    Workers get equal parts of the list, one after the other. Otherwise the last ones would get
    only unit/, and several would start a site, which takes long.
    """
    unit = [item for item in items if "unit" in item.path.parts]
    others = [item for item in items if "unit" not in item.path.parts]
    others.sort(key=lambda item: "site" not in getattr(item, "fixturenames", ()))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = [
        item
        for number in range(workers)
        for part in (others, unit)
        for item in part[len(part) * number // workers : len(part) * (number + 1) // workers]
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose machine lacks something, before anything is started for it."""
    for marker in item.iter_markers("needs"):
        need(*marker.args)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say for what how many tests were skipped."""
    skipped = terminalreporter.getreports("skipped")
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")


@pytest.fixture(scope="session", autouse=True)
def default_signals() -> None:
    """Let what tests start die of any signal, whatever nohup, cron or a shell makes it ignore.

    A handler does it, because a new program inherits only what is ignored.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Put back what a scrapyd sets for its jobs, if it starts within the test."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """An embedded server, or the one in ``TEST_DATABASE_URL`` (``.../postgres?``)."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    with server_directory() as directory:
        url = start_embedded_server(directory)
        with psycopg.connect(url, autocommit=True) as connection:
            # Its data need not survive a crash: tests that kill a server have one of their own.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url
        os.kill(postmaster(directory), signal.SIGQUIT)


@pytest.fixture
def data_directory() -> Iterator[Path]:
    """The directory of a separate embedded server, to restart and kill."""
    with server_directory() as directory:
        yield directory


@pytest.fixture
def database_url(server_url: str) -> Iterator[str]:
    """A new, empty database."""
    url = new_database(server_url)
    yield url
    drop_database(server_url, url)


@pytest.fixture(params=["direct", "PgBouncer"])
def crawl_url(request: pytest.FixtureRequest, database_url: str) -> Iterator[str]:
    """The URL of that database, once direct and once through PgBouncer."""
    if request.param == "direct":
        yield database_url
    else:
        with pgbouncer(database_url) as pooled:
            yield pooled


@pytest.fixture
def query(database_url: str) -> Callable[..., list[Any]]:
    def run(sql: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            cursor = connection.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes: ``sandbox("--coins", 1000)``."""
    with ExitStack() as stack:
        yield partial(start_sandbox, stack)


@pytest.fixture
def scrapy(database_url: str) -> Iterator[Scrapy]:
    scrapy = Scrapy({"DATABASE_URL": database_url})
    yield scrapy
    scrapy.end()


@pytest.fixture
def empty_project() -> Iterator[Scrapy]:
    """The project in a folder without anything from earlier crawls, and without DATABASE_URL."""
    with TemporaryDirectory(prefix="coinspider-", dir=folder_in_memory()) as directory:
        shutil.copy(PROJECT / "scrapy.cfg", directory)
        yield Scrapy({"PYTHONPATH": str(PROJECT)}, Path(directory))


@pytest.fixture
def scrapyd(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Start a scrapyd in a new folder: ``scrapyd(configuration, NAME=value)``."""
    if "database_url" in request.fixturenames:  # which then outlives it
        request.getfixturevalue("database_url")
    from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

    with TemporaryDirectory(prefix="coinspider-") as directory, ExitStack() as stack:

        def start(configuration: str = CONFIGURATION, **environment: str) -> Any:
            daemon = Scrapyd(directory, configuration, **environment)
            stack.callback(daemon.end)
            return daemon.start()

        yield start


@pytest.fixture(scope="session")
def site(server_url: str) -> Iterator[Any]:
    """See :mod:`tests.helpers.site`."""
    from tests.helpers.site import start_site

    with ExitStack() as stack:
        yield start_site(stack, server_url)
