"""Nodes with the same schedules make the calls of one."""

import pytest

from tests.helpers.processes import last_line, wait_until
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

HOUR = ["-s", "SCHEDULE_PERIOD=3600"]
SCHEDULE = CONFIGURATION + "\n[schedule:test]\nspider = coins\nevery = 1h\n"


@pytest.fixture
def run(scrapy, sandbox):
    api = sandbox("--coins", 10)

    def run(*arguments):
        before = len(api.calls())
        done = scrapy("crawl", "coins", *arguments, COINGECKO_BASE_URL=api.url)
        return done, len(api.calls()) - before

    return run


def of(node):
    return [*HOUR, "-s", f"SCHEDULE_NODE={node}"]


def test_run_that_another_node_has_made_does_not_begin(run, query):
    assert run(*of("a"))[0].returncode == 0
    skipped, calls = run(*of("b"))
    assert (skipped.returncode, calls) == (3, 0)
    assert "s ago already, by crawl 1 on a: the schedule asks for it every 3600 s" in last_line(
        skipped
    )
    assert query("SELECT outcome, node FROM crawl ORDER BY id") == [
        ("complete", "a"), ("skipped", "b"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        pytest.param(of("a"), None, id="the same node"),
        pytest.param([], None, id="by hand"),
        pytest.param([*of("b"), "-a", "vs_currency=eur"], None, id="something else"),
        pytest.param([*of("b"), "-a", "pages=1"], None, id="another part"),
        pytest.param(of("b"), "outcome = 'failed'", id="after a failure"),
        pytest.param(of("b"), "started_at = now() - interval '46 min'", id="long ago"),
    ],
)
def test_any_other_run_begins(run, query, arguments, change):
    assert run(*of("a"))[0].returncode == 0
    if change:
        query(f"UPDATE crawl SET {change}")  # noqa: S608
    done, calls = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert calls


def test_node_that_starts_beside_another_makes_no_calls_and_shares_the_limit(
    scrapyd, sandbox, database_url, query, tmp_path
):
    key = ("--plan", "demo", "--key", "CG-secret")
    api = sandbox("--coins", 10, *key, "--calls", 6, "--period", 3, "--limit-headers", "ietf")
    environment = {
        "COINGECKO_BASE_URL": api.url, "DATABASE_URL": database_url, "COINGECKO_PLAN": "demo",
        "COINGECKO_API_KEY": "CG-secret", "COINGECKO_RATE_LIMIT": "auto",
    }  # fmt: skip
    first = scrapyd(SCHEDULE, **environment)
    wait_until(lambda: first.get("crawls.json")["crawls"])
    job = first.schedule()["last_job"]
    wait_until(lambda: first.crawl(job)["outcome"] == "complete")
    calls = len(api.calls())
    second = Scrapyd(tmp_path, SCHEDULE, **environment).start()
    try:
        wait_until(lambda: len(second.get("crawls.json")["crawls"]) == 2)
        wait_until(lambda: second.get("crawls.json")["crawls"][0]["outcome"])
        assert second.get("crawls.json")["crawls"][0]["exit_status"] == 3
        assert len(api.calls()) == calls
        assert query("SELECT count(DISTINCT node) FROM crawl") == [(2,)]
        jobs = [
            (daemon, daemon.run(vs_currency=currency, per_page=2))
            for daemon, currency in ((first, "eur"), (second, "btc"))
        ]
        wait_until(lambda: all(daemon.crawl(job)["outcome"] == "complete" for daemon, job in jobs))
    finally:
        second.end()
    # One limit for both of them: they make twice as many calls as a period allows.
    assert [status for _, status in api.calls()] == [200] * (calls + 12)
