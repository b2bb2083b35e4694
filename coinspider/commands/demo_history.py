"""What went before in the demo: a month of prices, made up as its coins are."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg

from coinspider.items import FullCoin
from coinspider.sandbox.plausible_coins import coin
from coinspider.store.candles import keep_history
from coinspider.store.history import HistorySettings, keep_partitions

DAYS = 30
COINS = 200  # the first four views of the list
_LATEST = 24  # hours with a price every ten minutes; before them there is one an hour
_DAYS_A_CALL = 7
_BEGUN = "SELECT EXISTS (SELECT FROM coin_candle_days)"
_COPY = """
COPY coin_history (coin_id, vs_currency, recorded_at, current_price, market_cap, total_volume)
FROM STDIN
"""


def fill_history(database_url: str, coins: int) -> None:
    """Once, after the first crawl has made the tables."""
    with psycopg.connect(database_url) as connection:
        begun = connection.execute(_BEGUN).fetchone()
    if not (begun and begun[0]):
        asyncio.run(_fill(database_url, min(coins, COINS)))


async def _fill(database_url: str, coins: int) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        table = FullCoin.history_table
        assert table
        now = datetime.now(UTC)
        for days in range(DAYS, 0, -_DAYS_A_CALL):
            await keep_partitions(connection, table, now - timedelta(days=days))
        async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for number in range(coins):
                for moment in _moments(now):
                    await copy.write_row(_change(number, moment))
        await keep_history(connection, FullCoin, HistorySettings(True, 2), now)


def _moments(now: datetime) -> list[datetime]:
    hours = [now - timedelta(hours=n) for n in range(DAYS * 24, _LATEST, -1)]
    return [*hours, *(now - timedelta(minutes=n) for n in range(_LATEST * 60, 5, -10))]


def _change(number: int, moment: datetime) -> tuple[object, ...]:
    told, time = coin(number), moment.timestamp()
    price = told.price_at(time)
    cap = round(price * told.circulating)
    return told.id, "usd", moment, f"{price:.7g}", cap, round(cap * told.turnover)
