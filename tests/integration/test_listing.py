"""Lists of a table's rows: their order, their pages, their number."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from psycopg import AsyncConnection

from coinspider.daemon.views.cells import CHANGE_7D, LAST_7_DAYS
from coinspider.daemon.views.choice import read_choice
from coinspider.daemon.views.coins import add_sparklines, count_coins
from coinspider.items import FullCoin
from coinspider.records.table_item import JSON, TEXT, TIME
from coinspider.store import fetch
from coinspider.store.connection import connect, transaction
from coinspider.store.crawl import first_complete_crawl
from coinspider.store.database_url import DatabaseSettings
from coinspider.store.migration import make_schema, migrate
from coinspider.store.tables import (
    Condition,
    RowFilter,
    count_rows,
    list_rows,
    list_values,
    stream_rows,
    table_of,
)
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
STRANGE = [Decimal("1e400"), Decimal("-1e400"), Decimal("1e-400"), Decimal("NaN"),
           Decimal("Infinity"), Decimal(0)]  # fmt: skip


@pytest.fixture
def connection(database_url):
    History(database_url).make(0)
    with psycopg.connect(database_url) as connected:
        connected.execute(COINS, {"now": NOW})
        yield connected


def usd(**parts):
    return RowFilter(table_of(FullCoin), USD, ["coin_id"], **parts)


def ids(connection, chosen):
    return [row["coin_id"] for row in list_rows(connection, chosen).dicts()]


@pytest.mark.parametrize("sort", ["current_price", "market_cap_rank", "name", "coin_id", "image"])
def test_pages_follow_each_other_in_both_directions(connection, sort):
    connection.execute("UPDATE full_coin SET image = symbol WHERE symbol < 'm'")
    for direction in ("", "-"):
        everything = usd(sort=f"{direction}{sort}", listed="listed", limit=None)
        chosen = everything._replace(limit=7)
        pages = [ids(connection, chosen._replace(offset=offset)) for offset in range(0, 70, 7)]
        assert [coin_id for page in pages for coin_id in page] == ids(connection, everything)
        assert pages[-1] == []
        assert count_rows(connection, chosen) == sum(map(len, pages))


def test_numbers_that_a_float_can_not_hold_are_in_order(connection):
    for n, price in enumerate(STRANGE, 1):
        connection.execute("UPDATE full_coin SET current_price = %s WHERE coin_id = %s",
                           [price, f"usd-{n}"])  # fmt: skip
    wanted = connection.execute(
        "SELECT coin_id FROM full_coin WHERE vs_currency = 'usd'"
        " ORDER BY current_price DESC NULLS LAST, coin_id DESC"
    ).fetchall()
    for limit in (60, None):
        found = ids(connection, usd(sort="-current_price", limit=limit))
        assert [(coin_id,) for coin_id in found] == wanted


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


def test_missing_tables_leave_a_page_in_its_schema(database_url):
    settings = DatabaseSettings(database_url, "apart", 5, 10.0, 5.0)

    async def prepare():
        async with await connect(settings) as connected:
            await make_schema(connected, "apart")
            await migrate(connected, FullCoin)
            await connected.execute(COINS, {"now": NOW})

    asyncio.run(prepare())
    choice = read_choice({"columns": "name,last_7_days"})
    with transaction(settings) as connected:
        assert count_coins(connected, choice) == {"eur": 56, "usd": 56}
        columns = ["coin_id", "current_price", CHANGE_7D]
        rows = list_rows(connected, choice.chosen._replace(columns=columns)).dicts()
        add_sparklines(connected, choice, rows)
        assert (len(rows), rows[0][LAST_7_DAYS]) == (50, None)
        assert list_values(connected, FullCoin.table, "vs_currency") == ["eur", "usd"]


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
