"""Everything at once: an API with faults and a limit, a dying database, and a killed crawl."""

import os
import random
import signal
import time

import psutil
import psycopg

from coinspider.sandbox.served_coins import coin_id, made_up_coin
from coinspider.store.embedded_server import start_embedded_server
from tests.helpers.postgres import postmaster
from tests.helpers.processes import Scrapy, wait_until
from tests.helpers.stored import digits, expected_row, stored_rows

COINS = 5000
SETTINGS = ["-s", "RETRY_BACKOFF=0.05", "-s", "RATELIMIT_PERIOD=2", "-s", "LOOKAHEAD_PAGES=2"]


class Database:
    """An embedded server that is restarted under its crawls."""

    def __init__(self, directory):
        self.directory = directory
        self.url = start_embedded_server(directory)

    def restart(self, sign):
        pid = postmaster(self.directory)
        os.kill(pid, sign)
        wait_until(lambda: not psutil.pid_exists(pid))
        assert start_embedded_server(self.directory) == self.url

    def query(self, sql):
        with psycopg.connect(self.url) as connection:
            return connection.execute(sql).fetchall()


def wait_for_pages(api, number):
    """Wait until this many more pages have been requested."""
    before = len(api.calls())
    wait_until(lambda: len(api.calls()) >= before + number)


def test_ends_with_exactly_the_coins_of_the_api(sandbox, data_directory):
    seed = random.randrange(2**32)
    api = sandbox("--coins", COINS, "--faults", 0.1, "--seed", seed, "--latency", 0.3,
                  "--calls", 8, "--period", 2)  # fmt: skip
    database = Database(data_directory)
    scrapy = Scrapy({"DATABASE_URL": database.url, "COINGECKO_BASE_URL": api.url})
    # Enough pages that it is killed before it has read all.
    with scrapy.start("crawl", "coins", "-a", "per_page=50", *SETTINGS) as crawl:
        wait_for_pages(api, 6)
        database.restart(signal.SIGINT)
        time.sleep(random.Random(seed).uniform(0, 1.5))
        crawl.kill()
        crawl.communicate()
    assert crawl.returncode == -signal.SIGKILL, f"seed {seed}"

    with scrapy.start("crawl", "coins", *SETTINGS) as crawl:
        wait_for_pages(api, 6)
        database.restart(signal.SIGKILL)
        _, err = crawl.communicate(timeout=300)
    assert crawl.returncode == 0, f"seed {seed}: {err}"
    assert database.query("SELECT outcome FROM crawl ORDER BY id") == [("died",), ("complete",)]
    rows = stored_rows(database.query)
    assert len(rows) == COINS
    for number in range(COINS):
        assert digits(rows[coin_id(number)]) == digits(expected_row(made_up_coin(number), "usd"))
