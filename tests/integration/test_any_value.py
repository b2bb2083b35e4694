"""Whatever a crawl or another program has stored can be shown, listed and exported."""

import csv
import io
import json
import os
import random
import subprocess
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from urllib.parse import urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.helpers.google_sheets import KEY, start_google_sheets
from tests.helpers.postgres import new_database
from tests.helpers.processes import CLEAN, PROJECT, SCRAPY, Scrapy, start_sandbox
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

TIMES = [
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00-14:00",
    "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59.5Z",
    "2025-02-29T00:00:00Z", "2025-03-04T05:06:07+05:30",
]  # fmt: skip
NUMBERS = [
    "0", "-0.0", "1e-999", "-1e999", "1e1000", "1e131000", "1e-16000", "9" * 999, "9" * 2000,
    "0." + "1" * 5000, "1e99999999999", "123456789.987654321", "-1e-18", '"NaN"', '"12.5"', "true",
]  # fmt: skip
TEXTS = [
    "plain", "", " ", "\x1b[2Jgone\x07", "line\none\r\ntwo", "\u202egnp.exe", "\u2028\u2029\x85",
    "👨\u200d👩\u200d👧", "=cmd|' /C calc'!A0", "+1", "@SUM(1)", "<script>alert(1)</script>",
    '"\'`&;,\t', "\ud800", "a" * 3000, "\u0000", "ｆｕｌｌ", "\ufeffmark", "%s {0} {{ 1 }} \\",
]  # fmt: skip
FIELDS = {
    "symbol": TEXTS, "name": TEXTS, "image": TEXTS,
    "current_price": NUMBERS, "market_cap": NUMBERS, "ath": NUMBERS, "total_supply": NUMBERS,
    "ath_date": TIMES, "atl_date": TIMES, "last_updated": TIMES,
}  # fmt: skip
# Values that no crawl would store, but other programs can.
OTHERS = """
UPDATE full_coin SET last_updated = 'infinity', ath_date = '-infinity',
    atl_date = '4713-01-01 00:00Z BC',
    current_price = 'NaN', market_cap = 'Infinity', ath = '-Infinity', total_supply = 1e131000
WHERE coin_id = 'coin-0'
"""


def record(number, chosen):
    """Its JSON text, with any values, and without some fields."""
    fields = {"id": json.dumps(f"coin-{number}"), "symbol": '"s"', "name": '"n"'}
    for name in chosen.sample(list(FIELDS), chosen.randint(1, 3)):
        value = chosen.choice(FIELDS[name])
        fields[name] = value if FIELDS[name] is NUMBERS else json.dumps(value)
    body = ", ".join(f'"{name}": {value}' for name, value in fields.items())
    return f"{{{body}}}"


@pytest.fixture(scope="module")
def shown(server_url):
    """A database of such records in a distant time zone, and a scrapyd that shows them."""
    chosen = random.Random(18)
    texts = ['{"id": "coin-0", "symbol": "s", "name": "n"}']
    texts += [record(number, chosen) for number in range(1, 150)]
    url = new_database(server_url)
    with psycopg.connect(url, autocommit=True) as connection:
        name = conninfo_to_dict(url)["dbname"]
        connection.execute(f"ALTER DATABASE {name} SET timezone = 'Pacific/Kiritimati'")
    with ExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory(prefix="coinspider-"))
        body = Path(directory, "page")
        body.write_text(f"[{','.join(texts)}]")
        api = start_sandbox(stack, "--body", body).url
        scrapy = Scrapy({"DATABASE_URL": url, "HISTORY_ENABLED": "1"})
        google = stack.enter_context(start_google_sheets())
        uris = [f"{directory}/feed.{name}" for name in ("json", "csv", "jsonl", "xlsx", "parquet")]
        feeds = [part for uri in (*uris, f"gsheets://{KEY}/Any") for part in ("-O", uri)]
        done = scrapy("crawl", "coins", "-s", "REJECTED_SHARE_MAX=1", *feeds,
                      COINGECKO_BASE_URL=api, GOOGLE_SHEETS_URL=google.url,
                      GOOGLE_SHEETS_CREDENTIALS=str(google.write_key(Path(directory, "key"))),
                      )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(OTHERS)
            keys = [key for (key,) in connection.execute("SELECT coin_id FROM full_coin")]
        daemon = Scrapyd(directory, CONFIGURATION, DATABASE_URL=url)
        stack.callback(daemon.start().end)
        yield SimpleNamespace(scrapy=scrapy, daemon=daemon, keys=keys, directory=directory,
                              sheet=google.sheets["Any"])  # fmt: skip


