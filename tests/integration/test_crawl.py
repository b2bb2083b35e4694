"""``scrapy crawl coins``: the real process, the sandbox, and a real PostgreSQL."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from coinspider.records.record import split_page
from coinspider.sandbox.made_up_coins import coin_id, made_up_coin
from tests.helpers.processes import DATA, SCRAPY, last_line, wait_until
from tests.helpers.stored import digits, expected_row, stored_rows

REAL = DATA / "coins_markets_eur_2025-03-04.json"
COUNT = "SELECT count(*) FROM full_coin"
# Long enough to be stopped before the end.
SLOWLY = ("-s", "LOOKAHEAD_PAGES=1")


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
    scrapy("crawl", "coins", "-a", "order=market_cap_desc", COINGECKO_BASE_URL=api.url)
    assert query(COUNT) < [(2000,)]
    scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert query(COUNT) == [(2000,)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-a", "per_page=500"], "wrong argument per_page=500: allowed is 1 to 250"),
        (["-a", "order=best"], "allowed is one of market_cap_desc, market_cap_asc"),
        (["-a", "page=3"], "unknown argument page: allowed are vs_currency, per_page, order"),
        (["-a", "pages=0"], "wrong argument pages=0: allowed is a number of pages from 1"),
        (["-s", "COINGECKO_PLAN=gold"], "COINGECKO_PLAN must be one of public, demo, "),
        (["-s", "POSTGRES_BATCH_SIZE=0"], "POSTGRES_BATCH_SIZE must be 1 or more"),
    ],
)
def test_wrong_argument_or_setting_stops_the_start_with_one_line(scrapy, arguments, message):
    done = scrapy("crawl", "coins", "-L", "WARNING", *arguments)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert message in line


def test_unreachable_database_fails_before_the_first_request(scrapy, sandbox):
    api = sandbox("--coins", 10)
    url = "postgresql://someone:topsecret@127.0.0.1:1/coins"
    done = scrapy("crawl", "coins", "-L", "DEBUG", COINGECKO_BASE_URL=api.url, DATABASE_URL=url)
    assert done.returncode == 1
    assert "the database coins on 127.0.0.1:1 can't be reached" in last_line(done)
    assert "topsecret" not in done.stderr
    assert api.calls() == []


def test_error_for_a_malformed_database_url_hides_the_password(scrapy):
    done = scrapy("crawl", "coins", DATABASE_URL="postgres//someone:topsecret@host")
    assert done.returncode != 0
    assert "DATABASE_URL can't be read: it is neither a URL" in last_line(done)
    assert "topsecret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_unreachable_page_fails_the_crawl_by_name(scrapy, query):
    done = scrapy("crawl", "coins", "-s", "RETRY_BACKOFF=0.01",
                  COINGECKO_BASE_URL="http://127.0.0.1:1/api/v3")  # fmt: skip
    assert done.returncode == 1
    assert "page http://127.0.0.1:1/api/v3/coins/markets?" in last_line(done)
    assert query(COUNT) == [(0,)]


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


def test_wrong_key_fails_with_the_apis_message(scrapy, sandbox):
    api = sandbox("--coins", 10, "--plan", "demo", "--key", "CG-right")
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, COINGECKO_API_KEY="CG-topsecret")
    assert done.returncode == 1
    assert "Incorrect API Key" in last_line(done)
    assert "topsecret" not in done.stderr


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


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "closed terminal"])
def test_stop_stores_what_has_arrived(scrapy, sandbox, query, sign):
    api = sandbox("--coins", 5000, "--latency", "0.3")
    crawl = scrapy.start("crawl", "coins", *SLOWLY, COINGECKO_BASE_URL=api.url)
    wait_until(lambda: len(api.calls()) >= 4)
    crawl.send_signal(sign)
    _, err = crawl.communicate(timeout=120)
    assert crawl.returncode == 130
    assert "the crawl was interrupted" in err.strip().splitlines()[-1]
    [[stored]] = query(COUNT)
    assert stored >= 3 * 250
    assert stored % 250 == 0
    again = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert again.returncode == 0
    assert query(COUNT) == [(5000,)]


def test_kill_leaves_whole_batches_and_the_next_crawl_repairs_the_rest(scrapy, sandbox, query):
    api = sandbox("--coins", 5000, "--latency", "0.3")
    crawl = scrapy.start("crawl", "coins", *SLOWLY, COINGECKO_BASE_URL=api.url)
    wait_until(lambda: api.calls() and query(COUNT) > [(0,)])
    crawl.kill()
    crawl.communicate()
    [[stored]] = query(COUNT)
    assert 0 < stored < 5000
    assert stored % 500 == 0
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url).returncode == 0
    assert query(COUNT) == [(5000,)]


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


def test_embedded_server_of_a_killed_crawl_is_found_again(empty_project, sandbox):
    api = sandbox("--coins", 5000, "--latency", "0.3")
    crawl = empty_project.start("crawl", "coins", *SLOWLY, COINGECKO_BASE_URL=api.url)
    wait_until(lambda: len(api.calls()) >= 4)
    crawl.kill()
    crawl.communicate()
    done = empty_project("crawl", "coins", "-a", "pages=2", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert not (empty_project.directory / ".scrapy/postgresql/postmaster.pid").exists()


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


def test_demo_shows_the_top_ten_and_what_to_type_next(empty_project):
    for options, result in (
        (["--coins", 300], "2 pages, 300 records, 300 new"),
        (["--coins", 100, "--seed", 1], "1 page, 100 records, 0 new, 100 changed"),
    ):
        done = empty_project("demo", *options)
        assert done.returncode == 0, done.stderr
        assert result in done.stderr
        assert "scrapy coins --demo" in done.stderr
        assert "Aurel" in done.stdout
    following = [
        shlex.split(re.split("  +", line.strip())[0])
        for line in done.stdout.partition("What to type next:")[2].strip().splitlines()
    ]
    assert {"coins", "demo", "psql"} < {command[1] for command in following}
    for command in following:
        assert Path(command[0]).name == "scrapy"
        if command[1] in ("coins", "history"):
            listed = empty_project(*command[1:], "--format", "csv")
            assert listed.returncode == 0, listed.stderr
            assert len(listed.stdout.splitlines()) > 1


def test_demo_has_a_month_of_prices(empty_project):
    assert empty_project("demo", "--coins", 3).returncode == 0
    sql = "SELECT count(DISTINCT started_at) FROM coin_candle_1d WHERE coin_id = 'aurel'"
    done = empty_project("psql", "--demo", "-c", sql)
    assert re.search(r"\b3[01]\b", done.stdout), done.stdout + done.stderr
