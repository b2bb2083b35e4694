"""``scrapy history --backfill``: prices of the time before the first crawl, by ``market_chart``."""

import json
import re
import signal
from datetime import UTC, datetime, timedelta
from urllib.request import urlopen

import pytest

from coinspider.text import counted
from tests.helpers.processes import last_line, wait_until

HOURS = "SELECT coin_id, count(*) FROM coin_candle_1h GROUP BY 1"
DAYS = "SELECT coin_id, count(*) FROM coin_candle_1d GROUP BY 1"
CANDLES = """
SELECT '1h', coin_id, started_at, open, high, low, close, market_cap, total_volume
FROM coin_candle_1h UNION ALL SELECT '1d', * FROM (
    SELECT coin_id, started_at, open, high, low, close, market_cap, total_volume
    FROM coin_candle_1d
) AS days ORDER BY 1, 2, 3
"""
BIGGEST = ["aurel", "brivo", "castor", "dorado", "elara"]
CALLS = "other-calls"


@pytest.fixture
def api(sandbox):
    return sandbox("--coins", 8, odd=False)


@pytest.fixture
def crawled(scrapy, api):
    """``scrapy`` in a database that has the coins."""
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    return lambda *words, **variables: scrapy(*words, **{"COINGECKO_BASE_URL": api.url} | variables)


def told(done):
    assert done.returncode == 0, done.stderr
    return next(line for line in done.stderr.splitlines() if line.startswith("coinspider: prices"))


def test_a_coin_gets_hours_and_then_days_each_once(crawled, api, query):
    done = crawled("history", "AUREL", "--backfill", "30")
    assert told(done) == "coinspider: prices of 30 days for 1 coin in usd cost 1 call"
    assert re.search(r"complete: 1 page, .*; 7\d\d prices of 1 coin$", last_line(done))
    hours, days = dict(query(HOURS)), dict(query(DAYS))
    assert 30 * 24 <= hours["aurel"] <= 30 * 24 + 2
    assert days["aurel"] in (30, 31)
    assert hours["brivo"] == 1
    before = query(CANDLES)
    again = crawled("history", "aurel", "--backfill", "30")
    assert "for 0 coins in usd cost 0 calls; 1 have these days already" in told(again)
    assert query(CANDLES) == before
    assert len(api.calls(CALLS)) == 1
    assert crawled("history", "aurel", "--backfill", "300").returncode == 0
    assert dict(query(DAYS))["aurel"] in (300, 301)
    kept = [row for row in query(CANDLES) if row in before]
    assert kept == before, "finer candles stay"


def test_candles_have_the_digits_and_the_moments_of_the_chart(crawled, api, query):
    """Also where a day has only the price of midnight, which closes the day before."""
    assert crawled("history", "brivo", "--backfill", "120").returncode == 0
    url = f"{api.url}/coins/brivo/market_chart?vs_currency=usd&days=120"
    chart = json.load(urlopen(url), parse_float=str)  # noqa: S310
    prices = {datetime.fromtimestamp(ms / 1000, UTC): price for ms, price in chart["prices"]}
    caps = {datetime.fromtimestamp(ms / 1000, UTC): cap for ms, cap in chart["market_caps"]}
    rows = query(
        "SELECT day, open, close, high, low, market_cap FROM coin_candle_days"
        " WHERE coin_id = 'brivo' AND source = 'market_chart_daily' ORDER BY day"
    )
    assert len(rows) in (117, 118)
    for day, *values, cap in rows[:-1]:
        ends = [prices[day], prices[day + timedelta(days=1)]]
        both = sorted(ends, key=float)
        assert [f"{value:f}" for value in values] == [
            f"{float(price):f}" if "e" in price else price for price in (*ends, *reversed(both))
        ]
        assert f"{cap:f}" == caps[day + timedelta(days=1)]


def test_an_interrupted_load_goes_on_where_it_was(crawled, scrapy, sandbox, query):
    """The largest coins first, each asked for once."""
    slow, one = sandbox("--coins", 8, "--latency", 1, odd=False), ("-s", "CONCURRENT_REQUESTS=1")
    load = ("history", "--backfill", "7", "--top", "5", *one)
    with scrapy.start(*load, COINGECKO_BASE_URL=slow.url) as process:
        wait_until(lambda: len(slow.calls(CALLS)) >= 2)
        process.send_signal(signal.SIGINT)
        _, stopped = process.communicate(timeout=60)
    assert process.returncode == 130, stopped
    loaded = {coin for coin, count in query(HOURS) if count > 1}
    assert loaded == set(BIGGEST[: len(loaded)])
    assert 2 <= len(loaded) < 5
    done = crawled(*load, COINGECKO_BASE_URL=slow.url)
    left = 5 - len(loaded)
    assert f"cost {counted(left, 'call')}; {len(loaded)} have these days already" in told(done)
    assert {coin for coin, count in query(HOURS) if count > 1} == set(BIGGEST)
    assert len(slow.calls(CALLS)) == 5


