"""A machine whose clock is set while scrapyd runs."""

from pathlib import Path

import pytest

from tests.helpers.processes import wait_until
from tests.helpers.scrapyd_process import CONFIGURATION

SCHEDULE = f"{CONFIGURATION}\n[schedule:test]\nspider = coins\nevery = 1s\nargument.pages = 1\n"
LIBRARY = "*/faketime/libfaketime.so.1"


@pytest.mark.needs("faketime")
def test_schedule_goes_on_when_the_clock_is_set(scrapyd, database_url, sandbox, tmp_path):
    clock = tmp_path / "clock"
    clock.write_text("+3650d")
    daemon = scrapyd(
        SCHEDULE, DATABASE_URL=database_url, COINGECKO_BASE_URL=sandbox("--coins", 10).url,
        LD_PRELOAD=str(next(Path("/usr/lib").glob(LIBRARY))), FAKETIME_NO_CACHE="1",
        FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_DONT_FAKE_MONOTONIC="1",
    )  # fmt: skip

    def runs():
        schedule = daemon.schedule()
        return schedule["runs"] + schedule["skipped"]

    def goes_on():
        before = runs()
        wait_until(lambda: runs() > before + 1)

    goes_on()
    for step in ("+0", "-1d", "+1d"):
        clock.write_text(step)
        goes_on()
    clock.write_text("-1d")
    daemon.stop()
    daemon.start()
    goes_on()