def test_some_are_stored_and_some_are_not(shown):
    assert 20 < len(shown.keys) < 150


@pytest.mark.parametrize("listed", ["all", "listed"])
@pytest.mark.parametrize("sort", ["last_updated", "-current_price", "name"])
def test_every_page_of_the_list_is_shown(shown, listed, sort):
    query = urlencode({"listed": listed, "sort": sort, "limit": 1000})
    coins = json.loads(shown.daemon.open(f"coins.json?{query}"))["coins"]
    assert len(coins) == len(shown.keys)
    assert "coin-0" in shown.daemon.open(f"coins?{query}&columns=all")


def test_every_coin_has_a_page(shown):
    for key in shown.keys:
        page = shown.daemon.open(f"coin?{urlencode({'id': key})}")
        assert "<script>alert" not in page
    page = shown.daemon.open("coin?id=coin-0")
    assert "infinity" in page
    assert "4713-01-01 00:00:00+00 BC" in page


@pytest.mark.parametrize(
    "path", ["", "crawls", "rejected", "crawls.json", "metrics", "schedules.json", "jobs"]
)
def test_reasons_for_rejected_records_are_shown(shown, path):
    assert shown.daemon.open(path)


def test_every_history_and_every_file_is_served(shown):
    for key in shown.keys:
        query = urlencode({"id": key, "days": 36_500})
        assert json.loads(shown.daemon.open(f"coin-history.json?{query}"))
        assert shown.daemon.open(f"coin-history.csv?{query}")
    rows = csv.DictReader(io.StringIO(shown.daemon.open("coins.csv?limit=1000&columns=all")))
    assert len(list(rows)) == len(shown.keys)
    assert shown.daemon.read("coins.xlsx?limit=1000&columns=all")[:2] == b"PK"


def test_history_of_values_beyond_python_is_listed(shown):
    done = shown.scrapy("history", "coin-0", COLUMNS="40")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("form", ["table", "list", "csv", "jsonl"])
def test_listing_is_whole_and_nothing_in_it_acts_on_a_terminal(shown, form):
    options = ("--limit", "all", "--columns", "all", "--format", form)
    done = shown.scrapy("coins", *options, COLUMNS="40")
    assert done.returncode == 0, done.stderr
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert {row["coin_id"] for row in rows} == set(shown.keys)
    elif form == "jsonl":
        rows = list(map(json.loads, done.stdout.strip().split("\n")))
        assert {row["coin_id"] for row in rows} == set(shown.keys)
    else:
        assert "\x1b" not in done.stdout
        assert "\u202e" not in done.stdout


