"""A machine whose clock is set while scrapyd runs."""

from pathlib import Path

import pytest

from tests.helpers.processes import wait_until
from tests.helpers.scrapyd_process import CONFIGURATION

SCHEDULE = f"{CONFIGURATION}\n[schedule:test]\nspider = coins\nevery = 1s\n"
LIBRARY = "*/faketime/libfaketime.so.1"


@pytest.fixture
def clock(tmp_path):
    """By how much the clock of scrapyd and its crawls is wrong; it may be set at any time."""
    file = tmp_path / "clock"
    file.write_text("+3650d")
    return file


@pytest.fixture
def start(scrapyd, clock, database_url, sandbox):
    def start(options):
        return scrapyd(
            SCHEDULE + options, DATABASE_URL=database_url,
            COINGECKO_BASE_URL=sandbox("--coins", 10).url, FAKETIME_NO_CACHE="1",
            LD_PRELOAD=str(next(Path("/usr/lib").glob(LIBRARY))),
            FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_DONT_FAKE_MONOTONIC="1",
        )  # fmt: skip

    return start


def goes_on(daemon):
    def runs():
        schedule = daemon.schedule()
        return schedule["runs"] + schedule["skipped"]

    before = runs()
    wait_until(lambda: runs() > before + 1)


@pytest.mark.needs("faketime")
def test_schedule_goes_on_when_the_clock_is_set(start, clock):
    daemon = start("argument.pages = 1")
    goes_on(daemon)
    for step in ("+0", "-1d", "+1d"):
        clock.write_text(step)
        goes_on(daemon)
    clock.write_text("-1d")
    daemon.stop()
    daemon.start()
    goes_on(daemon)


@pytest.mark.needs("faketime")
def test_budget_is_spent_by_the_clock_of_the_database(start):
    goes_on(start("budget = auto"))
