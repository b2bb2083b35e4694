"""The listing that the pages read has the same coins as the table itself."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from itertools import product

import psycopg
import pytest
from psycopg import AsyncConnection

from coinspider.daemon.views.choice import coin_query
from coinspider.daemon.views.coins import add_sparklines, count, read_rows
from coinspider.daemon.views.columns import CHANGES
from coinspider.items import FullCoin
from coinspider.records.column_types import JSON, TEXT, TIME
from coinspider.store import fetch
from coinspider.store.connection import connect, transaction
from coinspider.store.crawl import first_complete_crawl
from coinspider.store.database_url import DatabaseSettings
from coinspider.store.listing import ORDER_TABLE, TABLE, listing_version, make_listing
from coinspider.store.migration import make_schema, migrate
from coinspider.store.row_filter import LISTED, Condition, RowFilter
from coinspider.store.tables import count_rows, list_rows, list_values, stream_rows
from tests.helpers.changes import NOW, History

USD = {"vs_currency": "usd"}
COINS = """
INSERT INTO full_coin (coin_id, vs_currency, symbol, name, current_price, market_cap_rank,
                       total_volume, last_updated, extra, delisted_at, first_crawled_at)
SELECT key || '-' || n, key, chr(97 + mod(n, 20)), 'Coin ' || chr(65 + mod(n * 7, 26)) || n,
       CASE WHEN mod(n, 9) > 0 THEN mod(n * 37, 50) / 1e3 END, nullif(mod(n * 11, 60), 7),
       n * 1e20, %(now)s, '{}', CASE WHEN mod(n, 13) = 0 THEN %(now)s END,
       %(now)s - make_interval(days => n)
