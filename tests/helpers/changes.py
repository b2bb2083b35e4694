"""A database with a history: partitions, changes, candles."""

import asyncio
from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection

from coinspider.items import FullCoin
from coinspider.store.candles import keep_history, make_views
from coinspider.store.migration import migrate
from coinspider.store.partitions import HistorySettings, keep_partitions

NOW = datetime(2025, 6, 15, 12, tzinfo=UTC)
INSERT = """
INSERT INTO coin_history (coin_id, vs_currency, current_price, market_cap, total_volume,
                          recorded_at)
VALUES (%s, %s, %s, %s, %s, %s)
"""


class History:
    """The history of a database whose clock is at ``NOW``."""

    def __init__(self, url):
        self.url = url

    def make(self, days, item_class=FullCoin):
        """Make its tables and views, with partitions for the last ``days``."""

        async def prepare(connection):
            await migrate(connection, item_class, history=True)
            for number in range(days, -1, -7):
                await keep_partitions(
                    connection, item_class.history_table, now=NOW - timedelta(days=number)
                )
            await make_views(connection, item_class)

        self.run(prepare)
        return self

    def add(self, *changes):
        """Add changes, each a coin, a currency, a price, a market cap, a volume, and a time."""

        async def insert(connection):
            async with connection.cursor() as cursor:
                await cursor.executemany(INSERT, changes)

        self.run(insert)

    def roll_up(self, retention=2, hourly=365, now=NOW, item_class=FullCoin, daily=0):
        settings = HistorySettings(True, retention, hourly, daily)
        self.run(lambda connection: keep_history(connection, item_class, settings, now))

    def run(self, work):
        async def connected():
            async with await AsyncConnection.connect(self.url, autocommit=True) as connection:
                await work(connection)

        asyncio.run(connected())