def test_the_cost_names_the_time_that_the_limit_takes(crawled):
    load = ("history", "--backfill", "7", "--top", "8", "-s", "RATELIMIT_PAGE_TIMEOUT=1")
    done = crawled(*load, COINGECKO_RATE_LIMIT="3")
    assert "for 8 coins in usd cost 8 calls, at least 2 min\n" in done.stderr
    assert (done.returncode, "RATELIMIT_PAGE_TIMEOUT=1" in last_line(done)) == (1, True)


def test_our_own_candles_stay_and_no_hour_is_double(crawled, query):
    query("INSERT INTO coin_history (coin_id, vs_currency, current_price, recorded_at)"
          " SELECT 'castor', 'usd', 7, date_trunc('hour', now()) - n * interval '1 hour'"
          " FROM generate_series(3, 30, 3) AS n")  # fmt: skip
    assert crawled("history", "castor", "--backfill", "2").returncode == 0
    assert query("SELECT count(*) FROM coin_history WHERE coin_id = 'castor'"
                 " AND current_price = 7") == [(10,)]  # fmt: skip
    own = "SELECT count(*) FROM coin_candle_1h WHERE coin_id = 'castor' AND high = 7 AND low = 7"
    assert query(own) == [(10,)]
    assert query("SELECT max(n) FROM (SELECT count(*) AS n FROM coin_candle_1h"
                 " GROUP BY coin_id, started_at) AS counts") == [(1,)]  # fmt: skip


def test_one_day_has_a_price_every_five_minutes(crawled, query):
    assert crawled("history", "dorado", "--backfill", "1").returncode == 0
    [(count,)] = query("SELECT count(*) FROM coin_history WHERE coin_id = 'dorado'")
    assert 270 <= count <= 290


def test_a_gap_since_the_last_load_is_asked_for_again(crawled, query):
    assert crawled("history", "elara", "--backfill", "20").returncode == 0
    query("UPDATE coin_candle_past SET until = until - interval '5 days'")
    query("DELETE FROM coin_candle_hours WHERE day > now() - interval '4 days'")
    query("DELETE FROM coin_candle_days WHERE day > now() - interval '4 days'")
    assert "for 1 coin in usd cost 1 call" in told(crawled("history", "elara", "--backfill", "20"))
    assert dict(query(DAYS))["elara"] in (20, 21)
    assert "cost 0 calls" in told(crawled("history", "elara", "--backfill", "20"))


def test_the_cost_names_the_credits_and_too_few_stop_the_load(crawled, api):
    load = ("history", "--backfill", "30", "--top", "8")
    few = crawled(*load, COINGECKO_MONTHLY_CREDITS="6")
    assert few.returncode == 4
    assert "this crawl needs 8 calls, " in last_line(few)
    assert api.calls(CALLS) == []
    enough = crawled(*load, COINGECKO_MONTHLY_CREDITS="100")
    assert re.search(r"cost 8 calls; \d\d are left this month", told(enough))


def test_what_the_api_refuses_is_said_and_costs_one_call(crawled, api):
    done = crawled("history", "--backfill", "1000", "--top", "8")
    assert done.returncode == 1
    assert "exceeds the allowed time range of 365 days" in last_line(done)
    assert len(api.calls(CALLS)) == 1


def test_a_coin_without_a_chart_costs_only_its_own(crawled, query):
    query("INSERT INTO full_coin (coin_id, vs_currency, symbol, name, extra, market_cap_rank)"
          " VALUES ('gone', 'usd', 'g', 'Gone', '{}', 0)")  # fmt: skip
    done = crawled("history", "--backfill", "3", "--top", "3")
    assert "there is no chart of gone" in last_line(done)
    assert {coin for coin, count in query(HOURS) if count > 1} == set(BIGGEST[:2])


@pytest.mark.parametrize(
    ("words", "variables", "line"),
    [
        (["--backfill", "30"], {}, "name a coin: "),
        (["aurel", "--backfill", "0"], {}, "0 is not a whole number from 1 to 36500"),
        (["--top", "5"], {}, "--top goes with --backfill DAYS"),
        (["aurel", "--backfill", "5", "--top", "5"], {}, "name one coin, not aurel --top 5"),
        (["nothing", "--backfill", "5"], {}, "no coin in usd has the id"),
        (["--backfill", "5", "--top", "5", "--demo"], {}, "has no prices of the demo's coins"),
        (["aurel", "--backfill", "5"], {"HISTORY_ENABLED": "0"}, "need HISTORY_ENABLED=1"),
    ],
)
def test_wrong_options_are_one_line(crawled, words, variables, line):
    done = crawled("history", *words, **variables)
    assert done.returncode == 2, done.stderr
    assert line in last_line(done)
