"""Which coins get ``delisted_at``, and which lose it, by whole crawls of the sandbox."""

import pytest

from coinspider.sandbox.made_up_coins import coin_id, made_up_coin
from tests.conftest import last_line

DELISTED = "SELECT coin_id FROM full_coin WHERE delisted_at IS NOT NULL ORDER BY 1"
VERSIONS = "SELECT coin_id, xmin::text, ctid::text FROM full_coin ORDER BY 1"


@pytest.fixture
def crawl(scrapy, sandbox):
    """Crawls a sandbox of so many coins, and expects this exit status."""

    def run(coins, *arguments, status=0):
        api = sandbox("--coins", coins)
        done = scrapy("crawl", "coins", *arguments, COINGECKO_BASE_URL=api.url)
        assert done.returncode == status, done.stderr
        return done

    return run


def ids(*numbers):
    return [(coin_id(number),) for number in numbers]


def test_missing_coins_are_marked_and_returning_ones_lose_the_mark(crawl, query):
    crawl(20)
    crawl(20, "-a", "vs_currency=eur")
    assert "18 unchanged, 2 delisted, 0 rejected" in last_line(crawl(18))
    assert query(DELISTED) == ids(18, 19)
    assert query("SELECT delisted_count FROM crawl ORDER BY id DESC LIMIT 1") == [(2,)]
    [(early, late)] = query(
        "SELECT c.started_at < delisted_at, delisted_at <= c.ended_at"
        " FROM full_coin, crawl c WHERE delisted_at IS NOT NULL ORDER BY c.id DESC LIMIT 1"
    )
    assert early
    assert late
    versions = query(VERSIONS)
    crawl(18)
    assert query(VERSIONS) == versions, "what is marked is not marked again"
    crawl(19, "-a", f"ids={coin_id(18)}")
    assert query(DELISTED) == ids(19), "a crawl of some coins sees that one is back"
    done = crawl(20)
    assert "20 unchanged" in last_line(done)
    assert query(DELISTED) == []


@pytest.mark.parametrize(
    "arguments",
    [["ids=" + coin_id(1)], ["pages=1"], ["order=market_cap_desc"]],
    ids=["filtered", "cut", "moving"],
)
def test_crawl_that_may_not_see_all_coins_marks_none(crawl, query, arguments):
    crawl(20)
    crawl(19, *(part for argument in arguments for part in ("-a", argument)))
    assert query(DELISTED) == []


def test_failed_crawl_marks_none(crawl, query):
    crawl(20)
    crawl(19, "-O", "/proc/no/coins.json", status=1)
    assert query(DELISTED) == []


def test_too_many_missing_coins_are_a_fault_of_the_api(crawl, query):
    crawl(20)
    done = crawl(17, status=1)
    assert (
        "3 of the 20 known coins are missing: more than DELISTED_SHARE_MAX=0.1 is taken for a"
        " fault of the API" in last_line(done)
    )
    assert query(DELISTED) == []
    assert query("SELECT outcome FROM crawl ORDER BY id") == [("complete",), ("failed",)]
    crawl(17, "-s", "DELISTED_SHARE_MAX=0.15")
    assert query(DELISTED) == ids(17, 18, 19)
    assert crawl(0, status=1), "an empty API is one that fails"


def test_coin_with_a_bad_record_is_still_listed(scrapy, sandbox, query, tmp_path, crawl):
    crawl(3, "-s", "DELISTED_SHARE_MAX=1")
    bad = made_up_coin(1).replace('"symbol":', '"symbol":NaN,"old":')
    page = tmp_path / "page"
    page.write_text(f"[{made_up_coin(0)},{bad}]")
    api = sandbox("--body", page)
    done = scrapy("crawl", "coins", "-s", "DELISTED_SHARE_MAX=0.5", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert "1 rejected" in last_line(done)
    assert query(DELISTED) == ids(2)
    page.write_text(f'[{made_up_coin(0)},{{"name":"whose?"}}]')
    api = sandbox("--body", page)
    done = scrapy("crawl", "coins", "-s", "DELISTED_SHARE_MAX=0.5", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert "No coin will be marked" in done.stderr
    assert query(DELISTED) == ids(2)
