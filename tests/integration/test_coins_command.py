"""``scrapy coins`` shows what the crawls stored, for people and for programs."""

import contextlib
import csv
import json
import os
import pty
import re
import subprocess
import termios
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len

from coinspider.sandbox.served_coins import coin_id, made_up_coin
from tests.helpers.processes import CLEAN, PROJECT, SCRAPY, last_line
from tests.helpers.stored import expected_row


def records(done):
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(StringIO(done.stdout)))


def test_csv_of_all_columns_keeps_every_digit(scrapy, sandbox, query):
    api = sandbox("--coins", 300)
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url).returncode == 0
    rows = records(scrapy("coins", "--columns", "all", "--limit", "all"))
    assert len(rows) == 300
    found = {row["coin_id"]: row for row in rows}
    for number in range(300):
        price = expected_row(made_up_coin(number), "usd")["current_price"]
        text = "" if price is None else format(price, "f")
        assert found[coin_id(number)]["current_price"] == text

    top = records(scrapy("coins", "-n", "3", "--sort=-current_price", "--columns", "symbol,name"))
    assert len(top) == 3
    assert list(top[0]) == ["symbol", "name"]
    [one] = records(scrapy("coins", "--search", coin_id(7)))
    assert one["name"] == expected_row(made_up_coin(7), "usd")["name"]
    lines = scrapy("coins", "--format", "jsonl", "-n", "2").stdout.splitlines()
    assert [json.loads(line)["market_cap_rank"] for line in lines] == [1, 2]
    assert len(records(scrapy("coins", "--currency", "USD", "-n", "9" * 30))) == 300
    large = records(scrapy("coins", "--rank-max", "5", "--cap-min", "1k"))
    assert len(large) == 5
    refused = scrapy("coins", "--cap-min", "much")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "cap_min=much is not a number, such as 1M" in last_line(refused)
    [crawl] = records(scrapy("crawls"))
    assert (crawl["outcome"], crawl["new"]) == ("complete", "300")
    shown = scrapy("crawls", "--format", "list").stdout
    assert "complete" in shown
    assert "300 records" not in shown
    psql = scrapy("psql", "--csv", "-tc", "SELECT 6 * 7, 1")
    assert psql.stdout == "42,1\n"
    assert records(scrapy("rejected")) == []
    shown = scrapy("rejected", "--format", "table")
    assert (shown.stdout, shown.stderr) == ("", "no record is kept as rejected\n")
    unknown = scrapy("coins", "--currency", "eur")
    assert unknown.returncode == 2
    assert "no coins in eur: there are usd" in unknown.stderr
    mistyped = scrapy("coins", "--search", coin_id(7)[:-1] + "x")
    assert records(mistyped) == []
    assert "did you mean coin-0" in last_line(mistyped)

    query("UPDATE full_coin SET delisted_at = now() WHERE coin_id = %s", coin_id(7))
    assert len(records(scrapy("coins", "--limit", "all"))) == 299
    [gone] = records(scrapy("coins", "--listed", "delisted"))
    assert gone["name"] == one["name"]
    assert gone["delisted_at"]
    assert len(records(scrapy("coins", "--listed", "all", "--limit", "all"))) == 300
    hidden = scrapy("coins", "--search", coin_id(7))
    assert records(hidden) == []
    assert "1 not in this list: --listed all" in last_line(hidden)


def test_hostile_name_is_text_in_the_table(scrapy, sandbox, tmp_path):
    page = tmp_path / "page"
    page.write_text('[{"id": "a", "symbol": "[red]x[/]", "name": "[link=http://evil/]A"},'
                    ' {"id": "b"}]')  # fmt: skip
    api = sandbox("--body", page)
    scrapy("crawl", "coins", "-s", "REJECTED_SHARE_MAX=1", COINGECKO_BASE_URL=api.url)
    table = scrapy("coins", "--format", "table", COLUMNS="200").stdout
    assert "[red]x[/]" in table
    assert "[link=http://evil/]A" in table
    [rejected] = records(scrapy("rejected"))
    assert rejected["text"] == '{"id": "b"}'
    assert "symbol" in rejected["reason"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--columns", "price"], "no column price: there are coin_id, vs_currency"),
        (["--sort", "-"], "no column"),
        (["--limit", "many"], "many is neither a number nor all"),
        (["bitcoin"], "no bitcoin: for a coin --search bitcoin"),
        (["--serach", "x"], "no option --serach: did you mean --search?"),
        (
            ["--columns", "name,curent_price"],
            "no column curent_price (did you mean current_price?)",
        ),
        (["--format", "sheet"], "invalid choice: 'sheet' (choose from"),
        ([], "scrapy crawl coins"),
    ],
)
def test_wrong_option_is_named(scrapy, options, line):
    done = scrapy("coins", *options)
    assert done.returncode == 2
    assert line in done.stderr


