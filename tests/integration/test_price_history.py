"""The prices of a coin's chart."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import psycopg
import pytest

from coinspider.items import FullCoin
from coinspider.store.history import keep_partitions
from coinspider.store.migration import migrate
from coinspider.store.price_history import POINTS_MAX, price_history

NOW = datetime(2025, 6, 15, 12, tzinfo=UTC)
ADD = """
INSERT INTO coin_history (coin_id, vs_currency, recorded_at, current_price)
SELECT 'a', 'usd', %s - make_interval(mins => 3 * (%s - n)), n::numeric / 7
FROM generate_series(1, %s) AS n
"""


@pytest.fixture
def connection(database_url):
    async def prepare():
        async with await psycopg.AsyncConnection.connect(
            database_url, autocommit=True
        ) as connected:
            await migrate(connected, FullCoin, history=True)
            for month in (5, 6):
                await keep_partitions(
                    connected, "coin_history", 0, datetime(2025, month, 1, tzinfo=UTC)
                )

    asyncio.run(prepare())
    with psycopg.connect(database_url) as connected:
        yield connected


def test_few_prices_are_all_there(connection):
    connection.execute(ADD, [NOW, 5, 5])
    prices = price_history(connection, "a", "usd", 1, NOW)
    assert [time for time, _ in prices] == [NOW - n * timedelta(minutes=3) for n in (4, 3, 2, 1, 0)]
    assert prices[2][1] == Decimal("0.42857142857142857143")
    assert price_history(connection, "a", "eur", 1, NOW) == []
    assert len(price_history(connection, "a", "usd", 1, NOW + timedelta(hours=23, minutes=51))) == 4


def test_many_prices_are_thinned_out_evenly_to_the_last(connection):
    connection.execute(ADD, [NOW, 10_000, 10_000])
    prices = price_history(connection, "a", "usd", 30, NOW)
    assert POINTS_MAX / 2 < len(prices) <= POINTS_MAX + 1
    assert prices[-1][0] == NOW
    assert prices == sorted(prices)
    steps = [later[0] - sooner[0] for sooner, later in pairwise(prices)]
    assert max(steps[:-1]) - min(steps[:-1]) <= timedelta(minutes=3)


def test_one_price_is_one(connection):
    connection.execute(ADD, [NOW, 1, 1])
    assert len(price_history(connection, "a", "usd", 1, NOW)) == 1


def test_without_a_history_there_is_none(database_url):
    with psycopg.connect(database_url) as connected:
        assert price_history(connected, "a", "usd", 1) is None
