"""A crawl with refusals and faults: the real process, the sandbox's limit, short periods."""

import signal
from itertools import pairwise

import pytest

from tests.helpers.processes import last_line, wait_until

PERIOD = 2
COUNT = "SELECT count(*) FROM full_coin"
# One page after the other on any machine, so that each refusal is one refused call.
CRAWL = ("crawl", "coins", "-a", "per_page=10", "-s", f"RATELIMIT_PERIOD={PERIOD}",
         "-s", "LOOKAHEAD_PAGES=1")  # fmt: skip


def calls_and_refusals(api) -> tuple[int, int]:
    statuses = [status for _, status in api.calls()]
    return len(statuses), len(statuses) - statuses.count(200)


@pytest.mark.parametrize("kind", ["fixed-window", "sliding-window", "token-bucket"])
def test_right_limit_is_used_in_full_without_a_refusal(scrapy, sandbox, query, kind):
    api = sandbox("--coins", 240, "--calls", 10, "--period", PERIOD, "--limit", kind)
    done = scrapy(*CRAWL, COINGECKO_BASE_URL=api.url, COINGECKO_RATE_LIMIT="10")
    assert done.returncode == 0, done.stderr
    assert query(COUNT) == [(240,)]
    assert calls_and_refusals(api) == (25, 0)
    # Two full periods, less the time of the calls: on a slow machine nothing is left.
    [(waited,)] = query("SELECT wait_seconds FROM crawl")
    assert waited < 2 * PERIOD + 1


@pytest.mark.parametrize("style", ["seconds", "date", "none"])
def test_limit_set_too_high_is_learned(scrapy, sandbox, query, style):
    options = ("--calls", 4, "--period", PERIOD, "--retry-after", style)
    api = sandbox("--coins", 90, *options)
    done = scrapy(*CRAWL, COINGECKO_BASE_URL=api.url, COINGECKO_RATE_LIMIT="6")
    assert done.returncode == 0, done.stderr
    assert query(COUNT) == [(90,)]
    assert calls_and_refusals(api)[1] <= 2
    assert "'ratelimit/refused_count'" in done.stderr


