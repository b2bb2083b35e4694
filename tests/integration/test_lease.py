"""One crawl of a list at a time, whatever happens to the running one: real processes."""

import signal

import pytest

from tests.helpers.postgres_proxy import PostgresProxy
from tests.helpers.processes import wait_until

LEASE = 3.0  # seconds
LEASE_SETTING = f"POSTGRES_LEASE_TIMEOUT={LEASE:g}"
SETTINGS = ["-s", "LOOKAHEAD_PAGES=1", "-s", LEASE_SETTING]
OUTCOMES = "SELECT outcome FROM crawl ORDER BY id"
COUNT = "SELECT count(*) FROM full_coin"
ROWS = "SELECT xmin::text, * FROM full_coin ORDER BY coin_id"
FIRST_ROW = "SELECT to_jsonb(crawl) FROM crawl WHERE id = 1"
IS_OVER = "SELECT lease_until < clock_timestamp() FROM crawl WHERE id = 1"
# The two differ by rounding.
LENGTH = "SELECT round(extract(epoch FROM lease_until - updated_at), 3) FROM crawl WHERE id = 1"
TOOK_OVER = "another crawl of the same list took over"


@pytest.fixture
def api(sandbox):
    return sandbox("--coins", 6000, "--latency", "0.3")


@pytest.fixture
def proxy(crawl_url):
    """The network between the crawl and the pooler or server, which can go silent."""
    with PostgresProxy(crawl_url) as proxy:
        yield proxy


@pytest.fixture
def start(scrapy, api, query):
    running = []

    def start(url, *arguments):
        crawl = scrapy.start("crawl", "coins", *SETTINGS, *arguments,
                             COINGECKO_BASE_URL=api.url, DATABASE_URL=url)  # fmt: skip
        running.append(crawl)
        wait_until(lambda: api.calls() and query(COUNT) > [(0,)])
        return crawl

    yield start
    for crawl in running:
        if crawl.poll() is None:
            crawl.send_signal(signal.SIGCONT)
            crawl.kill()
            crawl.communicate()


@pytest.fixture
def next_crawl(scrapy, api, crawl_url):
    return lambda: scrapy("crawl", "coins", "-s", LEASE_SETTING,
                          COINGECKO_BASE_URL=api.url, DATABASE_URL=crawl_url)  # fmt: skip


@pytest.fixture
def take_over(next_crawl, query):
    """Begin the next crawl as soon as the lease is over by the server's clock."""

    def take_over():
        wait_until(lambda: query(IS_OVER) == [(True,)])
        done = next_crawl()
        assert done.returncode == 0, done.stderr
        assert query(LENGTH) == [(LEASE,)]
        return query(ROWS), query(FIRST_ROW)

    return take_over


def assert_lease_lost(crawl):
    _, err = crawl.communicate(timeout=120)
    assert crawl.returncode == 1
    assert TOOK_OVER in err.strip().splitlines()[-1]
    assert "Traceback" not in err


def test_crawl_that_wakes_up_after_the_takeover_writes_nothing(start, crawl_url, take_over, query):
    stopped = start(crawl_url)
    stopped.send_signal(signal.SIGSTOP)
    found = take_over()
    stopped.send_signal(signal.SIGCONT)
    assert_lease_lost(stopped)
    assert query(OUTCOMES)[0] == ("died",)
    assert (query(ROWS), query(FIRST_ROW)) == found


def test_crawl_behind_a_silent_network_is_taken_over(start, proxy, take_over, query):
    cut_off = start(proxy.url, "-s", "POSTGRES_STATEMENT_TIMEOUT=1")
    proxy.is_silent = True
    found = take_over()
    proxy.is_silent = False
    assert_lease_lost(cut_off)
    assert query(OUTCOMES)[0] == ("died",)
    assert (query(ROWS), query(FIRST_ROW)) == found


def test_killed_crawl_is_replaced(start, crawl_url, take_over, query):
    killed = start(crawl_url)
    killed.kill()
    killed.communicate()
    take_over()
    assert query(OUTCOMES)[0] == ("died",)


def test_crawl_that_waits_for_the_api_keeps_its_lease(start, crawl_url, next_crawl, query):
    """Its signs of life depend neither on what arrives nor on CRAWL_LOG_INTERVAL."""
    running = start(crawl_url, "-s", "CRAWL_LOG_INTERVAL=600", "-s", "RATELIMIT_CALLS=2",
                    "-s", "POSTGRES_LEASE_TIMEOUT=6")  # fmt: skip
    [(first,)] = query("SELECT lease_until FROM crawl")
    wait_until(lambda: query("SELECT clock_timestamp() > %s", first) == [(True,)])
    assert next_crawl().returncode == 3
    assert running.poll() is None
