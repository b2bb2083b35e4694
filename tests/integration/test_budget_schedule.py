"""``budget = auto`` in a real scrapyd, and two scrapyd that draw on one key."""

from tests.helpers.processes import wait_until
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

KEY = {"COINGECKO_API_KEY": "CG-secret", "COINGECKO_PLAN": "demo"}
AUTO = CONFIGURATION + "[schedule:coins]\nspider = coins\nbudget = auto\n"


def test_budget_is_spent_on_a_whole_pass_and_then_on_parts(scrapyd, scrapy, sandbox, query,
                                                           database_url):  # fmt: skip
    api = sandbox("--coins", 600, "--plan", "demo", "--key", "CG-secret")
    # Enough for the next part to be due after the least time between two.
    daemon = scrapyd(AUTO, COINGECKO_BASE_URL=api.url, DATABASE_URL=database_url,
                     COINGECKO_MONTHLY_CREDITS="20000", **KEY)  # fmt: skip
    wait_until(lambda: query("SELECT to_regclass('crawl')") != [(None,)])
    wait_until(lambda: query("SELECT outcome FROM crawl") == [("complete",)])
    assert query("SELECT arguments, whole FROM crawl") == [({}, True)]
    wait_until(lambda: daemon.schedule()["next_time"])
    first = query("SELECT started_at FROM crawl")[0][0]
    assert daemon.schedule()["when"] == "budget auto"
    # The next part, as if a minute had passed; a part does not keep the whole pass out.
    done = scrapy("crawl", "coins", "-a", "first_page=2", "-a", "pages=1",
                  COINGECKO_BASE_URL=api.url, **KEY)  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = query("SELECT lock_name, page_count FROM crawl ORDER BY id")
    assert len({name for name, _ in rows}) == 2
    assert rows[1][1] == 1
    assert first


def test_plan_of_the_next_day_is_shown(scrapy, sandbox):
    api = sandbox("--coins", 600, "--plan", "demo", "--key", "CG-secret")
    environment = {"COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": "100"} | KEY
    assert scrapy("crawl", "coins", **environment).returncode == 0
    done = scrapy("budget", **environment)
    assert done.returncode == 0, done.stderr
    assert ": 4 calls in this month" in done.stdout
    assert "9,996 calls are left until" in done.stdout
    assert "all pages" in done.stdout
    assert "CG-secret" not in done.stdout
    unlimited = scrapy("budget", COINGECKO_BASE_URL=api.url)
    assert "This plan counts no calls" in unlimited.stdout


def test_metrics_tell_calls_limits_and_credits_of_each_key(scrapyd, scrapy, sandbox, database_url):
    api = sandbox("--coins", 600, "--plan", "demo", "--key", "CG-secret")
    environment = {"COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": "100"} | KEY
    assert scrapy("crawl", "coins", **environment).returncode == 0
    daemon = scrapyd(DATABASE_URL=database_url)
    lines = [line for line in daemon.open("metrics").splitlines() if "coinspider_api_" in line]
    figures = {line.partition("{")[0]: float(line.rpartition(" ")[2])
               for line in lines if not line.startswith("#")}  # fmt: skip
    assert figures["coinspider_api_calls_this_month"] == 4
    assert figures["coinspider_api_calls_this_minute"] <= 4
    assert figures["coinspider_api_told_limit_calls"] == 100
    assert figures["coinspider_api_credits_left"] == 9996
    assert figures["coinspider_api_exhausted"] == 0
    assert not [line for line in lines if "CG-secret" in line]


def test_crawls_of_two_scrapyd_share_one_limit(scrapyd, sandbox, tmp_path, database_url):
    api = sandbox("--coins", 290, "--plan", "demo", "--key", "CG-secret", "--calls", 30,
                  "--period", 6)  # fmt: skip
    environment = {
        "COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": "30", "DATABASE_URL": database_url
    } | KEY  # fmt: skip
    configuration = CONFIGURATION.replace(
        "settings_allowed  =", "settings_allowed  = RATELIMIT_PERIOD,"
    )
    other = Scrapyd(tmp_path, configuration, **environment)
    one = scrapyd(configuration, **environment)
    try:
        other.start()
        jobs = [
            (daemon, daemon.run(vs_currency=currency, per_page="10", setting="RATELIMIT_PERIOD=6"))
            for daemon, currency in ((one, "usd"), (other, "eur"))
        ]
        for daemon, job in jobs:
            wait_until(lambda daemon=daemon, job=job: daemon.crawl(job)["outcome"])
            assert daemon.crawl(job)["outcome"] == "complete"
    finally:
        other.end()
    assert [status for _, status in api.calls()] == [200] * 60
