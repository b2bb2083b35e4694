"""The first crawl of a currency: the largest coins first, with a week of prices."""

import re
import time

import pytest

from tests.helpers.processes import wait_until
from tests.helpers.site import SELDOM

FIRST = {"COINGECKO_FIRST_COINS": "250"}
COINS = ("--coins", 640, "--rehypothecated", 40)
ROWS = "SELECT count(*), count(*) FILTER (WHERE delisted_at IS NOT NULL) FROM full_coin"
CHANGES = "SELECT count(price_change_percentage_7d_in_currency) FROM full_coin"
CANDLES = "SELECT coin_id, count(*) FROM coin_candle_{} GROUP BY coin_id"
OF_TWO = "SELECT coin_id, started_at, close FROM coin_candle_1h WHERE coin_id < 'b' ORDER BY 1, 2"


def test_the_largest_coins_come_first_with_a_week_of_prices(scrapy, sandbox, query):
    api = sandbox(*COINS, odd=False)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, **FIRST)
    assert done.returncode == 0, done.stderr
    assert query(ROWS) == [(640, 0)]
    assert query(CHANGES)[0][0] > 600
    hours = dict(query(CANDLES.format("1h")))
    assert len(hours) == 640
    charted = {coin: count for coin, count in hours.items() if count > 1}
    assert len(charted) == 250
    assert set(charted.values()) <= {168, 169}
    days = dict(query(CANDLES.format("1d")))
    assert {days[coin] for coin in charted} <= {7, 8, 9}
    counts = "SELECT record_count, inserted_count, unchanged_count, expected_page_count FROM crawl"
    assert query(counts) == [(640, 640, 0, 3)]
    assert query("SELECT count(*) FROM full_coin WHERE extra::text LIKE '%sparkline%'") == [(0,)]


def test_the_same_prices_again_change_nothing(scrapy, sandbox, query):
    api = sandbox("--coins", 30, odd=False)
    crawl = ("crawl", "coins", "-a", "sparkline=true")
    assert scrapy(*crawl, COINGECKO_BASE_URL=api.url).returncode == 0
    before = query(OF_TWO)
    assert scrapy(*crawl, COINGECKO_BASE_URL=api.url).returncode == 0
    assert query(OF_TWO) == before != []


@pytest.mark.parametrize(
    ("arguments", "charted"),
    [
        pytest.param(["pages=1", "per_page=20"], 20, id="the largest"),
        pytest.param(["pages=1", "per_page=20", "first_page=2"], 20, id="the next ones"),
        pytest.param(["pages=1", "per_page=20", "order=volume_desc"], 0, id="another order"),
        pytest.param(["ids=aurel,brivo"], 0, id="chosen"),
    ],
)
def test_a_part_has_a_week_of_prices_if_it_is_of_the_largest(
    scrapy, sandbox, query, arguments, charted
):
    api = sandbox("--coins", 60, odd=False)
    options = [word for argument in arguments for word in ("-a", argument)]
    done = scrapy("crawl", "coins", *options, COINGECKO_BASE_URL=api.url, **FIRST)
    assert done.returncode == 0, done.stderr
    hours = dict(query(CANDLES.format("1h")))
    assert sum(count > 100 for count in hours.values()) == charted


def test_nobody_is_asked_again_once_there_is_a_history(scrapy, sandbox):
    api, made = sandbox("--coins", 30, odd=False), []
    for _ in range(2):
        crawl = ("crawl", "coins", "-s", "LOOKAHEAD_PAGES=1")
        assert scrapy(*crawl, COINGECKO_BASE_URL=api.url, **FIRST).returncode == 0
        made.append(len(api.calls()))
    assert made[0] - (made[1] - made[0]) == 1


def test_a_feed_has_each_coin_once(scrapy, sandbox, tmp_path):
    api, feed = sandbox("--coins", 30, odd=False), tmp_path / "coins.csv"
    done = scrapy("crawl", "coins", "-O", str(feed), COINGECKO_BASE_URL=api.url, **FIRST)
    assert done.returncode == 0, done.stderr
    assert len(feed.read_text().splitlines()) == 31


def test_the_first_minute_shows_250_coins_with_changes_lines_and_a_chart(
    scrapyd, scrapy, sandbox, query, database_url
):
    """Without a key the rest takes minutes, and everybody is told how far it is."""
    api = sandbox("--coins", 5000, "--rehypothecated", 40, "--calls", 4, odd=False)
    settings = {"DATABASE_URL": database_url, "COINGECKO_BASE_URL": api.url}
    began = time.monotonic()
    daemon = scrapyd(SELDOM, **settings, COINGECKO_RATE_LIMIT="4", **FIRST)
    wait_until(lambda: query("SELECT to_regclass('coin_candle_1h')") != [(None,)])
    wait_until(lambda: len(query(CANDLES.format("1h") + " HAVING count(*) > 100")) == 250)
    assert time.monotonic() - began < 60
    assert query(CHANGES)[0][0] >= 200
    wait_until(lambda: query("SELECT expected_page_count FROM crawl") == [(20,)])
    page = "first crawl: page [1-5] of 20"
    assert re.search(page, scrapy("crawls", "--format", "list").stdout)
    assert re.search(page, scrapy("coins", "--format", "table").stderr)
    assert re.search(page, daemon.open("crawls"))
    coins = daemon.open("coins?sort=market_cap_rank")
    assert re.search(page, coins)
    assert coins.count('<svg class="spark ') == 50
    assert '<polyline class="price' in daemon.open("coin?id=aurel&range=7d")
    assert not re.search(page, daemon.open("coins?currency=eur"))
