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


def test_pages_and_metrics_tell_calls_limits_credits_and_plans(scrapyd, scrapy, sandbox,
                                                               database_url):  # fmt: skip
    api = sandbox("--coins", 600, "--plan", "demo", "--key", "CG-secret")
    environment = {"COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": "100",
                   "COINGECKO_MONTHLY_CREDITS": "100"} | KEY  # fmt: skip
    assert scrapy("crawl", "coins", **environment).returncode == 0
    daily = "[schedule:daily]\nspider = coins\ncron = 59 23 * * *\n"
    daemon = scrapyd(AUTO + daily, DATABASE_URL=database_url, **environment)
    found = daemon.open("metrics")
    figures = {line.partition("{")[0]: float(line.rpartition(" ")[2])
               for line in found.splitlines() if not line.startswith("#")}  # fmt: skip
    assert figures["coinspider_api_calls_this_month"] == 4
    assert figures["coinspider_api_calls_this_minute"] <= 4
    assert figures["coinspider_api_told_limit_calls"] == 100
    assert figures["coinspider_api_credits_left"] == 96
    assert figures["coinspider_api_refused_wait_seconds"] == 0
    assert figures["coinspider_api_exhausted"] == 0
    assert figures["coinspider_schedule_needed_calls"] == 31 * 71
    assert figures["coinspider_schedule_used_up_timestamp_seconds"] > 1e9
    home, crawls = daemon.open(""), daemon.open("crawls")
    for page in (home, crawls):
        assert "needs 2,201 calls a month, the plan has 100: used up on the 2nd at" in page
    assert "4 calls this month, 96 credits left until" in home
    assert "limit told: 100 in" in home
    assert "The next day of coins: about" in crawls
    assert "UTC, page 1</li>" in crawls
    assert "CG-secret" not in found + home + crawls


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
