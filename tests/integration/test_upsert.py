"""The upsert in a real PostgreSQL: older records never replace newer ones or cause writes."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from coinspider.items import FullCoin
from coinspider.store.crawl import Batch
from coinspider.store.migration import migrate
from coinspider.store.upsert import upsert
from tests.helpers.postgres import crawl_connection

START = datetime(2025, 1, 1, tzinfo=UTC)
BEGIN = "INSERT INTO crawl (spider, url, started_at) VALUES ('s', 'u', now()) RETURNING id"
# Seconds after START.
TODAY = int((datetime.now(UTC) - START).total_seconds())
FUTURE = TODAY + 3 * 86_400
TRIGGER = """
CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF NEW.coin_id LIKE 'scam%' THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER keep_out BEFORE INSERT OR UPDATE ON full_coin
    FOR EACH ROW EXECUTE FUNCTION keep_out()
"""
NAMES = "SELECT coin_id, name, market_cap_rank, current_price FROM full_coin ORDER BY 1"
PRICES = "SELECT coin_id, current_price FROM full_coin ORDER BY 1"


def coin(coin_id, version, price, **fields):
    moment = None if version is None else START + timedelta(seconds=version)
    return FullCoin(
        coin_id=coin_id, vs_currency="usd", symbol="s", name="n", last_updated=moment,
        current_price=Decimal(price), **fields,
    )  # fmt: skip


@pytest.fixture
def run(database_url):
    """Run upserts one after the other: ``run([[coin, coin], [coin]])``."""

    async def upsert_all(batches):
        async with await crawl_connection(database_url) as connection:
            await migrate(connection, FullCoin)
            [crawl_id] = await (await connection.execute(BEGIN)).fetchone()
            for number, items in enumerate(batches, start=1):
                totals = await upsert(connection, Batch(crawl_id, number), items)
            return tuple(totals.totals[1:])

    return lambda batches: asyncio.run(upsert_all(batches))


@pytest.mark.parametrize(
    ("versions", "price"),
    [
        ([1, 2], 1),
        ([2, 1], 0),
        ([1, 1], 1),
        ([None, 1], 1),
        ([1, None], 1),
        ([None, None], 1),
        ([FUTURE, 1], 1),
        ([1, FUTURE], 1),
        ([FUTURE, FUTURE - 1], 1),
        ([TODAY, 1], 0),
    ],
)
def test_only_a_strictly_older_version_is_held_back(run, query, versions, price):
    totals = run([[coin("a", version, price)] for price, version in enumerate(versions)])
    assert query(PRICES) == [("a", price)]
    future = sum(version in (FUTURE, FUTURE - 1) for version in versions)
    assert totals == (1, price, 0, 1 - price, 0, future)


@pytest.mark.parametrize(
    ("versions", "price"), [([1, 2], 1), ([2, 1], 0), ([1, 1], 1), ([None, 1], 1), ([1, None], 0)]
)
def test_newest_of_a_coins_records_in_a_batch_is_stored(run, query, versions, price):
    totals = run([[coin("a", version, price) for price, version in enumerate(versions)]])
    assert query(PRICES) == [("a", price)]
    assert totals == (1, 0, 0, 0, 1, 0)


def test_records_of_the_same_version_update_all_columns(run, query):
    before = [coin("a", 1, 1, market_cap_rank=7), coin("b", 1, 1), coin("c", None, 1)]
    after = [coin("a", 1, 1), coin("b", None, 2), coin("c", None, 1)]
    after[0].name = "n [OLD]"
    after[1].current_price = None
    assert run([before, after]) == (3, 2, 1, 0, 0, 0)
    assert query(NAMES) == [
        ("a", "n [OLD]", None, 1), ("b", "n", None, None), ("c", "n", None, 1)
    ]  # fmt: skip


def test_counts_say_what_happened(run):
    first = [coin(str(number), 1, 1) for number in range(10)]
    second = [coin(str(number), 1 + number % 2, 2) for number in range(12)]
    third = [coin(str(number), 0, 3) for number in range(4)]
    assert run([first, second, second, third]) == (12, 10, 12, 4, 0, 0)


def test_rows_that_a_trigger_keeps_out_are_reported(database_url, query):
    async def upsert_all():
        async with await crawl_connection(database_url) as connection:
            await migrate(connection, FullCoin)
            await connection.execute(TRIGGER)
            [crawl_id] = await (await connection.execute(BEGIN)).fetchone()
            items = [coin(name, 1, 1) for name in ("scam-b", "a", "scam-a", "b")]
            return await upsert(connection, Batch(crawl_id, 1), items)

    done = asyncio.run(upsert_all())
    assert done.totals == (1, 2, 0, 0, 0, 0, 0)
    assert sorted(done.left) == [0, 2]
    assert query(PRICES) == [("a", 1), ("b", 1)]


def test_repeated_batch_leaves_no_dead_row_and_almost_no_wal(database_url, query):
    items = [coin(f"coin-{number}", 1, number) for number in range(2000)]

    async def wal_of_a_repeat():
        async with await crawl_connection(database_url) as connection:
            await migrate(connection, FullCoin)
            [crawl_id] = await (await connection.execute(BEGIN)).fetchone()

            async def wal():
                now = await connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'")
                return (await now.fetchone())[0]

            await upsert(connection, Batch(crawl_id, 1), items)
            await connection.execute("VACUUM full_coin")
            before = await wal()
            totals = await upsert(connection, Batch(crawl_id, 2), items)
            assert totals.totals[:4] == (2, 2000, 0, 2000)
            return await wal() - before

    # The crawl's own row, and whatever else the server is doing; but not 2,000 rows.
    assert asyncio.run(wal_of_a_repeat()) < 40_000
    query("SELECT pg_stat_force_next_flush()")
    assert query("SELECT n_dead_tup, n_tup_upd, n_tup_ins FROM pg_stat_user_tables"
                 " WHERE relname = 'full_coin'") == [(0, 0, 2000)]  # fmt: skip


def test_concurrent_crawls_store_the_newest_and_do_not_deadlock(database_url, query):
    async def crawl(seed):
        random = Random(seed)
        async with await crawl_connection(database_url) as connection:
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