def test_refusal_in_disguise_is_recognised(scrapy, sandbox, query):
    api = sandbox("--coins", 60, "--calls", 4, "--period", PERIOD, "--disguise")
    done = scrapy(*CRAWL, COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert query(COUNT) == [(60,)]
    assert query("SELECT count(*) FROM rejected_record") == [(0,)]
    assert "'ratelimit/refused_count': 1" in done.stderr


def test_only_calls_under_way_are_sent_after_a_refusal(scrapy, sandbox):
    api = sandbox("--coins", 2000, "--calls", 5, "--period", 4, "--latency", "0.05")
    done = scrapy("crawl", "coins", "-a", "pages=8", "-s", "RATELIMIT_PERIOD=4",
                  COINGECKO_BASE_URL=api.url)  # fmt: skip
    assert done.returncode == 0, done.stderr
    statuses = [status for _, status in api.calls()]
    refused = statuses.count(429)
    assert refused <= 8
    assert statuses == [200] * 5 + [429] * refused + [200] * 3


def test_nothing_is_sent_before_the_deadline_and_the_wait_is_logged_once(scrapy, sandbox):
    api = sandbox("--coins", 60, "--calls", 4, "--period", PERIOD)
    done = scrapy(*CRAWL, COINGECKO_BASE_URL=api.url)
    assert calls_and_refusals(api) == (8, 1)
    waits = [line for line in done.stderr.splitlines() if "Waiting" in line]
    assert len(waits) == 1
    assert "refused with HTTP status 429, Retry-After" in waits[0]
    assert not [line for line in done.stderr.splitlines() if "Retrying" in line]


@pytest.mark.parametrize("how", ["signal", "timeout"])
def test_long_wait_ends_at_once_with_the_rows_stored(scrapy, sandbox, query, how):
    api = sandbox("--coins", 1000, "--calls", 2, "--period", 300)
    options = ["-s", "CLOSESPIDER_TIMEOUT=6"] if how == "timeout" else []
    crawl = scrapy.start("crawl", "coins", *options, COINGECKO_BASE_URL=api.url)
    wait_until(lambda: calls_and_refusals(api)[1] >= 1)
    if how == "signal":
        crawl.send_signal(signal.SIGTERM)
    # Long before the API would answer again.
    _, err = crawl.communicate(timeout=120)
    assert crawl.returncode == (130 if how == "signal" else 1)
    assert query(COUNT) == [(500,)]
    assert "could not be fetched" not in err


def test_refusals_have_a_separate_retry_limit(scrapy, sandbox, query):
    api = sandbox("--coins", 40, "--calls", 1, "--period", 1, "--limit", "fixed-window")
    options = ("-s", "RETRY_TIMES=0", "-s", "RATELIMIT_PERIOD=1", "-a", "per_page=10")
    done = scrapy("crawl", "coins", *options, COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert query(COUNT) == [(40,)]


def test_faults_are_retried_with_backoff_until_every_page_arrives(scrapy, sandbox, query):
    api = sandbox("--coins", 400, "--faults", "0.3", "--seed", 5)
    done = scrapy("crawl", "coins", "-a", "per_page=20", "-s", "RETRY_BACKOFF=0.1",
                  "-s", "RATELIMIT_PERIOD=1", COINGECKO_BASE_URL=api.url)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert query(COUNT) == [(400,)]
    assert "'retry/count'" in done.stderr


def test_body_that_is_not_a_page_is_retried_and_then_fails_the_crawl(scrapy, sandbox, tmp_path):
    page = tmp_path / "page"
    page.write_text("<html>maintenance</html>")
    api = sandbox("--body", page)
    done = scrapy("crawl", "coins", "-s", "RETRY_BACKOFF=0.2", "-s", "RETRY_TIMES=2",
                  COINGECKO_BASE_URL=api.url)  # fmt: skip
    assert done.returncode == 1
    assert "page=1 could not be fetched: it is not JSON but says: maintenance" in last_line(done)
    times = [moment for moment, _ in api.calls()]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert len(gaps) == 2
    assert gaps[0] >= 0.2
    assert gaps[1] >= 0.4


@pytest.mark.parametrize(
    ("host", "plan", "hint"),
    [
        pytest.param("pro", "demo", "this is a Demo key on the Pro host", id="demo on pro"),
        pytest.param("demo", "pro", "this is a Pro key on the public host", id="pro on demo"),
    ],
)
def test_key_on_the_wrong_host_stops_at_once_with_a_hint(scrapy, sandbox, host, plan, hint):
    api = sandbox("--coins", 10, "--plan", host, "--key", "CG-secret")
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, COINGECKO_PLAN=plan,
                  COINGECKO_API_KEY="CG-secret")  # fmt: skip
    assert done.returncode == 1
    assert hint in last_line(done)
    assert len(api.calls()) == 1


LATENCY = 0.2  # seconds


def at_once(calls):
    """How many calls came before the previous one was answered."""
    return sum(later - sooner < LATENCY for (sooner, _), (later, _) in pairwise(calls))


def test_look_ahead_requests_pages_at_once_with_the_same_result(scrapy, sandbox, query):
    api = sandbox("--coins", 100, "--latency", LATENCY)
    rows = []
    for pages in (1, 8):
        done = scrapy("crawl", "coins", "-a", "per_page=10", "-s", f"LOOKAHEAD_PAGES={pages}",
                      COINGECKO_BASE_URL=api.url)  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows.append(query("DELETE FROM full_coin RETURNING coin_id, current_price, extra"))
    assert sorted(rows[0], key=str) == sorted(rows[1], key=str)
    assert len(rows[0]) == 100
    assert at_once(api.calls()[:11]) == 0
    assert at_once(api.calls()[11:]) >= 5


def test_look_ahead_under_a_limit_wastes_no_call_past_the_end(scrapy, sandbox):
    api = sandbox("--coins", 100, "--latency", LATENCY, "--calls", 1000, "--period", 10)
    options = ("crawl", "coins", "-a", "per_page=10", "-s", "RATELIMIT_PERIOD=10")
    for _ in range(2):
        done = scrapy(*options, COINGECKO_BASE_URL=api.url, COINGECKO_RATE_LIMIT="1000")
        assert done.returncode == 0, done.stderr
    assert len(api.calls()) == 2 * 11
    assert at_once(api.calls()[:11]) == 0
    assert at_once(api.calls()[11:]) >= 5
