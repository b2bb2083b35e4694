"""Real ids that look like something else: ``-11`` and ``--`` are coins of CoinGecko's list."""

import json

import psycopg
import pytest

from coinspider.daemon.views.coin import find_coin
from coinspider.sandbox.served_coins import made_up_coin
from tests.helpers.processes import last_line

IDS = ["-11", "--", "a b", " lead", "x,y", "100%", "a+b", "ü.é"]


@pytest.fixture
def crawled(scrapy, sandbox, tmp_path):
    """``scrapy`` in a database that has coins with these ids."""
    coins = [
        json.loads(made_up_coin(number)) | {"id": id_, "name": f"Coin {number}", "symbol": "s"}
        for number, id_ in enumerate(IDS)
    ]
    data = tmp_path / "coins.json"
    data.write_text(json.dumps(coins))
    api = sandbox("--data", data, odd=False)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    return lambda *words: scrapy(*words, COINGECKO_BASE_URL=api.url)


def test_each_is_found_in_the_terminal_and_on_its_page(crawled, database_url):
    for id_ in IDS:
        words = [id_] if id_ == "-11" else ["--", id_]
        found = crawled("history", "--format", "jsonl", "--resolution", "changes", *words)
        assert found.returncode == 0, (id_, found.stderr)
        assert json.loads(found.stdout.splitlines()[0])["coin_id"] == id_
        listed = crawled("coins", f"--search={id_}", "--format", "jsonl", "--columns", "coin_id")
        assert listed.stdout, (id_, listed.stderr)
        assert json.loads(listed.stdout.splitlines()[0])["coin_id"] == id_
        with psycopg.connect(database_url) as connection:
            assert find_coin(connection, id_, "usd")["name"] == f"Coin {IDS.index(id_)}"


def test_each_but_one_with_a_comma_can_be_asked_for(crawled, query):
    wanted = [id_ for id_ in IDS if "," not in id_]
    query("UPDATE full_coin SET name = 'old'")
    done = crawled("crawl", "coins", "-a", f"ids={','.join(wanted)}", "-s", "HISTORY_ENABLED=0")
    assert done.returncode == 0, done.stderr
    assert f"{len(wanted)} records" in last_line(done)
    assert query("SELECT coin_id FROM full_coin WHERE name = 'old'") == [("x,y",)]


@pytest.mark.parametrize("id_", ["-11", "--"])
def test_an_unknown_one_is_no_option(crawled, query, id_):
    query("DELETE FROM full_coin WHERE coin_id = %s", id_)
    done = crawled("history", *([] if id_ == "-11" else ["--"]), id_)
    assert done.returncode == 2
    assert f"no coin in usd has the id, symbol or name {id_}" in last_line(done)
