"""What else CoinGecko is asked: chosen coins, currencies, and its other lists."""

import pytest

from coinspider.sandbox.served_coins import coin_id
from tests.helpers.processes import last_line


def test_more_ids_than_a_call_takes_are_asked_for_in_several(scrapy, sandbox, query):
    api = sandbox("--coins", 700)
    ids = ",".join([*map(coin_id, range(600)), "nothing-like-it"])
    done = scrapy("crawl", "coins", "-a", f"ids={ids}", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert "the API has no coin nothing-like-it" in last_line(done)
    assert query("SELECT count(*) FROM full_coin") == [(600,)]
    assert len(api.calls()) == 3


def test_ids_of_which_a_whole_call_is_unknown_do_not_end_the_crawl(scrapy, sandbox, query):
    api = sandbox("--coins", 700)
    ids = ",".join([*(f"nothing-{n}" for n in range(250)), *map(coin_id, range(20))])
    done = scrapy("crawl", "coins", "-a", f"ids={ids}", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert query("SELECT count(*) FROM full_coin") == [(20,)]


@pytest.mark.parametrize(
    ("currency", "message"),
    [("euro", "the API has no vs_currency=euro: did you mean eur?"), ("zzzz", "it has aed, ars")],
)
def test_a_currency_that_the_api_lacks_is_refused_with_those_it_has(
    scrapy, sandbox, currency, message
):
    api = sandbox("--coins", 5)
    done = scrapy("crawl", "coins", "-a", f"vs_currency={currency}", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 1
    assert message in last_line(done)
    assert (api.calls(), len(api.calls("other-calls"))) == ([], 1)


def test_wrapped_tokens_are_a_category_and_one_without_coins_is_told(scrapy, sandbox, query):
    api = sandbox("--coins", 60, "--rehypothecated", 9)
    crawl = ("crawl", "coins", "-a", "category=wrapped-tokens")
    done = scrapy(*crawl, COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert query("SELECT count(*) FROM full_coin") == [(9,)]
    done = scrapy(*crawl, "-a", "include_rehypothecated=false", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 1
    assert "no page held any record" in last_line(done)


def test_neither_kind_of_list_delists_what_came_in_the_other(scrapy, sandbox, query):
    api = sandbox("--coins", 640, "--rehypothecated", 40)
    listed = "SELECT count(*), count(delisted_at) FROM full_coin"
    for argument in ("true", "false", "true"):
        crawl = ("crawl", "coins", "-a", f"include_rehypothecated={argument}")
        done = scrapy(*crawl, COINGECKO_BASE_URL=api.url)
        assert done.returncode == 0, done.stderr
        assert query(listed) == [(640, 0)]


LISTS = {
    "exchanges": ("SELECT count(*), count(delisted_at) FROM exchange", 320),
    "categories": ("SELECT count(*), count(delisted_at) FROM coin_category", 6),
    "nfts": ("SELECT count(*), count(delisted_at) FROM nft_collection", 1100),
}


@pytest.mark.parametrize("spider", LISTS)
def test_other_lists_are_stored_whole(scrapy, sandbox, query, spider):
    rows, count = LISTS[spider]
    api = sandbox("--coins", 1, "--plan", "demo", "--key", "CG-right")
    settings = {"COINGECKO_BASE_URL": api.url, "COINGECKO_API_KEY": "CG-right"}
    for _ in range(2):
        done = scrapy("crawl", spider, **settings)
        assert done.returncode == 0, done.stderr
        assert query(rows) == [(count, 0)]
