"""A database that blocks a crawl without being away: the log says why, and the crawl can end."""

import signal
import time

import psycopg
import pytest

from tests.helpers.postgres_proxy import PostgresProxy
from tests.helpers.processes import wait_until

COUNT = "SELECT count(*) FROM full_coin"
QUICK = ["-s", "POSTGRES_LOCK_TIMEOUT=0.5", "-s", "LOOKAHEAD_PAGES=1"]
STOP_MAX = 25.0  # seconds; scrapyd kills after 30


@pytest.fixture
def api(sandbox):
    return sandbox("--coins", 5000, "--latency", "0.3")


@pytest.fixture
def start(scrapy, api, query):
    def start(*arguments, **environment):
        crawl = scrapy.start("crawl", "coins", *QUICK, *arguments,
                             COINGECKO_BASE_URL=api.url, **environment)  # fmt: skip
        wait_until(lambda: api.calls() and query(COUNT) > [(0,)])
        return crawl

    return start


@pytest.fixture
def holder(database_url):
    """A session that locks the table of coins."""
    with psycopg.connect(database_url, application_name="report") as connection:
        yield connection


def wait_for_line(crawl, text):
    while text not in (line := crawl.stderr.readline()):
        assert line, f"{text}: it was not told"
    return line


def test_lock_of_another_session_is_named_and_waited_for(start, holder, query):
    crawl = start()
    holder.execute("LOCK TABLE full_coin IN EXCLUSIVE MODE")
    line = wait_for_line(crawl, "the crawl waits up to 60 s for it")
    pid = holder.info.backend_pid
    assert "A table is locked; the crawl waits" in line
    assert f"the table full_coin is locked by the server's process {pid}: report of" in line
    # It is alive, although no batch is written.
    [(seen,)] = query("SELECT updated_at FROM crawl")
    wait_until(lambda: query("SELECT updated_at FROM crawl") > [(seen,)])
    holder.rollback()
    crawl.send_signal(signal.SIGINT)
    _, err = crawl.communicate(timeout=STOP_MAX)
    assert "The database is back" in err
    assert query("SELECT outcome FROM crawl") == [("interrupted",)]


def test_lock_is_waited_for_no_longer_than_the_reconnect_timeout(start, holder):
    crawl = start("-s", "POSTGRES_RECONNECT_TIMEOUT=1")
    holder.execute("LOCK TABLE full_coin IN EXCLUSIVE MODE")
    _, err = crawl.communicate(timeout=120)
    assert crawl.returncode == 1
    last = err.strip().splitlines()[-1]
    assert "a table was locked for 1 seconds" in last
    assert "the table full_coin is locked by the server's process" in last


def test_lock_before_the_first_request_is_named(scrapy, api, database_url):
    assert scrapy("crawl", "coins", "-a", "pages=1", COINGECKO_BASE_URL=api.url).returncode == 0
    calls = len(api.calls())
    with psycopg.connect(database_url, application_name="report") as holder:
        holder.execute("LOCK TABLE crawl")
        refused = scrapy(
            "crawl", "coins", *QUICK, "-s", "POSTGRES_RECONNECT_TIMEOUT=1",
            COINGECKO_BASE_URL=api.url,
        )  # fmt: skip
    assert refused.returncode == 1
    last = refused.stderr.strip().splitlines()[-1]
    assert "is locked by the server's process" in last
    assert "report of" in last
    assert len(api.calls()) == calls


@pytest.mark.parametrize("is_locked", [True, False], ids=["lock", "silent network"])
def test_sigterm_ends_the_crawl_within_its_bound(start, database_url, is_locked):
    with (
        PostgresProxy(database_url) as proxy,
        psycopg.connect(database_url) as holder,
    ):
        crawl = start(DATABASE_URL=proxy.url)
        if is_locked:
            holder.execute("LOCK TABLE full_coin, crawl IN EXCLUSIVE MODE")
        else:
            proxy.is_silent = True
        time.sleep(1)
        crawl.terminate()
        _, err = crawl.communicate(timeout=STOP_MAX)
        proxy.is_silent = False
    assert crawl.returncode == 1
    was = "a table was locked" if is_locked else "the database was away"
    assert f"{was} when the crawl was to end" in err.strip().splitlines()[-1]
    assert "Traceback" not in err
