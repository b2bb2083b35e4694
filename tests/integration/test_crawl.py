"""``scrapy crawl coins``: the real process, the sandbox, and a real PostgreSQL."""

import csv
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from coinspider.records.record import split_page
from coinspider.sandbox.served_coins import coin_id, made_up_coin
from tests.helpers.processes import DATA, SCRAPY, last_line
from tests.helpers.stored import digits, expected_row, stored_rows

COUNT = "SELECT count(*) FROM full_coin"
REAL = DATA / "coins_markets_eur_2025-03-04.json"


def test_real_records_are_stored_digit_for_digit(scrapy, sandbox, query):
    api = sandbox("--data", REAL)
    done = scrapy("crawl", "coins", "-a", "vs_currency=eur", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    texts = [bytes(text).decode() for text in split_page(REAL.read_bytes())]
    rows = stored_rows(query)
    assert len(rows) == len(texts) == 30
    for text in texts:
        expected = expected_row(text, "eur")
        assert digits(rows[expected["coin_id"]]) == digits(expected)


def test_17000_coins_arrive_exact_and_a_repeat_writes_nothing(scrapy, sandbox, query):
    api = sandbox("--coins", 17_000)
    first = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert first.returncode == 0, first.stderr
    assert "68 pages, 17000 records, 17000 new, 0 changed, 0 unchanged, 0 rejected" in last_line(
        first
    )
    versions = query("SELECT coin_id, xmin::text, ctid::text FROM full_coin ORDER BY 1")
    second = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert "0 new, 0 changed, 17000 unchanged" in last_line(second)
    assert query("SELECT coin_id, xmin::text, ctid::text FROM full_coin ORDER BY 1") == versions
    rows = stored_rows(query)
    assert rows.keys() == {coin_id(number) for number in range(17_000)}
    for number in range(17_000):
        assert digits(rows[coin_id(number)]) == digits(expected_row(made_up_coin(number), "usd"))


def test_short_page_in_the_middle_is_not_the_end(scrapy, sandbox, query):
    api = sandbox("--coins", 1000, "--short-page", 2)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0
    assert query(COUNT) == [(1000 - 125,)]


@pytest.mark.parametrize(
    ("arguments", "stored"),
    [
        (["-a", "pages=2", "-a", "per_page=100"], 200),
        (["-a", "ids=coin-0000007,coin-0000011"], 2),
        (["-a", "per_page=7"], 50),
        (["-a", "vs_currency=btc", "-a", "order=volume_asc"], 50),
    ],
)
def test_arguments_choose_what_is_crawled(scrapy, sandbox, query, arguments, stored):
    api = sandbox("--coins", 50 if stored == 50 else 1000)
    done = scrapy("crawl", "coins", *arguments, COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert query(COUNT) == [(stored,)]


def test_crawl_by_rank_loses_coins_and_a_whole_crawl_does_not(scrapy, sandbox, query):
    api = sandbox("--coins", 2000, "--moving-rank")
    by_rank = ("-a", "order=market_cap_desc", "-s", "RETRY_BACKOFF=0.01")
    scrapy("crawl", "coins", *by_rank, COINGECKO_BASE_URL=api.url)
    assert query(COUNT) < [(2000,)]
    scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert query(COUNT) == [(2000,)]


@pytest.mark.parametrize("plan", ["demo", "pro"])
def test_key_is_in_the_plans_header_and_nowhere_else(scrapy, sandbox, tmp_path, plan):
    api = sandbox("--coins", 10, "--plan", plan, "--key", "CG-topsecret")
    feed = tmp_path / "coins.json"
    environment = {"COINGECKO_BASE_URL": api.url, "COINGECKO_API_KEY": "CG-topsecret"}
    if plan == "pro":
        environment["COINGECKO_PLAN"] = "pro"
    done = scrapy("crawl", "coins", "-L", "DEBUG", "-O", feed, **environment)
    assert done.returncode == 0, done.stderr
    assert "topsecret" not in done.stderr + done.stdout + feed.read_text()


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv"])
def test_feed_needs_no_database_and_keeps_every_digit(scrapy, sandbox, tmp_path, suffix):
    api = sandbox("--data", REAL)
    feed = tmp_path / f"coins.{suffix}"
    done = scrapy("crawl", "coins", "-a", "vs_currency=eur", "-O", feed,
                  COINGECKO_BASE_URL=api.url, POSTGRES_ENABLED="0", DATABASE_URL="x")  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = read_feed(feed)
    texts = split_page(REAL.read_bytes())
    assert len(written) == len(texts) == 30
    for item, text in zip(
        sorted(written, key=lambda i: i["coin_id"]), sorted(texts, key=bytes), strict=True
    ):
        sent = json.loads(bytes(text), parse_float=str, parse_int=str)
        for column in ("current_price", "market_cap", "circulating_supply", "price_change_24h"):
            assert Decimal(item[column]).as_tuple() == Decimal(sent[column]).as_tuple()


def read_feed(path: Path):
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    text = path.read_text()
    array = text if path.suffix == ".json" else f"[{','.join(text.strip().split(chr(10)))}]"
    return json.loads(array, parse_float=str, parse_int=str)


def test_unwritable_feed_fails_the_crawl(scrapy, sandbox):
    api = sandbox("--coins", 10)
    done = scrapy("crawl", "coins", "-O", "/proc/no/coins.json", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 1
    assert "feed" in last_line(done)


def test_feed_and_database_are_written_together(scrapy, sandbox, query, tmp_path):
    api = sandbox("--coins", 10)
    feed = tmp_path / "coins.json"
    done = scrapy("crawl", "coins", "-O", feed, COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0
    assert len(read_feed(feed)) == 10
    assert query(COUNT) == [(10,)]


def test_two_crawls_may_create_the_tables_at_the_same_time(scrapy, sandbox, query):
    api = sandbox("--coins", 500)
    with ThreadPoolExecutor() as pool:
        crawls = [
            pool.submit(scrapy, "crawl", "coins", "-a", f"vs_currency={currency}",
                        COINGECKO_BASE_URL=api.url)
            for currency in ("usd", "eur", "btc")
        ]  # fmt: skip
        assert [crawl.result().returncode for crawl in crawls] == [0, 0, 0]
    assert query(COUNT) == [(1500,)]


def test_crawl_without_a_database_url_uses_an_embedded_server(empty_project, sandbox):
    api = sandbox("--coins", 300)
    for told in ("300 new", "300 unchanged"):
        done = empty_project("crawl", "coins", COINGECKO_BASE_URL=api.url)
        assert done.returncode == 0, done.stderr
        assert told in last_line(done)
    assert "scrapy psql" in done.stderr
    counted = empty_project("psql", "-c", COUNT)
    assert "300" in counted.stdout
    pid_file = empty_project.directory / ".scrapy/postgresql/postmaster.pid"
    assert not pid_file.exists()


def test_settings_may_be_in_a_dot_env_file(empty_project, sandbox):
    api = sandbox("--coins", 10)
    dot_env = f"COINGECKO_BASE_URL={api.url}\nPOSTGRES_ENABLED=0\n"
    (empty_project.directory / ".env").write_text(dot_env)
    bare = {name: os.environ[name] for name in ("PATH", "HOME")}
    done = subprocess.run(
        [*SCRAPY, "crawl", "coins"], cwd=empty_project.directory, capture_output=True, text=True,
        env=bare | empty_project.environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "10 records" in last_line(done)
