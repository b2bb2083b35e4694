"""Each change of a coin is kept, month by month, and no longer than it should be."""

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import AsyncConnection

from coinspider.items import FullCoin
from coinspider.sandbox.made_up_coins import coin_id, made_up_coin
from coinspider.store.history import Month, keep_partitions
from coinspider.store.migration import migrate
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
    """The API's address as of a tick: ``pages(0)``."""

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


def test_off_by_default(scrapy, pages, query):
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=pages(0)).returncode == 0
    assert query("SELECT to_regclass('coin_history')") == [(None,)]


def test_item_without_a_history_has_none(scrapy, sandbox, query):
    url = sandbox("--coins", 20).url.replace("/api/v3", "/others/assets")
    done = scrapy("crawl", "assets", "-s", f"ASSETS_URL={url}", HISTORY_ENABLED="1")
    assert done.returncode == 0, done.stderr
    assert query("SELECT to_regclass('coin_history')") == [(None,)]


@pytest.mark.parametrize("days", ["-1", "x", "1.5", ""])
def test_wrong_number_of_days_is_named(scrapy, days):
    done = scrapy("crawl", "coins", HISTORY_RETENTION_DAYS=days)
    assert done.returncode == 2
    assert f"HISTORY_RETENTION_DAYS={days} is not a number of days" in last_line(done)


@pytest.fixture
def partitions(database_url, query):
    """Keeps the partitions as of some moments, and gives those there are then."""

    async def keep(moments, days):
        async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
            await migrate(connection, FullCoin, history=True)
            for moment in moments:
                await keep_partitions(connection, "coin_history", days, moment)

    def run(*moments, days=30):
        asyncio.run(keep(moments, days))
        return [name for (name,) in query(PARTITIONS)]

    return run


def day(*date):
    return datetime(*date, tzinfo=UTC)


def test_partition_of_the_next_month_is_there_before_it_begins(partitions, query):
    assert partitions(day(2025, 12, 31)) == ["coin_history_2025_12", "coin_history_2026_01"]
    for moment in (day(2025, 12, 31, 23, 59, 59, 999_999), day(2026, 1, 1)):
        query("INSERT INTO coin_history VALUES ('a', 'usd', 1, 1, 1, now(), %s)", moment)
    assert query("SELECT tableoid::regclass::text FROM coin_history ORDER BY recorded_at") == [
        ("coin_history_2025_12",), ("coin_history_2026_01",)
    ]  # fmt: skip


def test_month_goes_when_all_of_it_is_too_old(partitions):
    january = day(2025, 1, 15)
    assert "coin_history_2025_01" in partitions(january, day(2025, 3, 2))
    assert "coin_history_2025_01" not in partitions(day(2025, 3, 3))
    assert "coin_history_2025_02" in partitions(day(2030, 1, 1), days=0)


def test_partition_of_the_users_own_stays(partitions, query):
    partitions(day(2025, 1, 1))
    query("CREATE TABLE my_old_prices PARTITION OF coin_history"
          " FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')")  # fmt: skip
    assert partitions(day(2026, 1, 1)) == [
        "coin_history_2026_01", "coin_history_2026_02", "my_old_prices"
    ]  # fmt: skip


def test_old_month_in_use_stays_until_the_next_time(partitions, database_url):
    partitions(day(2025, 1, 1))
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM coin_history").fetchone()
        found = partitions(day(2025, 3, 1), days=1)
        assert {"coin_history_2025_01", "coin_history_2025_03"} <= set(found)
    assert "coin_history_2025_01" not in partitions(day(2025, 3, 1), days=1)


@pytest.mark.parametrize(
    ("month", "following"),
    [((2025, 1), (2025, 2)), ((2024, 2), (2024, 3)), ((2025, 12), (2026, 1))],
)
def test_months_follow_each_other(month, following):
    assert Month(*month).following == following
