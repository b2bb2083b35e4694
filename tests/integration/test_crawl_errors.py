"""What stops ``scrapy crawl coins``: one line each, with an exit status."""

import pytest

from tests.helpers.processes import last_line

COUNT = "SELECT count(*) FROM full_coin"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-a", "per_page=500"], "wrong argument per_page=500: allowed is 1 to 250"),
        (["-a", "order=best"], "allowed is one of market_cap_desc, market_cap_asc"),
        (
            ["-a", "page=3"],
            "unknown argument page: allowed are vs_currency, first_page",
        ),
        (["-a", "pages=0"], "wrong argument pages=0: allowed is a number of pages from 1"),
        (["-s", "COINGECKO_PLAN=gold"], "COINGECKO_PLAN must be one of public, demo, "),
        (["-s", "POSTGRES_BATCH_SIZE=0"], "POSTGRES_BATCH_SIZE=0 is not a whole number, 1 or more"),
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


def test_wrong_key_fails_with_the_apis_message(scrapy, sandbox):
    api = sandbox("--coins", 10, "--plan", "demo", "--key", "CG-right")
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, COINGECKO_API_KEY="CG-topsecret")
    assert done.returncode == 1
    assert "Incorrect API Key" in last_line(done)
    assert "topsecret" not in done.stderr
