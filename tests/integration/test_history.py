"""Each change of a coin is kept, by day, and no longer than it should be."""

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import AsyncConnection
from scrapy.settings import Settings

from coinspider.errors import ConfigurationError
from coinspider.items import FullCoin
from coinspider.sandbox.served_coins import coin_id, made_up_coin
from coinspider.store.migration import migrate
from coinspider.store.partitions import HistorySettings, drop_old_partitions, keep_partitions
from tests.helpers.processes import last_line
from tests.helpers.stored import expected_row

PARTITIONS = """
SELECT inhrelid::regclass::text FROM pg_inherits
WHERE inhparent = to_regclass('coin_history') ORDER BY 1
"""
KEPT = """
SELECT last_updated, current_price, market_cap, total_volume FROM coin_history
WHERE coin_id = %s AND vs_currency = 'usd' ORDER BY recorded_at
"""


@pytest.fixture
def pages(tmp_path, sandbox):
    """The API's address at a tick: ``pages(0)``."""

    def serve(tick, coins=30):
        page = tmp_path / f"page-{tick}"
        page.write_text(
            f"[{','.join(made_up_coin(number, 'usd', tick) for number in range(coins))}]"
        )
        return sandbox("--body", page).url

    return serve


def as_kept(number, tick):
    row = expected_row(made_up_coin(number, "usd", tick), "usd")
    return tuple(row[name] for name in ("last_updated", "current_price", "market_cap",
                                        "total_volume"))  # fmt: skip


def digits(row):
    return row[0].astimezone(UTC), *map(str, row[1:])


def test_each_change_is_kept_once_and_exactly(scrapy, pages, query):
    for tick in (0, 0, 1, 1, 2):
        done = scrapy("crawl", "coins", COINGECKO_BASE_URL=pages(tick), HISTORY_ENABLED="1")
        assert done.returncode == 0, done.stderr
    for number in range(30):
        changes = dict.fromkeys(as_kept(number, tick) for tick in (0, 1, 2))
        assert list(map(digits, query(KEPT, coin_id(number)))) == list(map(digits, changes))
    assert query("SELECT count(*) FROM coin_history") == [(30 + 10 + 10,)]
    assert query("SELECT sum(inserted_count + updated_count) FROM crawl") == [(50,)]


def test_history_is_on_by_default_and_can_be_off(scrapy, pages, query):
    api = pages(0)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api, HISTORY_ENABLED="0")
    assert done.returncode == 0
    assert query("SELECT to_regclass('coin_history')") == [(None,)]
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=pages(3)).returncode == 0
    assert query("SELECT count(*) > 0 FROM coin_history") == [(True,)]
    assert query("SELECT count(*) > 0 FROM coin_candle_1d") == [(True,)]


def test_item_without_a_history_has_none(scrapy, sandbox, query):
    url = sandbox("--coins", 20).url.replace("/api/v3", "/others/assets")
    done = scrapy("crawl", "assets", "-s", f"ASSETS_URL={url}", HISTORY_ENABLED="1")
    assert done.returncode == 0, done.stderr
    assert query("SELECT to_regclass('coin_history')") == [(None,)]


DAYS = {f"HISTORY_{of}RETENTION_DAYS": "1" for of in ("", "HOURLY_", "DAILY_")}


@pytest.mark.parametrize("name", DAYS)
@pytest.mark.parametrize("days", ["-1", "x", "1.5", "", "٣", "99999999"])
def test_wrong_number_of_days_is_named(name, days):
    with pytest.raises(ConfigurationError, match=f"{name}={days} is not a number of days"):
        HistorySettings.from_settings(Settings(DAYS | {name: days}))


def test_wrong_number_of_days_stops_the_start(scrapy):
    done = scrapy("crawl", "coins", HISTORY_RETENTION_DAYS="x")
    assert done.returncode == 2
    assert "HISTORY_RETENTION_DAYS=x is not a number of days" in last_line(done)


@pytest.fixture
def partitions(database_url, query):
    """Make the partitions at some moments, and return those that exist then."""

    async def keep(moments, end):
        async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
            await migrate(connection, FullCoin, history=True)
            for moment in moments:
                await keep_partitions(connection, "coin_history", now=moment)
            if end:
                await drop_old_partitions(connection, "coin_history", end)

    def run(*moments, drop_before=None):
        asyncio.run(keep(moments, drop_before))
        return [name.removeprefix("coin_history_") for (name,) in query(PARTITIONS)]

    return run


def day(*date):
    return datetime(*date, tzinfo=UTC)


def test_partitions_of_a_week_exist_before_it_begins(partitions, query):
    assert partitions(day(2025, 12, 28, 23, 59)) == [
        "2025_12_28", "2025_12_29", "2025_12_30", "2025_12_31",
        "2026_01_01", "2026_01_02", "2026_01_03", "2026_01_04",
    ]  # fmt: skip
    for moment in (day(2025, 12, 31, 23, 59, 59, 999_999), day(2026, 1, 1)):
        query("INSERT INTO coin_history VALUES ('a', 'usd', 1, 1, 1, now(), %s)", moment)
    assert query("SELECT tableoid::regclass::text FROM coin_history ORDER BY recorded_at") == [
        ("coin_history_2025_12_31",), ("coin_history_2026_01_01",)
    ]  # fmt: skip


def test_day_is_dropped_when_all_of_it_is_too_old(partitions):
    days = partitions(day(2025, 1, 1))
    assert partitions(drop_before=day(2025, 1, 3, 23)) == days[2:]
    assert partitions(drop_before=day(2025, 1, 4)) == days[3:]


def test_month_of_an_earlier_version_is_filled_to_its_end(partitions, query):
    partitions(day(2024, 1, 1))
    query("CREATE TABLE coin_history_2025_01 PARTITION OF coin_history"
          " FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00')")  # fmt: skip
    made = partitions(day(2025, 1, 30))
    assert [name for name in made if name.startswith("2025")] == [
        "2025_01", "2025_02_01", "2025_02_02", "2025_02_03", "2025_02_04", "2025_02_05",
        "2025_02_06",
    ]  # fmt: skip
    assert "2025_01" in partitions(drop_before=day(2025, 1, 31))
    assert "2025_01" not in partitions(drop_before=day(2025, 2, 1))


def test_partition_of_a_user_stays(partitions, query):
    partitions(day(2025, 1, 1))
    query("CREATE TABLE my_old_prices PARTITION OF coin_history"
          " FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')")  # fmt: skip
    query("CREATE TABLE whatever PARTITION OF coin_history DEFAULT")
    assert partitions(drop_before=day(2026, 1, 1)) == ["my_old_prices", "whatever"]


def test_old_day_in_use_is_dropped_the_next_time(partitions, database_url):
    partitions(day(2025, 1, 1))
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM coin_history").fetchone()
        assert "2025_01_01" in partitions(drop_before=day(2025, 1, 2))
    assert "2025_01_01" not in partitions(drop_before=day(2025, 1, 2))