def test_database_that_is_away_is_named_without_its_password(scrapy):
    done = scrapy("coins", DATABASE_URL="postgresql://me:hush@127.0.0.1:1/coins")
    assert done.returncode == 2
    assert "the database coins on 127.0.0.1:1 can't be reached" in last_line(done)
    assert "hush" not in done.stderr


def test_it_ends_quietly_if_the_reader_closes_the_pipe(scrapy, sandbox):
    api = sandbox("--coins", 3000)
    scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    listing = ["coins", "--limit", "all"]
    for command in (
        [*listing, "--format", "table"], [*listing, "--columns", "all"],
        [*listing, "--format", "jsonl"], ["budget"],
    ):  # fmt: skip
        with scrapy.start(*command) as process:
            assert command == ["budget"] or process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == ""
        assert process.returncode == 0


@pytest.mark.needs("/dev/full")
def test_full_disk_is_one_line(scrapy, sandbox):
    scrapy("crawl", "coins", COINGECKO_BASE_URL=sandbox("--coins", 10).url)
    for name in ("table", "csv", "xlsx"):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [*SCRAPY, "coins", "--format", name], check=False, cwd=PROJECT,
                stdout=full, stderr=subprocess.PIPE, text=True,
                env=os.environ | CLEAN | scrapy.environment,
            )  # fmt: skip
        assert done.returncode == 1, name
        assert done.stderr == "the output could not be written: No space left on device\n", name


LOCALES = [
    {"LC_ALL": "C"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "latin-1"},
]


def test_every_locale_works(scrapy, sandbox, tmp_path):
    page = tmp_path / "page"
    page.write_text('[{"id": "a", "symbol": "漢", "name": "Zoë", "current_price": 1e-12}]')
    scrapy("crawl", "coins", COINGECKO_BASE_URL=sandbox("--body", page).url)
    for locale in LOCALES:
        with scrapy.start("coins", "--format", "table", **locale) as process:
            assert b"Zo" in process.stdout.buffer.read(), locale
            assert process.stderr.read() == "", locale
    with scrapy.start("coins", **LOCALES[1]) as process:
        assert "Zoë" in process.stdout.buffer.read().decode()


def test_terminal_gets_a_table_in_its_width_with_colors(scrapy, sandbox):
    scrapy("crawl", "coins", COINGECKO_BASE_URL=sandbox("--coins", 10).url)
    for environment, options, colored in (
        ({}, [], True), ({"NO_COLOR": "1"}, [], False), ({}, ["--no-color"], False)
    ):  # fmt: skip
        out = on_a_terminal(scrapy, 60, "coins", *options, **environment)
        assert ("\x1b[3" in out) == colored
        plain = re.sub(r"\x1b\[[\d;]*m", "", out)
        assert max(map(cell_len, plain.splitlines())) <= 60
        assert "No room for" in plain


def on_a_terminal(scrapy, width, *arguments, **environment):
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, width))
    with subprocess.Popen(
        [*SCRAPY, *arguments], cwd=PROJECT, stdout=its,
        env={k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
        | CLEAN | scrapy.environment | {"TERM": "xterm"} | environment,
    ):  # fmt: skip
        os.close(its)
        out = b""
        with contextlib.suppress(OSError):  # on Linux, if the other side has closed it
            while data := os.read(ours, 1 << 16):
                out += data
    os.close(ours)
    return out.decode().replace("\r", "")