FROM unnest('{usd,eur}'::text[]) AS key, generate_series(1, 60) AS n
"""
CRAWL = """
INSERT INTO crawl (spider, url, vs_currency, started_at, ended_at, outcome, whole)
VALUES ('coins', 'u', 'usd', now(), %s, %s, true)
"""
CHANGED = """
INSERT INTO coin_history (coin_id, vs_currency, recorded_at, current_price)
SELECT coin_id, 'usd', now() - make_interval(mins => %(minutes)s), current_price * %(factor)s
FROM full_coin WHERE coin_id IN ('usd-1', 'usd-2')
"""
STRANGE = [Decimal("1e400"), Decimal("-1e400"), Decimal("1e-400"), Decimal("NaN"),
           Decimal("Infinity"), Decimal(0)]  # fmt: skip


@pytest.fixture
def connection(database_url):
    History(database_url).make(0)
    with psycopg.connect(database_url) as connected:
        connected.execute(COINS, {"now": NOW})
        yield connected


def usd(**parts):
    return RowFilter(FullCoin, USD, ["coin_id"], **parts)


def ids(connection, chosen):
    return [row["coin_id"] for row in list_rows(connection, chosen).dicts()]


SORTS = ("market_cap_rank", "current_price", "name", "coin_id", "total_volume", "last_updated")
FILTERS = [
    {"search": "N d"}, {"search": "USD-7"}, {"search": "%"}, {"offset": 30, "limit": 20},
    {"conditions": [Condition("current_price", ">=", Decimal("0.01"))]},
    {"conditions": [Condition("coin_id", "IN", ["usd-2", "usd-26"])]},
]  # fmt: skip


def test_listing_finds_the_same_rows_in_the_same_order(connection):
    assert make_listing(connection, FullCoin, CHANGES)
    wanted = [usd(sort=f"{direction}{sort}", listed=listed)
              for sort, direction, listed in product(SORTS, ("", "-"), LISTED)]  # fmt: skip
    wanted += [usd(sort="-current_price", listed="listed", **parts) for parts in FILTERS]
    for chosen in wanted:
        listing = chosen._replace(listing=TABLE)
        assert ids(connection, listing) == ids(connection, chosen), chosen
        assert count_rows(connection, listing) == count_rows(connection, chosen), chosen


@pytest.mark.parametrize("sort", ["current_price", "market_cap_rank", "name", "coin_id", "image"])
def test_pages_follow_each_other_in_both_directions(connection, sort):
    connection.execute("UPDATE full_coin SET image = symbol WHERE symbol < 'm'")
    assert make_listing(connection, FullCoin, CHANGES, {"image"})
    for direction in ("", "-"):
        everything = usd(sort=f"{direction}{sort}", listed="listed", limit=None)
        chosen = everything._replace(limit=7, listing=TABLE)
        pages = [ids(connection, chosen._replace(offset=offset)) for offset in range(0, 70, 7)]
        assert [coin_id for page in pages for coin_id in page] == ids(connection, everything)
        assert pages[-1] == []
        assert count_rows(connection, chosen) == sum(map(len, pages))


def test_numbers_that_a_float_can_not_hold_are_in_order(connection):
    for n, price in enumerate(STRANGE, 1):
        connection.execute("UPDATE full_coin SET current_price = %s WHERE coin_id = %s",
                           [price, f"usd-{n}"])  # fmt: skip
    assert make_listing(connection, FullCoin, CHANGES)
    found = ids(connection, usd(sort="-current_price", listing=TABLE, limit=None))
    assert found == ids(connection, usd(sort="-current_price", limit=None))


def test_rows_are_sorted_by_the_change_of_their_price(connection):
    connection.execute("CREATE TABLE coin_history_now PARTITION OF coin_history DEFAULT")
    for minutes, factor in ((50, 3), (70, 2)):
        connection.execute(CHANGED, {"minutes": minutes, "factor": factor})
    connection.execute(
        "UPDATE full_coin SET current_price = 8 * current_price WHERE coin_id = 'usd-2'"
    )
    assert make_listing(connection, FullCoin, CHANGES)
    chosen = usd(sort="-change_1h", limit=3, listing=TABLE, listed_columns=list(CHANGES))
    first, second, third = list_rows(connection, chosen).dicts()
    assert first == {"coin_id": "usd-2", "change_1h": 300, "change_7d": None}
    assert second == {"coin_id": "usd-1", "change_1h": -50, "change_7d": None}
    assert third["change_1h"] is None


def test_new_coins_are_those_after_the_first_whole_crawl(connection):
    month = [Condition("first_crawled_at", "NEW", NOW - timedelta(days=30))]
    wanted = usd(sort="coin_id", limit=None, conditions=month)
    assert (ids(connection, wanted), first_complete_crawl(connection, "usd")) == ([], None)
    for days, outcome in ((40, "failed"), (5, "complete"), (1, "complete")):
        connection.execute(CRAWL, [NOW - timedelta(days=days, hours=1), outcome])
    assert ids(connection, wanted) == [f"usd-{n}" for n in range(1, 6)]
    assert first_complete_crawl(connection, "usd") == NOW - timedelta(days=5, hours=1)
    recent = [Condition("first_crawled_at", "NEW", NOW - timedelta(days=2))]
    assert ids(connection, wanted._replace(conditions=recent)) == ["usd-1", "usd-2"]


def test_rows_are_read_while_they_are_written_and_are_the_same(connection, monkeypatch):
    monkeypatch.setattr(fetch, "_BATCH", 7)
    connection.execute("UPDATE full_coin SET last_updated = 'infinity' WHERE coin_id = 'usd-50'")
    chosen = usd(sort="coin_id", limit=None)._replace(columns=["coin_id", "last_updated", "extra"])
    stream = stream_rows(connection, chosen)
    first = next(stream.rows)
    assert connection.execute("SELECT count(*) FROM pg_cursors").fetchall() == [(1,)]
    assert [first, *stream.rows] == list_rows(connection, chosen).rows
    assert stream.types == {"coin_id": TEXT, "last_updated": TIME, "extra": JSON}
    assert not stream.is_empty
    assert stream_rows(connection, chosen._replace(search="none")).is_empty


def test_version_changes_when_a_crawl_ends(connection):
    before = listing_version(connection, FullCoin)
    connection.execute(CRAWL, [NOW, "complete"])
    assert listing_version(connection, FullCoin).ended_at == NOW != before.ended_at


def test_missing_tables_leave_a_page_in_its_schema(database_url):
    settings = DatabaseSettings(database_url, "apart", 5, 10.0, 5.0)

    async def prepare():
        async with await connect(settings) as connected:
            await make_schema(connected, "apart")
            await migrate(connected, FullCoin)
            await connected.execute(COINS, {"now": NOW})

    asyncio.run(prepare())
    query = coin_query({"columns": "name,change_1h,last_7_days"})
    query = query._replace(chosen=query.chosen._replace(listing=TABLE))  # which there is not
    with transaction(settings) as connected:
        assert count(connected, query) == 56
        rows = read_rows(connected, query, ["name"])
        add_sparklines(connected, query, rows)
        assert (len(rows), rows[0]["change_1h"]) == (50, None)
        assert list_values(connected, FullCoin, "vs_currency") == ["eur", "usd"]


def test_listing_is_replaced_but_not_another_table_of_its_name(connection):
    assert make_listing(connection, FullCoin, CHANGES)
    assert make_listing(connection, FullCoin, CHANGES)
    for table in (TABLE, ORDER_TABLE):
        with connection.transaction(force_rollback=True):
            connection.execute(f"DROP TABLE {table}; CREATE TABLE {table} (mine text)")
            assert not make_listing(connection, FullCoin, CHANGES)
            assert connection.execute(f"SELECT mine FROM {table}").fetchall() == []  # noqa: S608


def test_coins_of_an_earlier_version_are_not_new(database_url, query):
    History(database_url).make(0)
    query(COINS.replace("%(now)s", "now()"))
    query("ALTER TABLE full_coin DROP first_crawled_at")

    async def upgrade():
        async with await AsyncConnection.connect(database_url, autocommit=True) as connected:
            await migrate(connected, FullCoin)

    asyncio.run(upgrade())
    assert query("SELECT count(first_crawled_at) FROM full_coin") == [(0,)]
    query("INSERT INTO full_coin (coin_id, vs_currency, symbol, name, extra)"
          " VALUES ('new', 'usd', 'n', 'New', '{}')")  # fmt: skip
    assert query("SELECT coin_id FROM full_coin WHERE first_crawled_at <= now()") == [("new",)]
