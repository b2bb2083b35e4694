"""Several crawls of one key, as real processes: whatever happens, none of its calls is refused."""

from urllib.request import Request, urlopen

import pytest

from coinspider.http.api_key import account_name
from tests.helpers.processes import wait_until

CALLS, PERIOD = 8, 2
KEY = {"COINGECKO_API_KEY": "CG-secret", "COINGECKO_PLAN": "demo"}
LIMITED = ("--calls", CALLS, "--period", PERIOD)
GONE = """
INSERT INTO full_coin (coin_id, vs_currency, name, symbol, extra)
VALUES ('gone', 'usd', 'Gone', 'g', '{}')
"""
HOLDERS = "SELECT count(*) FROM api_account, jsonb_each(state->'holders')"


def demo(sandbox, *options):
    return sandbox("--plan", "demo", "--key", "CG-secret", "--key", "CG-other", *options)


def crawl(*arguments, per_page=10, **settings):
    options = {"RATELIMIT_PERIOD": PERIOD} | settings
    words = [word for name, value in options.items() for word in ("-s", f"{name}={value}")]
    return ["crawl", "coins", "-a", f"per_page={per_page}", *arguments, *words]


def statuses(api, of="calls"):
    return [status for _, status in api.calls(of)]


def test_killed_crawl_frees_what_it_held(scrapy, sandbox, query, crawl_url):
    api = demo(sandbox, "--coins", 5000, *LIMITED, "--latency", "0.1")
    environment = KEY | {
        "COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": str(CALLS), "DATABASE_URL": crawl_url
    }  # fmt: skip
    killed = scrapy.start(*crawl(), **environment)
    wait_until(lambda: len(api.calls()) >= CALLS // 2)
    killed.kill()
    killed.wait()
    assert query(HOLDERS) == [(1,)]
    done = scrapy(*crawl("-a", "vs_currency=eur", "-a", "pages=9"), **environment)
    assert done.returncode == 0, done.stderr
    assert set(statuses(api)) == {200}


def test_lookups_and_key_calls_count(scrapy, sandbox, query):
    """A crawl that asks for its credits, reads five pages, and looks for a coin that is gone."""
    api = sandbox("--coins", 40, "--plan", "pro", "--key", "CG-secret", "--calls", 6,
                  "--period", PERIOD, "--limit", "sliding-window")  # fmt: skip
    environment = {
        "COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": "6",
        "COINGECKO_API_KEY": "CG-secret", "COINGECKO_PLAN": "pro",
    }  # fmt: skip
    first = scrapy(*crawl("-a", "pages=1", "-a", "order=id_asc"), **environment)
    assert first.returncode == 0, first.stderr
    query(GONE)
    query("UPDATE api_usage SET told_at = told_at - interval '1 day'")
    done = scrapy(*crawl(), **environment)
    assert done.returncode == 0, done.stderr
    assert query("SELECT coin_id FROM full_coin WHERE delisted_at IS NOT NULL") == [("gone",)]
    assert set(statuses(api) + statuses(api, "key-calls")) == {200}
    assert len(statuses(api, "key-calls")) == 2
    made = len(statuses(api) + statuses(api, "key-calls"))
    assert query("SELECT sum(calls) FROM api_usage") == [(made,)]


@pytest.mark.parametrize("told", [False, True], ids=["a refusal tells", "headers tell"])
def test_calls_of_somebody_else_cost_one_refused_call_at_most(scrapy, sandbox, told):
    api = demo(sandbox, "--coins", 60, *LIMITED, *(["--limit-headers", "ietf"] if told else []))
    for _ in range(CALLS // 2):
        call = f"{api.url}/coins/markets?vs_currency=usd"
        urlopen(Request(call, headers={"x-cg-demo-api-key": "CG-secret"})).close()  # noqa: S310
    done = scrapy(*crawl(LOOKAHEAD_PAGES=1), COINGECKO_BASE_URL=api.url,
                  COINGECKO_RATE_LIMIT=str(CALLS), **KEY)  # fmt: skip
    assert done.returncode == 0, done.stderr
    # None where the machine is so slow that these calls were of an earlier period.
    assert statuses(api).count(429) <= (0 if told else 1)


def test_calls_are_counted_by_key_however_it_is_sent(scrapy, sandbox, query):
    api = demo(sandbox, "--coins", 25)
    environment = {"COINGECKO_BASE_URL": api.url}
    for key in ("CG-secret", "CG-other"):
        # A slow machine would look ahead, past the end of the list.
        done = scrapy(*crawl(LOOKAHEAD_PAGES=1), **environment, **KEY | {"COINGECKO_API_KEY": key})
        assert done.returncode == 0, done.stderr
    of_next = ("crawl", "next", "-a", f"url={api.url}/coins/markets?vs_currency=usd&per_page=10",
               "-a", "table=things", "-a", "pagination=page")  # fmt: skip
    name = "x-cg-demo-api-key"
    for way in ({"API_TOKEN_HEADER": name}, {"API_TOKEN_PARAMETER": name.replace("-", "_")}):
        done = scrapy(*of_next, API_TOKEN="CG-secret", **way)
        assert done.returncode == 0, done.stderr
    assert set(statuses(api)) == {200}
    counted = dict(query("SELECT account, calls FROM api_usage"))
    one, other = (account_name(api.url, key) for key in ("CG-secret", "CG-other"))
    assert counted == {one: len(statuses(api)) - 4, other: 4}
