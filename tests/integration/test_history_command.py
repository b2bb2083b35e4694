"""``scrapy history``: the same figures as a chart, as a table, and for programs."""

import csv
import re
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest

from coinspider.sandbox.served_coins import coin_id
from tests.helpers.processes import last_line

ADD = """
INSERT INTO coin_history (coin_id, vs_currency, recorded_at, current_price)
SELECT %s, 'usd', now() - make_interval(mins => 10 * n), 100 - n FROM generate_series(1, 90) AS n
"""
YESTERDAYS = """
UPDATE coin_history SET recorded_at = %s - make_interval(mins => 10 * current_price::int)
WHERE coin_id = %s AND current_price < 100
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
    times = [f"{row['started_at']}" for row in candles]
    some = crawled("history", COIN, "--since", times[3][:19], "--until", times[6])
    assert records(some) == candles[3:6]
    chart = crawled("history", COIN, "--format", "chart", COLUMNS="60").stdout.splitlines()
    assert max(map(len, chart)) <= 60
    table = crawled("history", COIN, "--format", "table", COLUMNS="60").stdout
    assert "close" in table
    assert COIN not in table


def test_coin_is_found_by_any_of_its_names_or_the_error_names_coins(crawled, query):
    query("UPDATE full_coin SET symbol = 'Twin', name = 'A Pair', delisted_at ="
          " CASE WHEN coin_id = %s THEN now() END WHERE coin_id IN (%s, %s)",
          COIN, COIN, coin_id(9))  # fmt: skip
    [found] = records(crawled("history", "a pair", "-n", "1"))
    assert found["coin_id"] == coin_id(9)  # the other is not listed any more
    symbol = crawled("history", "TWIN", "--format", "table")
    assert symbol.stdout.startswith("A Pair (Twin) in usd; times are UTC\n")
    assert coin_id(9) not in symbol.stdout
    assert symbol.stderr == (
        f"{coin_id(9)} is the largest coin with the symbol TWIN; others are {COIN}\n"
    )
    for arguments, line in (
        (["coin-000000x"], "id, symbol or name coin-000000x: did you mean coin-00000"),
        (["#"], "no coin in usd has the id, symbol or name #: scrapy coins lists some"),
        ([COIN, "--currency", "eur"], "no coins in eur: there are usd; to have them: scrapy crawl"),
        ([COIN, "--days", "0"], "0 is neither a number of days up to 36500 nor all"),
        ([COIN, "--since", "soon"], "soon is not a time such as 2026-01-31"),
        ([COIN, "--resolution", "5m"], "invalid choice: '5m'"),
        ([COIN, "--day", "x", "more"], "it takes options only"),
        ([], "name a coin: scrapy history bitcoin"),
    ):
        done = crawled("history", *arguments)
        assert done.returncode == 2, arguments
        # The command is named as it can be typed here, maybe with its folder.
        said = re.sub(r"\S*/scrapy ", "scrapy ", last_line(done))
        assert line in said or "--day" in arguments


def test_chart_of_few_candles_is_drawn_from_changes(crawled, query):
    """At any time of day: all changes are yesterday's."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    query(YESTERDAYS, today, COIN)
    yesterday = ("--since", f"{today - timedelta(days=1):%Y-%m-%d}", "--until", f"{today:%Y-%m-%d}")

    def chart(coin, *options):
        return crawled("history", coin, "--format", "chart", *options, COLUMNS="60").stdout

    assert "; a chart needs a second price" in chart(coin_id(8), "--resolution", "1d")
    few = chart(COIN, *yesterday, "--resolution", "1d")
    assert "; a chart needs a second price" in few
    assert len(chart(COIN, *yesterday).splitlines()) > len(few.splitlines())