@pytest.mark.parametrize("form", ["xlsx", "parquet"])
def test_file_of_all_rows_is_written(shown, form):
    out = Path(shown.directory, f"listing.{form}")
    with out.open("wb") as file:
        done = subprocess.run(
            [*SCRAPY, "coins", "--limit", "all", "--columns", "all", "--format", form],
            env=os.environ | CLEAN | shown.scrapy.environment, cwd=PROJECT, stdout=file,
            stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size > 1000


def test_feeds_have_what_was_stored(shown):
    feed = json.loads(Path(shown.directory, "feed.json").read_text())
    assert {coin["coin_id"] for coin in feed} == set(shown.keys)
    header, *rows = shown.sheet.rows
    sheet = {row[header.index("coin_id")]: dict(zip(header, row, strict=True)) for row in rows}
    assert sheet.keys() == set(shown.keys)
    for coin in feed:
        cell = sheet[coin["coin_id"]]
        assert cell["name"] == coin["name"] or "(cut: " in cell["name"]
        assert isinstance(cell["current_price"], str | int | float)


def test_rejected_records_are_listed(shown):
    done = shown.scrapy("rejected", "--limit", "all", "--format", "table")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout


# What no crawl writes to a row of its own, and who may write to the table can.
FORGED = {
    "started_at": ["infinity", "-infinity", "4713-01-01 00:00Z BC", "294276-12-31 00:00Z"],
    "ended_at": ["infinity", "-infinity", "0001-01-01 00:00+14", "9999-12-31 23:59-14"],
    "updated_at": ["infinity"],
    "lease_until": ["infinity"],
    "arguments": [
        "null", "[1]", '{"a": 1e131000}', f'{{"a": {"[" * 3000}{"]" * 3000}}}',
        '{"pages": "9e9", "first_page": []}',
    ],
    "reason_figures": [
        "null", '"x"', '{"a": 1e131000}', f'{{"a": {"[" * 3000}{"]" * 3000}}}',
        '{"missing_count": "x", "known_count": null, "remarks": 5, "shortage": [1]}',
        '{"remarks": [1, null], "shortage": {}}', '{"shortage": ["a", "b"]}',
    ],
    "call_count": ["9223372036854775807", "-9223372036854775808"],
    "waiting_until": ["NaN", "Infinity", "1e300"],
    "job": ["x" * 9000, "../../etc/passwd"],
}  # fmt: skip
STATES = [
    "null", "[]", '{"why": {}}', '{"exhausted_until": 1e300}', '{"period": 0, "calls": 5}',
    '{"calls": 1e131000}', f'{{"a": {"[" * 3000}{"]" * 3000}}}',
    '{"holders": {"a": {"open": -1e99}}}',
]  # fmt: skip
FORGE = """
INSERT INTO crawl (spider, url, vs_currency, lock_name, whole, outcome, reason,
    started_at, ended_at)
SELECT spider, url, vs_currency, lock_name, whole, %s, 'coins_missing', now() - interval '1 h', %s
FROM crawl ORDER BY id LIMIT 1 RETURNING id
"""


def test_forged_rows_are_shown_as_unknown_and_stop_no_crawl(shown):
    """The last test: nothing else is shown after it."""
    with psycopg.connect(shown.scrapy.environment["DATABASE_URL"], autocommit=True) as connection:
        for column, values in FORGED.items():
            for value in values:
                row = ("running", None) if column in ("lease_until", "waiting_until") else (
                    "complete", "now()")  # fmt: skip
                [number] = connection.execute(FORGE, row).fetchone()
                connection.execute(f"UPDATE crawl SET {column} = %s WHERE id = %s", [value, number])  # noqa: S608
        for value in STATES:
            connection.execute("UPDATE api_account SET state = %s", [value])
            for path in ("", "crawls", "metrics"):
                assert shown.daemon.open(path)
        connection.execute("UPDATE api_usage SET calls = 9223372036854775807, told_at = 'infinity'")
        connection.execute("UPDATE source_state SET since = 'x'")
        connection.execute("INSERT INTO fleet_failed_job VALUES ('odd', 'coins', '[]', 'infinity',"
                           " '-infinity', 1, '')")  # fmt: skip
        connection.execute("INSERT INTO fleet_run (project, spider, job, node, started_at)"
                           " VALUES ('p', 's', 'j', 'n', 'infinity')")  # fmt: skip
    for path in ("", "crawls", "crawls?outcome=complete", "jobs", "crawls.json", "metrics"):
        assert shown.daemon.open(path)
    for command in ("crawls", "budget"):
        done = shown.scrapy(command)
        assert done.returncode == 0, done.stderr
    with ExitStack() as stack:
        done = shown.scrapy("crawl", "coins", COINGECKO_BASE_URL=start_sandbox(stack).url)
    assert done.returncode == 0, done.stderr
