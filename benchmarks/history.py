"""The disk space of a history: a day of crawls every three minutes in which every coin changes.

This is the maximum. The changes are made inside the database, for a tenth of the coins; the figures
are for all of them, including indexes.
"""

import argparse
import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import psycopg

from coinspider.items import FullCoin
from coinspider.store.candles import keep_history, make_views
from coinspider.store.embedded_server import start_embedded_server
from coinspider.store.migration import migrate
from coinspider.store.partitions import DAY, HistorySettings, keep_partitions, midnight, server_time

COINS, SHARE = 17_000, 10
CRAWLS_PER_DAY = 24 * 60 // 3
RETENTION = 2  # days, besides the current day and the one that is rolled up next
# Prices with the requested number of digits: a random walk, and noise.
_ADD = f"""
INSERT INTO coin_history (coin_id, vs_currency, last_updated, current_price, market_cap,
                          total_volume, recorded_at)
SELECT 'coin-name-' || n, 'usd', %(now)s,
       CASE WHEN price >= 1000 AND %(digits)s < 10 THEN round(price::numeric, 2)
            ELSE to_char(price, '9.' || repeat('9', %(digits)s - 1) || 'EEEE')::numeric END,
       round((price * supply)::numeric), round((price * supply * random() / 10)::numeric), %(now)s
FROM (SELECT n, 10 ^ (5 + mod(n, 7)) AS supply,
             10 ^ (mod(n * 37, 100) / 10.0 - 6) * (1 + 0.02 * sin(%(number)s / 70.0 + n)
             + 0.002 * random()) AS price
      FROM generate_series(1, {COINS // SHARE}) AS n) AS coin
"""  # noqa: S608
_SIZES = """
SELECT coalesce(sum(pg_total_relation_size(relid)) FILTER (WHERE relid::regclass::text LIKE %s), 0)
FROM pg_partition_tree(%s) WHERE isleaf
"""
_DAYS_SIZE = "SELECT pg_total_relation_size('coin_candle_days')"


async def measure(url: str, digits: int) -> tuple[float, float, float, float]:
    """The bytes of a day's changes, hours and candle; the seconds to roll it up."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await migrate(connection, FullCoin, history=True)
        day = midnight(await server_time(connection)) - (RETENTION + 1) * DAY
        await keep_partitions(connection, "coin_history", now=day)
        await make_views(connection, FullCoin)
        for number in range(CRAWLS_PER_DAY):
            moment = day + number * timedelta(minutes=3)
            values = {"now": moment, "number": number, "digits": digits}
            await connection.execute(_ADD, values)

        async def size(table: str, like: str = "%") -> float:
            row = await (await connection.execute(_SIZES, [like, table])).fetchone()
            return float(row[0]) * SHARE

        changes = await size("coin_history", f"%{day:%Y_%m_%d}")
        begin = monotonic()
        await keep_history(connection, FullCoin, HistorySettings(True, RETENTION, 365))
        seconds = (monotonic() - begin) * SHARE
        row = await (await connection.execute(_DAYS_SIZE)).fetchone()
        return changes, await size("coin_candle_hours"), float(row[0]) * SHARE, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--digits", type=int, default=6, help="of a price (default: 6)")
    digits = parser.parse_args().digits
    with TemporaryDirectory(prefix="coinspider-") as directory:
        url = start_embedded_server(Path(directory) / "postgresql")
        changes, hours, days, seconds = asyncio.run(measure(url, digits))
    print(f"{COINS} coins, prices of {digits} digits, {datetime.now().astimezone():%Y-%m-%d}\n")
    print("| what | bytes a row or coin and day | MB a day | kept | GB after a year |")
    print("| --- | --- | --- | --- | --- |")
    parts = (("changes", changes, COINS * CRAWLS_PER_DAY, RETENTION + 1),
             ("hours", hours, COINS, 365), ("days", days, COINS, 365))  # fmt: skip
    for name, size, rows, kept in parts:
        print(f"| {name} | {size / rows:.0f} | {size / 1e6:.1f} | {kept} days"
              f" | {size * kept / 1e9:.2f} |")  # fmt: skip
    total = sum(size * kept for _, size, _, kept in parts)
    print(f"| all | | | | {total / 1e9:.2f} |\n\nTo roll up a day: {seconds:.0f} s")


if __name__ == "__main__":
    main()
