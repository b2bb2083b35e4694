"""The upsert against a real PostgreSQL: never older over newer, nothing written for nothing."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from psycopg import AsyncConnection

from coinspider.items import FullCoin
from coinspider.store.crawl_row import Batch
from coinspider.store.migration import migrate
from coinspider.store.upsert import upsert

START = datetime(2025, 1, 1, tzinfo=UTC)
BEGIN = "INSERT INTO crawl (spider, url, started_at) VALUES ('s', 'u', now()) RETURNING id"
PRICES = "SELECT coin_id, current_price FROM full_coin ORDER BY 1"


def coin(coin_id, version, price, **fields):
    moment = None if version is None else START + timedelta(seconds=version)
    return FullCoin(
        coin_id=coin_id, vs_currency="usd", symbol="s", name="n", last_updated=moment,
        current_price=Decimal(price), **fields,
    )  # fmt: skip


@pytest.fixture
def run(database_url):
    """Runs upserts one after the other: ``run([[coin, coin], [coin]])``."""

    async def upsert_all(batches):
        async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
            await migrate(connection, FullCoin)
            [crawl_id] = await (await connection.execute(BEGIN)).fetchone()
            for number, items in enumerate(batches, start=1):
                totals = await upsert(connection, Batch(crawl_id, number), items)
            return totals[1:]

    return lambda batches: asyncio.run(upsert_all(batches))


@pytest.mark.parametrize(
    ("versions", "price"),
    [
        ([1, 2], 1),
        ([2, 1], 0),
        ([1, 1], 0),
        ([None, 1], 1),
        ([1, None], 0),
        ([None, None], 1),
    ],
)
@pytest.mark.parametrize("in_one_batch", [True, False])
def test_only_a_newer_or_the_first_known_version_replaces(
    run, query, versions, price, in_one_batch
):
    items = [coin("a", version, price) for price, version in enumerate(versions)]
    run([items] if in_one_batch else [[item] for item in items])
    if versions == [1, 1] and in_one_batch:
        price = 1  # the last one, which came last
    assert query(PRICES) == [("a", price)]


def test_what_is_counted_is_what_happened(run):
    first = [coin(str(number), 1, 1) for number in range(10)]
    second = [coin(str(number), 1 + number % 2, 2) for number in range(12)]
    assert run([first, second, second]) == (12, 5)


def test_repeat_leaves_no_dead_row_and_next_to_no_wal(database_url, query):
    items = [coin(f"coin-{number}", 1, number) for number in range(2000)]

    async def wal_of_a_repeat():
        async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
            await migrate(connection, FullCoin)
            [crawl_id] = await (await connection.execute(BEGIN)).fetchone()

            async def wal():
                now = await connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'")
                return (await now.fetchone())[0]

            await upsert(connection, Batch(crawl_id, 1), items)
            await connection.execute("VACUUM full_coin")
            before = await wal()
            totals = await upsert(connection, Batch(crawl_id, 2), items)
            assert totals == (2, 2000, 0)
            return await wal() - before

    # The crawl's own row, and whatever else the server does at the moment: not 2,000 rows.
    assert asyncio.run(wal_of_a_repeat()) < 40_000
    query("SELECT pg_stat_force_next_flush()")
    assert query("SELECT n_dead_tup, n_tup_upd, n_tup_ins FROM pg_stat_user_tables"
                 " WHERE relname = 'full_coin'") == [(0, 0, 2000)]  # fmt: skip


def test_crawls_at_once_leave_the_newest_and_do_not_deadlock(database_url, query):
    async def crawl(seed):
        random = Random(seed)
        async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
            await migrate(connection, FullCoin)
            [crawl_id] = await (await connection.execute(BEGIN)).fetchone()
            for number in range(1, 26):
                ids = random.sample(range(100), 60)
                versions = {str(id_): random.randrange(1000) for id_ in ids}
                for id_, version in versions.items():
                    newest[id_] = max(newest.get(id_, 0), version)
                items = [coin(id_, version, version) for id_, version in versions.items()]
                await upsert(connection, Batch(crawl_id, number), items)

    async def crawls():
        await asyncio.gather(*map(crawl, range(6)))

    newest: dict[str, int] = {}
    asyncio.run(crawls())
    assert {id_: int(price) for id_, price in query(PRICES)} == newest
