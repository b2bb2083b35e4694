"""The crawl on each version of PostgreSQL that this machine has."""

import signal

import psycopg
import pytest

from tests.helpers.pgbouncer import PGBOUNCER, pgbouncer
from tests.helpers.postgres_versions import VERSIONS, server_of_version
from tests.helpers.processes import Scrapy, last_line, wait_until

FIGURES = """
SELECT outcome, inserted_count, updated_count, unchanged_count, delisted_count
FROM crawl ORDER BY id
"""


@pytest.fixture(scope="module", params=sorted(VERSIONS))
def url_of_version(request):
    with server_of_version(request.param) as url:
        yield url


def crawl_twice(url, sandbox):
    """The second crawl misses 20 of 600 coins."""
    scrapy = Scrapy({"DATABASE_URL": url})
    for coins in (600, 580):
        api = sandbox("--coins", coins)
        done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
        assert done.returncode == 0, done.stderr
    listed = scrapy("coins", "--columns", "coin_id")
    assert len(listed.stdout.splitlines()) == 21
    return scrapy


def test_crawl_of_a_version(url_of_version, sandbox):
    scrapy = crawl_twice(url_of_version, sandbox)
    api = sandbox("--coins", 5000, "--latency", "0.3")
    with psycopg.connect(url_of_version, autocommit=True) as connection:
        assert connection.execute(FIGURES).fetchall() == [
            ("complete", 600, 0, 0, 0),
            ("complete", 0, 0, 580, 20),
        ]
        killed = scrapy.start("crawl", "coins", COINGECKO_BASE_URL=api.url)
        wait_until(lambda: len(api.calls()) > 3)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        again = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
        assert again.returncode == 0, last_line(again)
        assert connection.execute(FIGURES).fetchall()[2][0] == "died"


@pytest.mark.skipif(not (PGBOUNCER and VERSIONS), reason="no PgBouncer")
def test_oldest_version_behind_pgbouncer(sandbox):
    """The newest is that of the other tests."""
    with server_of_version(min(VERSIONS)) as url, pgbouncer(url) as pooled:
        crawl_twice(pooled, sandbox)
