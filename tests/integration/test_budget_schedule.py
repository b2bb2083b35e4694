"""``budget = auto`` in a real scrapyd, and two scrapyd that share one key."""

import re
from datetime import UTC, datetime

from tests.helpers.processes import last_line, wait_until
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

KEY = {"COINGECKO_API_KEY": "CG-secret", "COINGECKO_PLAN": "demo"}
# The month may end at any moment of a test.
NEXT_MONTH = """
INSERT INTO api_usage (account, month, calls, credits)
SELECT account, month + interval '1 month', calls, credits FROM api_usage
"""
# So that no run of the schedule is due during the test, however slow the machine.
JUST_BEGUN = "UPDATE crawl SET started_at = now()"
AUTO = CONFIGURATION + "[schedule:coins]\nspider = coins\nbudget = auto\n"


def test_first_run_is_a_whole_pass_that_no_part_blocks(scrapyd, scrapy, sandbox, query,
                                                                  database_url):  # fmt: skip
    api = sandbox("--coins", 600, "--plan", "demo", "--key", "CG-secret")
    daemon = scrapyd(AUTO, COINGECKO_BASE_URL=api.url, DATABASE_URL=database_url, **KEY)
    wait_until(lambda: query("SELECT to_regclass('crawl')") != [(None,)])
    wait_until(lambda: ("complete",) in query("SELECT outcome FROM crawl"))
    daemon.get("pauseschedule.json", schedule="coins")
    assert query("SELECT arguments, whole FROM crawl LIMIT 1") == [({}, True)]
    assert daemon.schedule()["when"] == "budget auto"
    done = scrapy("crawl", "coins", "-a", "first_page=2", "-a", "pages=1",
                  COINGECKO_BASE_URL=api.url, **KEY)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert query("SELECT page_count, lock_name NOT IN (SELECT lock_name FROM crawl WHERE whole)"
                 " FROM crawl WHERE job IS NULL") == [(1, True)]  # fmt: skip


def test_plan_of_the_next_day_is_shown(scrapy, query, sandbox):
    api = sandbox("--coins", 600, "--plan", "demo", "--key", "CG-secret")
    environment = {"COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": "100"} | KEY
    assert scrapy("crawl", "coins", **environment).returncode == 0
    query(NEXT_MONTH)
    done = scrapy("budget", **environment)
    assert done.returncode == 0, done.stderr
    assert ": 4 calls in this month" in done.stdout
    assert "9,996 calls are left until" in done.stdout
    assert re.search(r"^  \d\d:\d\d  (page \d|all pages)$", done.stdout, re.M)
    assert "CG-secret" not in done.stdout
    assert "  coins: budget auto, 9,800 calls a month; the age of a coin:" in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 80
    unknown = scrapy("budget", "--currency", "xyz", **environment)
    assert unknown.returncode == 2
    assert ": no coins in xyz: there are usd; to have them: " in last_line(unknown)
    unlimited = scrapy("budget", COINGECKO_BASE_URL=api.url)
    assert "This plan counts no calls" in unlimited.stdout


def test_pages_and_metrics_show_calls_limits_credits_and_plans(scrapyd, scrapy, sandbox,
                                                               query, database_url):  # fmt: skip
    api = sandbox("--coins", 600, "--plan", "demo", "--key", "CG-secret")
    environment = {"COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": "100",
                   "COINGECKO_MONTHLY_CREDITS": "1000"} | KEY  # fmt: skip
    assert scrapy("crawl", "coins", **environment).returncode == 0
    query(NEXT_MONTH)
    query(JUST_BEGUN)
    far_off = (datetime.now(UTC).hour + 12) % 24
    daily = (
        f"[schedule:daily]\nspider = coins\ncron = 0 {far_off} * * *\n"
        "setting.COINGECKO_MONTHLY_CREDITS = 100\n"
    )
    daemon = scrapyd(AUTO + daily, DATABASE_URL=database_url, **environment)
    wait_until(lambda: "Schedule daily: cron" in daemon.log.read_text())
    found = daemon.open("metrics")
    figures = {line.partition("{")[0]: float(line.rpartition(" ")[2])
               for line in found.splitlines() if not line.startswith("#")}  # fmt: skip
    assert figures["coinspider_api_calls_this_month"] == 4
    assert figures["coinspider_api_calls_this_minute"] <= 4
    assert figures["coinspider_api_told_limit_calls"] == 100
    assert figures["coinspider_api_credits_left"] == 996
    assert figures["coinspider_api_refused_wait_seconds"] == 0
    assert figures["coinspider_api_exhausted"] == 0
    assert figures["coinspider_schedule_needed_calls"] == 31 * 4
    assert figures["coinspider_schedule_used_up_timestamp_seconds"] > 1e9
    home, crawls = daemon.open(""), daemon.open("crawls")
    for page in (home, crawls, daemon.log.read_text()):
        assert "needs 124 calls a month, the plan has 100: used up on the 26th at 00:00" in page
    assert re.search("4 calls this month.*, 996 credits left until", crawls)
    assert "limit told: 100 in" in crawls
    assert "The next 24 hours of coins: about" in crawls
    assert re.search(r"UTC, (page 1|all pages)</li>", crawls)
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
