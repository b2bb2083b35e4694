"""The sandbox as a process, and ``scrapy`` as a user runs it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from tests.helpers.forked import PROJECT, Forked
from tests.helpers.needs import program

DATA = PROJECT / "tests/data"
SCRAPY = [sys.executable, "-m", "scrapy"]
# Variables that the interpreter reads when it starts.
READ_AT_START = {"LC_ALL", "PYTHONUTF8", "PYTHONCOERCECLOCALE", "PYTHONIOENCODING"}
# Settings of the machine or a .env file must not change what the tests see.
CLEAN = {
    "COINGECKO_API_KEY": "",
    "COINGECKO_PLAN": "",
    "COINGECKO_RATE_LIMIT": "0",
    "COINGECKO_MONTHLY_CREDITS": "",
    "COINGECKO_FIRST_COINS": "0",
    "DATABASE_URL": "",
    "POSTGRES_ENABLED": "1",
    # Tests read the files there.
    "STATS_DUMP": "1",
}


@dataclass
class Sandbox:
    """A running sandbox."""

    url: str

    def calls(self, of: str = "calls") -> list[tuple[float, int]]:
        """The time in seconds and the status of each call; ``key-calls`` are those to ``/key``."""
        with urlopen(self.url.replace("/api/v3", f"/{of}")) as answer:  # noqa: S310
            return json.load(answer)


def start_sandbox(stack: ExitStack, *options: object, odd: bool = True) -> Sandbox:
    """Start one that ends with the stack; its coins are awkward ones unless told otherwise."""
    arguments = ["sandbox", "--port", "0", *map(str, options), *(["--odd"] if odd else [])]
    process = stack.enter_context(Forked(arguments, PROJECT, dict(os.environ), shares_stderr=True))
    stack.callback(process.terminate)
    return Sandbox(process.stdout.readline().strip())


class Scrapy:
    """Runs ``scrapy`` in a clean environment with the project's own settings."""

    def __init__(self, environment: dict[str, str], directory: Path = PROJECT):
        self.environment, self.directory = environment, directory
        self.started: list[Forked | subprocess.Popen[str]] = []

    def start(self, *arguments: object, **environment: str) -> Forked | subprocess.Popen[str]:
        words = [*map(str, arguments)]
        variables = os.environ | CLEAN | self.environment | environment
        if not environment.keys() & READ_AT_START:
            self.started.append(Forked(words, self.directory, variables))
        else:
            self.started.append(subprocess.Popen(
                [*SCRAPY, *words], cwd=self.directory, env=variables,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ))  # fmt: skip
        return self.started[-1]

    def end(self) -> None:
        """Kill what a failed test has left behind; it would disturb the next test."""
        for process in self.started:
            with process:
                if process.poll() is None:
                    process.kill()

    def __call__(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **environment) as process:
            try:
                out, err = process.communicate(timeout=300)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def wait_until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for a condition that comes true soon, or later if the machine is busy."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def last_line(process: subprocess.CompletedProcess[str]) -> str:
    return process.stderr.strip().splitlines()[-1]


def project_files() -> list[str]:
    """The files that git knows and that are still there, relative to the project."""
    listed = subprocess.run(
        [program("git"), "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    return [name for name in listed if (PROJECT / name).is_file()]


def seen(url: str) -> list[dict[str, str | None]]:
    """The calls to a sandbox's other APIs: their URIs, and the credentials that they had."""
    with urlopen(f"{url}/seen") as answer:  # noqa: S310
        return json.load(answer)
