"""``scrapy coins``: what the crawls stored, as people and programs want to read it."""

import csv
import json
from io import StringIO

import pytest

from coinspider.sandbox.made_up_coins import coin_id, made_up_coin
from tests.helpers.processes import last_line
from tests.helpers.stored import expected_row


def records(done):
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(StringIO(done.stdout)))


def test_csv_of_all_columns_keeps_every_digit(scrapy, sandbox):
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
    table = scrapy("coins", "--format", "table", "-n", "2", COLUMNS="120").stdout
    assert "…" not in table
    [crawl] = records(scrapy("coins", "--crawls"))
    assert (crawl["outcome"], crawl["new"]) == ("complete", "300")
    assert records(scrapy("coins", "--rejected")) == []
    assert records(scrapy("coins", "--currency", "eur")) == []


def test_hostile_name_is_text_in_the_table(scrapy, sandbox, tmp_path):
    page = tmp_path / "page"
    page.write_text('[{"id": "a", "symbol": "[red]x[/]", "name": "[link=http://evil/]A"},'
                    ' {"id": "b"}]')  # fmt: skip
    api = sandbox("--body", page)
    scrapy("crawl", "coins", "-s", "REJECTED_SHARE_MAX=1", COINGECKO_BASE_URL=api.url)
    table = scrapy("coins", "--format", "table", COLUMNS="200").stdout
    assert "[red]x[/]" in table
    assert "[link=http://evil/]A" in table
    [rejected] = records(scrapy("coins", "--rejected"))
    assert rejected["text"] == '{"id": "b"}'
    assert "symbol" in rejected["reason"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--columns", "price"], "no column price: there are coin_id, vs_currency"),
        (["--sort", "-"], "no column"),
        (["--limit", "many"], "many is neither a number nor all"),
        (["bitcoin"], "it takes options only"),
        ([], "nothing was crawled into this database yet: scrapy crawl coins"),
    ],
)
def test_wrong_option_is_named(scrapy, options, line):
    done = scrapy("coins", *options)
    assert done.returncode == 2
    assert line in done.stderr


def test_database_that_is_away_is_named_without_its_password(scrapy):
    done = scrapy("coins", DATABASE_URL="postgresql://me:hush@127.0.0.1:1/coins")
    assert done.returncode == 2
    assert "can't be asked" in last_line(done)
    assert "hush" not in done.stderr
