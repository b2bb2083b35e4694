"""``scrapy history``: the same figures as a chart, a table and for a program."""

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest

from coinspider.sandbox.made_up_coins import coin_id, made_up_coin
from tests.helpers.processes import last_line
from tests.helpers.stored import expected_row

ADD = """
INSERT INTO coin_history (coin_id, vs_currency, recorded_at, current_price)
SELECT %s, 'usd', now() - make_interval(mins => 10 * n), 100 - n FROM generate_series(1, 90) AS n
"""
COIN = coin_id(7)


@pytest.fixture
def crawled(scrapy, sandbox, query):
    scrapy("crawl", "coins", COINGECKO_BASE_URL=sandbox("--coins", 30).url, HISTORY_ENABLED="1")
    query(ADD, COIN)
    return scrapy


def records(done):
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(StringIO(done.stdout)))


def test_candles_and_changes_are_what_was_stored(crawled):
    changes = records(crawled("history", COIN, "--resolution", "changes"))
    assert [row["current_price"] for row in changes[:-1]] == [str(n) for n in range(10, 100)]
    moment = datetime.fromisoformat(changes[0]["recorded_at"])
    assert abs(datetime.now(UTC) - timedelta(minutes=900) - moment) < timedelta(minutes=5)
    candles = records(crawled("history", COIN.upper()))
    assert 15 <= len(candles) <= 17
    assert float(candles[0]["low"]) == 10
    days = records(crawled("history", COIN, "--resolution", "1d", "--days", "all"))
    assert min(float(day["low"]) for day in days) == 10
    assert records(crawled("history", COIN, "-n", "2")) == candles[-2:]
    chart = crawled("history", COIN, "--format", "chart", COLUMNS="60").stdout.splitlines()
    assert max(map(len, chart)) <= 60
    table = crawled("history", COIN, "--format", "table", COLUMNS="60").stdout
    assert "close" in table


def test_coin_is_found_by_its_symbol_or_what_there_is_is_named(crawled):
    symbol = expected_row(made_up_coin(7), "usd")["symbol"]
    found = crawled("history", symbol)
    assert found.returncode == 0 or "several coins have the symbol" in found.stderr
    for arguments, line in (
        (["coin-000000x"], "no coin in usd has the id coin-000000x: did you mean coin-00000"),
        ([COIN, "--currency", "eur"], "no coin in eur has the id"),
        ([COIN, "--days", "0"], "0 is neither a number of days nor all"),
        ([COIN, "--resolution", "5m"], "invalid choice: '5m'"),
        ([COIN, "--day", "x", "more"], "it takes options only"),
        ([], "name a coin: scrapy history bitcoin"),
    ):
        done = crawled("history", *arguments)
        assert done.returncode == 2, arguments
        assert line in last_line(done) or "--day" in arguments
