"""Several crawls with one key: real processes share a limit and a month of credits."""

import json

import pytest

from tests.helpers.processes import last_line

PERIOD, CALLS = 6, 30
UNTIL = """
SELECT extract(day FROM to_timestamp((state->>'exhausted_until')::float8) AT TIME ZONE 'UTC') = 1
FROM api_account
"""
# So that no month ends during the test.
NOT_YET = "UPDATE api_account SET state = jsonb_set(state, '{exhausted_until}', '1e10')"
KEY = {"COINGECKO_API_KEY": "CG-secret", "COINGECKO_PLAN": "demo"}
LIMITED = ("--plan", "demo", "--key", "CG-secret", "--calls", CALLS, "--period", PERIOD)


def crawl(per_page=10, **settings):
    options = {"RATELIMIT_PERIOD": PERIOD, "LOOKAHEAD_PAGES": 1} | settings
    words = [word for name, value in options.items() for word in ("-s", f"{name}={value}")]
    return ["crawl", "coins", "-a", f"per_page={per_page}", *words]


def statuses(api):
    return [status for _, status in api.calls()]


def seconds(api):
    times = [moment for moment, status in api.calls() if status == 200]
    return times[-1] - times[0]


def ended(process):
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return err


def test_three_crawls_at_once_share_one_limit(scrapy, sandbox, query):
    api = sandbox("--coins", 290, *LIMITED)
    environment = {"COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": str(CALLS)} | KEY
    running = [
        scrapy.start(*crawl(), "-a", f"vs_currency={currency}", **environment)
        for currency in ("usd", "eur", "btc")
    ]
    logs = [ended(process) for process in running]
    assert statuses(api) == [200] * 90
    assert seconds(api) >= 2 * PERIOD
    # Two whole periods are the ideal (python -m benchmarks.ratelimit measures how near it comes); a
    # crawl that waited for the other two would wait for more than twice as many.
    assert query("SELECT max(wait_seconds) < %s FROM crawl", 4 * PERIOD) == [(True,)]
    assert query("SELECT sum(calls) FROM api_usage") == [(90,)]
    assert any("of this key" in log for log in logs)


def test_next_crawl_counts_the_calls_of_the_one_before(scrapy, sandbox):
    api = sandbox("--coins", 200, *LIMITED)
    for currency in ("usd", "eur"):
        done = scrapy(*crawl(), "-a", f"vs_currency={currency}", COINGECKO_BASE_URL=api.url,
                      COINGECKO_RATE_LIMIT=str(CALLS), **KEY)  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert statuses(api) == [200] * 42


def test_what_was_learned_is_kept_for_the_next_crawl(scrapy, sandbox, query):
    # Few enough that even a slow machine makes them within a period.
    calls = 10
    api = sandbox("--coins", 120, *LIMITED, "--calls", calls)
    refused = []
    for _ in range(2):
        done = scrapy(*crawl(), COINGECKO_BASE_URL=api.url, COINGECKO_RATE_LIMIT="auto", **KEY)
        assert done.returncode == 0, done.stderr
        refused.append(statuses(api).count(429) - sum(refused))
    assert refused == [1, 0]
    [(state,)] = query("SELECT state FROM api_account")
    assert (state["calls"], state["source"]) == (calls, "learned")
    assert PERIOD <= state["period"] <= PERIOD + 1
    assert query("SELECT count(*) FROM api_account WHERE name LIKE '%secret%'") == [(0,)]


def test_crawl_that_needs_more_calls_than_are_left_does_not_begin(scrapy, sandbox, query):
    api = sandbox("--coins", 95, "--plan", "demo", "--key", "CG-secret")
    environment = {"COINGECKO_BASE_URL": api.url, "COINGECKO_MONTHLY_CREDITS": "19"} | KEY
    assert scrapy(*crawl(), **environment).returncode == 0
    done = scrapy(*crawl(), **environment)
    assert done.returncode == 4
    assert "this crawl needs 11 calls, 8 are left until 1 " in last_line(done)
    assert len(api.calls()) == 11
    assert query("SELECT outcome FROM crawl ORDER BY id") == [("complete",), ("exhausted",)]
    assert "CG-secret" not in done.stderr


def test_key_endpoint_is_asked_once_an_hour(scrapy, sandbox):
    api = sandbox("--coins", 45, "--plan", "pro", "--key", "CG-secret", "--credits", 14)
    environment = {
        "COINGECKO_BASE_URL": api.url, "COINGECKO_API_KEY": "CG-secret", "COINGECKO_PLAN": "pro"
    }  # fmt: skip
    assert [scrapy(*crawl(), **environment).returncode for _ in range(3)] == [0, 0, 4]
    assert len(api.calls()) == 12
    assert len(api.calls("key-calls")) == 1


@pytest.mark.parametrize("status", [429, 401])
def test_used_up_credits_end_all_calls_until_the_month_ends(scrapy, sandbox, query, status):
    api = sandbox("--coins", 95, "--plan", "demo", "--key", "CG-secret", "--credits", 5,
                  "--exhausted-status", status)  # fmt: skip
    environment = {"COINGECKO_BASE_URL": api.url} | KEY
    first = scrapy(*crawl(), **environment)
    assert first.returncode == 4
    assert "You've used up the monthly credits of your API key." in last_line(first)
    assert len(api.calls()) == 6
    assert query(UNTIL) == [(True,)]
    query(NOT_YET)
    second = scrapy(*crawl(), "-a", "vs_currency=eur", **environment)
    assert second.returncode == 4
    assert "You've used up the monthly credits" in last_line(second)
    assert "(no further call until 2286-11-20 17:46 UTC)" in last_line(second)
    assert len(api.calls()) == 6
    assert query("SELECT outcome FROM crawl") == [("exhausted",)] * 2
    assert query("SELECT count(*) FROM full_coin") == [(50,)]
    plan = scrapy("budget", **environment).stdout
    assert "\n0 calls are left until" in plan
    assert "You've used up the monthly credits of your API key." in plan
    resumed = scrapy("budget", "--resume", **environment)
    assert resumed.stdout.endswith(": calls are made again\n"), resumed.stderr
    assert "CG-secret" not in resumed.stdout
    assert scrapy(*crawl(), **environment).returncode == 4
    assert len(api.calls()) == 7


def test_crawl_without_a_page_for_too_long_fails_with_the_apis_message(scrapy, sandbox):
    api = sandbox("--coins", 95, "--calls", 2, "--period", 300)
    done = scrapy(*crawl(RATELIMIT_PAGE_TIMEOUT=60), COINGECKO_BASE_URL=api.url)
    assert done.returncode == 1
    assert "no page in RATELIMIT_PAGE_TIMEOUT=60 seconds" in last_line(done)
    assert "You've exceeded the Rate Limit" in last_line(done)
    assert len(api.calls()) == 3


def test_shared_state_has_no_infinity_which_json_lacks(query, scrapy, sandbox):
    api = sandbox("--coins", 15)
    assert scrapy(*crawl(), COINGECKO_BASE_URL=api.url).returncode == 0
    [(text,)] = query("SELECT state::text FROM api_account")
    assert "Infinity" not in text
    assert None not in json.loads(text).values()
