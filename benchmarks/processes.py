"""The processes of a benchmark: the API, and the loaders."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.pages import FOLDER

MEASURE = Path(__file__).with_name("measure.py")
CRAWL = [sys.executable, "-m", "scrapy", "crawl", "coins"]


class Run(NamedTuple):
    """A whole process: seconds of wall clock and of CPU, peak memory in MB."""

    wall: float
    cpu: float
    memory: float


class Api(NamedTuple):
    url: str
    process: subprocess.Popen[str]

    def first_request(self) -> float:
        """When it came, in seconds of the monotonic clock."""
        assert self.process.stdout
        return float(self.process.stdout.readline())


@contextmanager
def api(pages: Path) -> Iterator[Api]:
    command = [sys.executable, "-m", "benchmarks.static_api", str(pages)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Api(process.stdout.readline().strip(), process)
        finally:
            process.terminate()


def crawl_environment(api_url: str, database_url: str) -> dict[str, str]:
    return {
        "COINGECKO_BASE_URL": api_url,
        "COINGECKO_API_KEY": "",
        "COINGECKO_PLAN": "public",
        "COINGECKO_RATE_LIMIT": "0",
        "DATABASE_URL": database_url,
        "POSTGRES_ENABLED": "1",
    }


def run(command: list[str], environment: dict[str, str]) -> Run:
    """Run a command to its end; if it fails, the benchmark ends."""
    figures, log_file = FOLDER / "figures.json", FOLDER / "log"
    measured = [sys.executable, "-S", "-E", MEASURE, figures, *command]
    with log_file.open("w") as log:
        done = subprocess.run(
            measured, env=os.environ | environment, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        sys.exit(f"{command} failed:\n{log_file.read_text()[-2000:]}")
    return Run(*json.loads(figures.read_text()))
