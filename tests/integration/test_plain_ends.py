"""Whatever a user can cause ends in one line, for root and for an ordinary user."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.helpers.needs import need
from tests.helpers.other_user import AS_USER, NEEDS_ROOT, make_user, opened, own, with_mounts
from tests.helpers.processes import CLEAN, PROJECT, last_line

ENDS = {
    "crawl coins -s LOG_FILE=/none/x.log": "LOG_FILE=/none/x.log can't be written: No such file",
    "crawl coins -s LOG_FILE=/etc": "LOG_FILE=/etc can't be written: Is a directory",
    "crawl coins -s LOG_LEVEL=LOUD": "LOG_LEVEL=LOUD is not a level: CRITICAL, ",
    "crawl coins -s JOBDIR=/etc/passwd/x": "JOBDIR=/etc/passwd/x can't be written: Not a directory",
    "crawl coins -s LOG_FILE": "Invalid -s value",
    "crawl coin": "no spider is named coin",
    "sandbox --coins many": "many is not a whole number from 0",
    "deploy nope": "scrapy.cfg has no [deploy:nope]",
}


def one_line(done, line):
    assert done.returncode != 0
    assert line in last_line(done)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", ENDS)
def test_error_that_a_user_can_cause_is_one_line(empty_project, arguments):
    one_line(empty_project(*arguments.split(), POSTGRES_ENABLED="0"), ENDS[arguments])


@pytest.mark.parametrize("moment", ["from the start", "later"])
def test_full_disk_of_the_log_does_not_end_the_crawl(empty_project, sandbox, moment, tmp_path):
    """Whether the log fills its disk or finds it full."""
    arguments = ["crawl", "coins", "-s", "LOG_LEVEL=DEBUG"]
    environment = os.environ | CLEAN | empty_project.environment | {
        "POSTGRES_ENABLED": "0", "COINGECKO_BASE_URL": sandbox("--coins", 600).url,
    }  # fmt: skip
    if moment == "later":
        need("root", "unshare")
        command = with_mounts(
            'mount -t tmpfs -o size=4k none "$DISK"; exec "$@"',
            sys.executable, "-m", "scrapy", *arguments, "-s", f"LOG_FILE={tmp_path}/log",
        )  # fmt: skip
    else:
        command = [sys.executable, "-m", "scrapy", *arguments, "-s", "LOG_FILE=/dev/full"]
    done = subprocess.run(
        command, cwd=empty_project.directory, env=environment | {"DISK": str(tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the crawl is complete: 3 pages, 600 records" in last_line(done)
    assert done.stderr.count("can't be written: No space left on device (the crawl goes on)") in (
        1,
        2,
    )
    assert "Traceback" not in done.stderr


@pytest.fixture
def as_user():
    """Run a module as an ordinary user without a home, in a folder that belongs to root."""
    make_user()
    with tempfile.TemporaryDirectory(prefix="coinspider-", dir="/opt") as folder:
        Path(folder).chmod(0o755)
        for name in ("scrapy.cfg", "scrapyd.conf"):
            shutil.copy(PROJECT / name, folder)

        def run(*arguments, writable=False):
            if writable:
                own(Path(folder))
            return subprocess.run(
                with_mounts(f'{opened()}exec {AS_USER} "$@"', sys.executable, "-m", *arguments),
                cwd=folder, capture_output=True, text=True, timeout=120, check=False,
                env=os.environ | CLEAN | {"PYTHONPATH": str(PROJECT), "HOME": "/home/none"},
            )  # fmt: skip

        yield run


@NEEDS_ROOT
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("scrapy crawl coins", "the embedded PostgreSQL did not start"),
        ("scrapy demo --coins 5", "the embedded PostgreSQL did not start"),
        ("scrapy coins", "the embedded PostgreSQL did not start"),
        ("scrapy psql --url", "the embedded PostgreSQL did not start"),
        ("scrapy database dump x", "the embedded PostgreSQL did not start"),
        ("scrapy genspider x example.com", "can't be written: "),
        ("coinspider.daemon", "eggs_dir = .scrapy/scrapyd/eggs can't be written to: "),
    ],
)
def test_folder_of_another_user_is_one_line(as_user, arguments, line):
    one_line(as_user(*arguments.split()), line)


@NEEDS_ROOT
def test_ordinary_user_without_a_home_has_a_database(as_user):
    done = as_user("scrapy", "psql", "-c", "SELECT 7 * 6", writable=True)
    assert done.returncode == 0, done.stderr
    assert "42" in done.stdout
