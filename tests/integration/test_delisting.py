"""Which coins get ``delisted_at``, and which lose it."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from time import monotonic

import pytest

from benchmarks.churn import changes, listed_between
from coinspider.items import FullCoin
from coinspider.records.keys import SeenKeys
from coinspider.sandbox.served_coins import coin_id, made_up_coin
from coinspider.spiders.coins import CoinsArguments
from coinspider.store.connection import connect
from coinspider.store.crawl import Batch
from coinspider.store.database_url import DatabaseSettings
from coinspider.store.delisting import Delisted, Delisting
from coinspider.store.migration import migrate
from coinspider.store.upsert import upsert
from tests.helpers.http_server import Handler, Server, running
from tests.helpers.processes import last_line

DELISTED = "SELECT coin_id FROM full_coin WHERE delisted_at IS NOT NULL ORDER BY 1"
BEGIN = "INSERT INTO crawl (spider, url, started_at) VALUES ('s', 'u', now()) RETURNING id"


@pytest.fixture
def crawl(scrapy, sandbox):
    """Crawl a sandbox of ``coins`` coins, and expect this exit status."""

    def run(coins, *arguments, status=0):
        api = sandbox("--coins", coins)
        done = scrapy("crawl", "coins", *arguments, COINGECKO_BASE_URL=api.url)
        assert done.returncode == status, done.stderr
        return done

    return run


def ids(*numbers):
    return [(coin_id(number),) for number in numbers]


def test_complete_crawl_of_all_coins_marks_missing_ones(crawl, query):
    crawl(20)
    crawl(19, "-O", "/proc/no/coins.json", status=1)
    crawl(19, "-a", f"ids={coin_id(1)}")
    assert query(DELISTED) == [], "neither a failed crawl nor one of some coins marks any"
    assert "18 unchanged, 2 delisted, 0 rejected" in last_line(crawl(18))
    assert query(DELISTED) == ids(18, 19)
    assert query("SELECT delisted_count FROM crawl ORDER BY id DESC LIMIT 1") == [(2,)]
    crawl(19, "-a", f"ids={coin_id(18)}")
    assert query(DELISTED) == ids(19), "any crawl sees that one is back"


def test_too_many_missing_coins_fail_the_crawl(crawl, query):
    crawl(20)
    done = crawl(17, status=1)
    assert (
        "3 of the 20 known coins are missing: more than DELISTED_SHARE_MAX=0.1 is taken for a"
        " fault of the API" in last_line(done)
    )
    assert query(DELISTED) == []
    found = query("SELECT outcome, reason, reason_figures FROM crawl ORDER BY id")
    figures = {"missing_count": 3, "known_count": 20, "most": "0.1"}
    assert found == [("complete", None, {}), ("failed", "coins_missing", figures)]
    crawl(17, "-s", "DELISTED_SHARE_MAX=0.15")
    assert query(DELISTED) == ids(17, 18, 19)


@pytest.fixture
def forgetful_api():
    """An API that ignores ``ids=``; its first page has the coins of these numbers."""
    numbers = []

    class Pages(Handler):
        def do_GET(self):
            first = "&page=1" in self.path
            texts = [made_up_coin(number) for number in numbers if first]
            self.send(200, f"[{','.join(texts)}]".encode())

    with running(Server(Pages)) as server:
        yield numbers, f"{server.url}/api/v3"


@pytest.fixture
def forgetful(scrapy, forgetful_api):
    """Crawl that API, without the coins of these numbers."""
    numbers, url = forgetful_api

    def crawl(*missing, order=range(40)):
        numbers[:] = [number for number in order if number not in missing]
        done = scrapy("crawl", "coins", COINGECKO_BASE_URL=url)
        assert done.returncode == 0, done.stderr
        return done

    return crawl


@pytest.mark.parametrize("order", [range(40), [*range(20, 40), *range(20)][::-1]], ids=["id", "no"])
def test_where_ids_are_ignored_no_coin_is_marked_and_the_last_line_says_so(forgetful, query, order):
    forgetful(order=order)
    for _ in range(2):
        said = last_line(forgetful(0, 5, order=order))
        assert "ignores requests for certain coins: 2 did not come, and 2 of these are not" in said
    assert query(DELISTED) == []
    assert query("SELECT reason, jsonb_array_length(reason_figures->'remarks') FROM crawl"
                 " ORDER BY id DESC LIMIT 1") == [(None, 1)]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        ({}, True),
        ({"per_page": 10, "order": "id_desc"}, True),
        ({"order": "market_cap_desc"}, False),
        ({"pages": 100}, False),
        ({"ids": "bitcoin"}, False),
        ({"category": "meme"}, False),
    ],
)
def test_only_all_coins_in_a_fixed_order_are_whole(arguments, whole):
    assert CoinsArguments(**arguments).are_whole() is whole


@pytest.fixture
def delisting(database_url):
    """Run ``work(connection, delisting)`` on a table of ``coins`` coins in dollars and euros."""

    def run(coins, work):
        async def prepared():
            database = DatabaseSettings(database_url, None, 10, 60.0, 10.0)
            async with await connect(database) as connection:
                await migrate(connection, FullCoin)
                [crawl_id] = await (await connection.execute(BEGIN)).fetchone()
                for number, currency in enumerate(("usd", "eur")):
                    batch = Batch(crawl_id, number + 1)
                    await upsert(connection, batch, made_up(range(coins), currency))
                with closing(SeenKeys()) as seen:
                    await work(connection, Delisting(FullCoin, {"vs_currency": "usd"}, seen))

        asyncio.run(prepared())

    return run


def made_up(numbers, currency="usd"):
    return [
        FullCoin(coin_id=coin_id(number), vs_currency=currency, symbol="s", name="n")
        for number in numbers
    ]


def coin_ids(numbers):
    return [coin_id(number) for number in numbers]


@pytest.mark.parametrize("memory", [1_000, 1_000_000], ids=["in a file", "in memory"])
def test_many_coins_cost_little_time(delisting, query, monkeypatch, memory):
    monkeypatch.setattr("coinspider.records.keys._MEMORY", memory)

    async def work(connection, delisting):
        for start in range(0, 19_000, 500):
            delisting.seen.add(coin_ids(range(start, start + 500)))
        moment, began = datetime.now(UTC), monotonic()
        unseen = await delisting.unseen(connection, 3)
        assert unseen == (coin_ids(range(19_000, 19_003)), 1000)
        for _ in range(2):
            done = await delisting.mark(connection, moment, 0.1)
            assert done.marked == 1000, "as when the answer to the first got lost"
        # 0.1 s; comparing each with each takes half a minute.
        assert monotonic() - began < 20
        assert await delisting.unseen(connection, 3) == ([], 0)
        await delisting.load(connection)
        assert len(delisting.seen.awaited) == 1000
        delisting.seen.add(coin_ids([5, 19_500]))
        assert delisting.seen.returned == {coin_id(19_500)}
        await delisting.relist(connection, [coin_id(19_500)])

    delisting(20_000, work)
    assert query("SELECT vs_currency, count(*) FROM full_coin WHERE delisted_at IS NOT NULL"
                 " GROUP BY 1") == [("usd", 999)]  # fmt: skip


def test_marked_coin_is_not_marked_again(delisting):
    async def work(connection, delisting):
        delisting.seen.add(coin_ids(range(19)))
        first, second = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC)
        assert await delisting.mark(connection, first, 0.1) == Delisted(1, 20, 1)
        assert await delisting.mark(connection, second, 0.1) == Delisted(0, 19, 0)

    delisting(20, work)


def test_missing_coins_of_a_moving_list_are_requested_by_id(scrapy, sandbox, query):
    api = sandbox("--odd", "--coins", 400, "--churn", 1, "--seed", 5)
    first = {coin_id(number) for number in range(400)}
    for number in range(4):
        start = len(api.calls())
        done = scrapy("crawl", "coins", "-a", "per_page=20", COINGECKO_BASE_URL=api.url)
        assert done.returncode == 0, done.stderr
        always, ever = listed_between(first, changes(api), start, len(api.calls()))
        rows = dict(query("SELECT coin_id, delisted_at IS NOT NULL FROM full_coin"))
        assert not [id_ for id_ in always if rows.get(id_)], "none is marked that is listed"
        assert not [id_ for id_, marked in rows.items() if not marked and id_ not in ever]
        if number:
            assert len([id_ for id_ in always if id_ not in rows]) <= 1


def test_api_that_ignores_ids_has_no_coin_delisted(scrapy, sandbox, query, tmp_path):
    page = tmp_path / "page"
    page.write_text(f"[{','.join(made_up_coin(number) for number in range(19))}]")
    api = sandbox("--odd", "--coins", 20)
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url).returncode == 0
    other = sandbox("--body", page)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=other.url)
    assert done.returncode == 0, done.stderr
    assert "the API ignores requests for certain coins" in last_line(done)
    assert query(DELISTED) == []
