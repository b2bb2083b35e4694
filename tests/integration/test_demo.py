"""``scrapy demo``: a crawl to look at, and what to type next."""

import re
import shlex
import shutil
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

from tests.helpers.forked import PROJECT
from tests.helpers.ports import free_port
from tests.helpers.processes import last_line


def test_demo_shows_the_top_ten_and_what_to_type_next(empty_project):
    for options, result in (
        (["--coins", 300], "2 pages, 300 records, 300 new"),
        (["--coins", 100, "--seed", 1], "1 page, 100 records, 0 new, 100 changed"),
    ):
        done = empty_project("demo", *options)
        assert done.returncode == 0, done.stderr
        assert result in done.stderr
        assert "scrapy coins --demo" in done.stderr
        assert "Aurel" in done.stdout
    following = [
        shlex.split(re.split("  +", line.strip())[0])
        for line in done.stdout.partition("What to type next:")[2].strip().splitlines()
    ]
    assert {"coins", "demo", "psql"} < {command[1] for command in following}
    for command in following:
        assert Path(command[0]).name == "scrapy"
        if command[1] in ("coins", "history"):
            listed = empty_project(*command[1:], "--format", "csv")
            assert listed.returncode == 0, listed.stderr
            assert len(listed.stdout.splitlines()) > 1


def test_demo_that_can_not_serve_says_so_before_it_crawls(empty_project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = empty_project("demo", "--serve", SCRAPYD_HTTP_PORT=str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"it can't listen on 127.0.0.1:{port}" in last_line(done)


def test_demo_has_a_month_of_prices(empty_project):
    assert empty_project("demo", "--coins", 3).returncode == 0
    sql = "SELECT count(DISTINCT started_at) FROM coin_candle_1d WHERE coin_id = 'aurel'"
    done = empty_project("psql", "--demo", "-c", sql)
    assert re.search(r"\b3[01]\b", done.stdout), done.stdout + done.stderr


def test_demo_that_is_told_to_stop_ends_its_sandbox_and_scrapyd(empty_project):
    shutil.copy(PROJECT / "scrapyd.conf", empty_project.directory)
    port = free_port()
    with empty_project.start("demo", "--coins=3", "--serve", SCRAPYD_HTTP_PORT=str(port)) as demo:
        sandbox = urlsplit(demo.stdout.readline().split()[-1]).port
        assert any("http://127.0.0.1" in line for line in demo.stdout)  # scrapyd's last line
        demo.send_signal(signal.SIGTERM)
        assert demo.wait() == 143
    for ended in (sandbox, port):
        with socket.socket() as tried:
            assert tried.connect_ex(("127.0.0.1", ended))
