"""The database goes away during a crawl: nothing is lost, or stored or counted twice."""

import pytest

from coinspider.sandbox.served_coins import coin_id, made_up_coin
from tests.helpers.postgres_proxy import PostgresProxy
from tests.helpers.processes import last_line, wait_until
from tests.helpers.stored import digits, expected_row, stored_rows

COUNT = "SELECT count(*) FROM full_coin"
FIGURES = "SELECT outcome, inserted_count, unchanged_count, rejected_count FROM crawl"
HELD = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'coinspider' AND datname = current_database()
"""
SEQUENTIAL = ["-s", "LOOKAHEAD_PAGES=1", "-s", "CRAWL_LOG_INTERVAL=0.1", "-s", "RATELIMIT_PERIOD=1"]
COUNTED = "SELECT calls, state->'holders' FROM api_usage JOIN api_account ON name = account"


@pytest.fixture
def proxy(database_url):
    with PostgresProxy(database_url) as proxy:
        yield proxy


@pytest.fixture
def crawl(scrapy, sandbox, proxy, query):
    """Start a crawl of 2,000 coins through the proxy, and wait until it has stored some."""

    def start(*arguments):
        api = sandbox("--coins", 2000, "--latency", "0.3", "--calls", 3, "--period", 1)
        crawl = scrapy.start("crawl", "coins", *SEQUENTIAL, *arguments, COINGECKO_RATE_LIMIT="3",
                             COINGECKO_BASE_URL=api.url, DATABASE_URL=proxy.url)  # fmt: skip
        crawl.api = api
        wait_until(lambda: api.calls() and query(COUNT) > [(0,)])
        return crawl

    return start


def end_of(crawl):
    """Whatever happened, no call was refused."""
    _, err = crawl.communicate(timeout=300)
    assert {status for _, status in crawl.api.calls()} == {200}
    return crawl.returncode, err


def test_lost_reply_to_a_batch_does_not_count_it_twice(scrapy, sandbox, query, proxy):
    api = sandbox("--coins", 2000)
    proxy.cut_reply_to = coin_id(600).encode()
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, DATABASE_URL=proxy.url)
    assert done.returncode == 0, done.stderr
    assert proxy.cut_reply_to is None
    assert "2000 new, 0 changed, 0 unchanged, 0 rejected" in last_line(done)
    assert query(FIGURES) == [("complete", 2000, 0, 0)]
    rows = stored_rows(query)
    for number in range(2000):
        assert digits(rows[coin_id(number)]) == digits(expected_row(made_up_coin(number), "usd"))


def test_lost_reply_to_rejected_records_stores_none_twice(scrapy, sandbox, query, proxy, tmp_path):
    page = tmp_path / "page"
    page.write_text('[{"id":"a","symbol":"a","name":"A"},{"id":"told-once"}]')
    proxy.cut_reply_to = b"told-once"
    api = sandbox("--body", page)
    done = scrapy("crawl", "coins", "-s", "REJECTED_SHARE_MAX=1",
                  COINGECKO_BASE_URL=api.url, DATABASE_URL=proxy.url)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert proxy.cut_reply_to is None
    assert query("SELECT text FROM rejected_record") == [('{"id":"told-once"}',)]
    assert query(FIGURES) == [("complete", 1, 0, 1)]


def test_cut_network_is_waited_for_and_the_crawl_goes_on(crawl, query, proxy):
    """The server has not noticed, so the crawl must take over its own lease."""
    running = crawl()
    proxy.accepts = False
    proxy.cut()
    # Backends that an earlier test has killed may still exist, in their own databases.
    held = query(HELD)
    assert held == [(1,)]
    proxy.accepts = True
    status, err = end_of(running)
    assert status == 0, err
    assert "The database is away" in err
    assert "The database is back" in err
    assert query(COUNT) == [(2000,)]
    assert query(FIGURES) == [("complete", 2000, 0, 0)]
    assert query(COUNTED) == [(len(running.api.calls()), {})]


def test_killed_backend_is_replaced(crawl, query):
    running = crawl()
    query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
          " WHERE application_name = 'coinspider'")  # fmt: skip
    status, err = end_of(running)
    assert status == 0, err
    assert query(FIGURES) == [("complete", 2000, 0, 0)]


def test_full_disk_is_waited_for(crawl, query):
    running = crawl()
    query("CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
          " $$BEGIN RAISE 'no space left' USING ERRCODE = 'disk_full'; END$$")  # fmt: skip
    query("CREATE TRIGGER full_disk BEFORE INSERT ON full_coin EXECUTE FUNCTION full_disk()")
    [(stored,)] = query(COUNT)
    while "no space left" not in (line := running.stderr.readline()):
        assert line, "it was not told"
    assert query(COUNT) == [(stored,)]
    query("DROP TRIGGER full_disk ON full_coin")
    status, err = end_of(running)
    assert status == 0, err
    assert query(FIGURES) == [("complete", 2000, 0, 0)]


def test_after_its_time_the_crawl_fails_and_names_the_pages(crawl, query, proxy):
    running = crawl("-s", "POSTGRES_RECONNECT_TIMEOUT=1")
    proxy.accepts = False
    proxy.cut()
    status, err = end_of(running)
    assert status == 1
    last = err.strip().splitlines()[-1]
    assert "the database was away for 1 seconds" in last
    assert "rows are not stored, of http://" in last
    assert "&page=" in last
    assert "Traceback" not in err
    [(stored,)] = query(COUNT)
    assert stored % 250 == 0
    assert f"&page={stored // 250 + 1}" in last
