"""What a crawl shows on a terminal while it runs, and what it says at its end."""

import os
import pty
import re
import subprocess

import pytest

from tests.helpers.processes import CLEAN, PROJECT, SCRAPY, last_line


@pytest.fixture
def on_a_terminal(database_url):
    """Run a crawl whose stderr is a terminal, and return everything that it wrote there."""

    def run(*arguments, status=0, **environment):
        ours, its = pty.openpty()
        variables = {"DATABASE_URL": database_url, "TERM": "xterm", "COLUMNS": "160"}
        with subprocess.Popen(
            [*SCRAPY, "crawl", "coins", *arguments], cwd=PROJECT, stderr=its,
            env=os.environ | CLEAN | variables | environment,
        ) as process:  # fmt: skip
            os.close(its)
            got = b""
            try:
                while chunk := os.read(ours, 65536):
                    got += chunk
            except OSError:  # the other end is closed
                pass
        os.close(ours)
        assert process.returncode == status, got.decode()
        return got.decode()

    return run


# Another crawl of the key, which asks for no call while this one runs.
SHARE = """
UPDATE api_account
SET state = jsonb_set(state, '{holders,other}', '{"active_until": 9e9, "wanted": 0}')
"""


def test_terminal_gets_a_live_line_below_whole_log_lines(on_a_terminal, sandbox, query):
    api = sandbox("--coins", 1500, "--calls", 4, "--period", 5)
    limit = {"COINGECKO_RATE_LIMIT": "4", "COINGECKO_BASE_URL": api.url}
    settings = ["--log", "-s", "RATELIMIT_PERIOD=5", "-s", "LOGSTATS_INTERVAL=0.5"]
    on_a_terminal(*settings, **limit)
    query(SHARE)
    got = on_a_terminal(*settings, **limit)
    assert "page 4 of 6 · 1000 coins · 0 rejected" in got
    assert "s left" in got
    assert re.search(r"waiting [1-5] s for the limit, shared with 1 other crawl", got)
    lines = got.replace("\x1b[2K", "").split("\r\n")
    assert any(line.startswith("20") and line.endswith("items/min)") for line in lines)
    assert "the crawl is complete" in lines[-2]


def test_terminal_gets_what_matters_and_a_named_file_the_rest(on_a_terminal, sandbox, tmp_path):
    page = tmp_path / "page"
    page.write_text('[{"id":"a","symbol":"a","name":"A"},{"id":"b"}]')
    api = sandbox("--body", page)
    got = on_a_terminal("-s", "REJECTED_SHARE_MAX=1", "--set=PROGRESS_ENABLED=0",
                        COINGECKO_BASE_URL=api.url)  # fmt: skip
    rejected, *summary, log, last, _ = got.split("\r\n")
    assert rejected.startswith("Rejected: Object missing required field")
    names = " ".join(line.split()[0] for line in summary)
    assert names == "records rejected pages limit rows"
    assert last.startswith("coinspider: the crawl is complete")
    file = PROJECT / log.split()[1]
    assert "Spider closed (finished)" in file.read_text()
    file.unlink()


def test_log_file_that_was_named_is_used(on_a_terminal, sandbox, tmp_path):
    api, file = sandbox("--coins", 10), tmp_path / "log"
    got = on_a_terminal("-s", f"LOG_FILE={file}", COINGECKO_BASE_URL=api.url)
    assert "Spider closed" not in got
    assert "Spider closed (finished)" in file.read_text()


def test_failure_is_said_once(on_a_terminal):
    got = on_a_terminal("-s", "RETRY_TIMES=0", status=1, COINGECKO_BASE_URL="http://127.0.0.1:1")
    assert got.count("the crawl failed") == 1
    assert "its address is from COINGECKO_BASE_URL" in got
    assert "Traceback" not in got


def test_first_crawl_knows_the_pages_that_the_api_announces(on_a_terminal, sandbox):
    api = sandbox("--coins", 600, "--latency", 0.5)
    got = on_a_terminal("-s", "LOOKAHEAD_PAGES=1", COINGECKO_BASE_URL=api.url)
    assert "page 1 of 3 · 250 coins" in got
    assert "page 2 of 3 · 500 coins" in got


def test_crawl_that_does_not_begin_shows_no_live_line(on_a_terminal):
    got = on_a_terminal(status=1, DATABASE_URL="postgresql://me@127.0.0.1:1/coins")
    assert "can't be reached" in got
    assert "Traceback" not in got


def test_without_a_terminal_there_are_only_log_lines(scrapy, sandbox):
    api = sandbox("--coins", 10)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert "\x1b" not in done.stderr
    assert "page 1" not in done.stderr


def test_progress_can_be_switched_off(on_a_terminal, sandbox):
    api = sandbox("--coins", 10)
    got = on_a_terminal("-s", "PROGRESS_ENABLED=0", COINGECKO_BASE_URL=api.url)
    assert "\x1b[?25l" not in got


def test_stats_are_logged_only_on_request(scrapy, sandbox):
    api = sandbox("--coins", 10)
    for level, asked, dumped in (("INFO", "0", False), ("DEBUG", "0", True), ("INFO", "1", True)):
        done = scrapy("crawl", "coins", "-L", level, COINGECKO_BASE_URL=api.url, STATS_DUMP=asked)
        assert ("'downloader/request_count': " in done.stderr) == dumped
        assert "1 page, 10 records" in last_line(done)


def test_summary_says_what_the_crawl_did(scrapy, sandbox, tmp_path):
    page = tmp_path / "page"
    page.write_text('[{"id":"a","symbol":"a","name":"A"},{"id":"b"},{"id":"c"}]')
    api = sandbox("--body", page)
    done = scrapy("crawl", "coins", "-s", "REJECTED_SHARE_MAX=1", "-O", tmp_path / "coins.json",
                  COINGECKO_BASE_URL=api.url, COINGECKO_RATE_LIMIT="10")  # fmt: skip
    *_, records, rejected, pages, limit, rows, feed, last = done.stderr.splitlines()
    assert records.endswith("3: 1 new, 0 changed, 0 unchanged")
    assert rejected.endswith("2: Object missing required field symbol")
    assert "1 in " in pages
    assert pages.endswith("0 calls refused")
    assert limit.endswith("10 calls in 60 s")
    assert "full_coin in database test_" in rows
    assert feed.endswith("coins.json")
    assert last.startswith("coinspider: the crawl is complete")
