"""Who may crawl, and what the table ``crawl`` says about it: real processes and PostgreSQL."""

import signal

import pytest

from tests.helpers.processes import last_line, wait_until

OUTCOMES = "SELECT outcome FROM crawl ORDER BY id"


@pytest.fixture
def slow_api(sandbox):
    return sandbox("--coins", 10_000, "--latency", "0.5")


@pytest.fixture
def running(scrapy, slow_api):
    """A crawl that has its lease and its row."""
    settings = ["-s", "CRAWL_LOG_INTERVAL=0.2", "-s", "LOOKAHEAD_PAGES=1"]
    crawl = scrapy.start("crawl", "coins", *settings, COINGECKO_BASE_URL=slow_api.url)
    wait_until(lambda: len(slow_api.calls()) >= 3)
    yield crawl
    if crawl.poll() is None:
        crawl.kill()
    crawl.communicate()


def test_row_holds_what_the_crawl_did(scrapy, sandbox, query, tmp_path):
    page = tmp_path / "page"
    page.write_text('[{"id":"a","symbol":"a","name":"A"},{"id":"b"},{"id":"a","symbol":"x"}]')
    api = sandbox("--body", page, "--calls", 1, "--period", 3)
    done = scrapy("crawl", "coins", "-a", "vs_currency=eur", "-a", "_job=job-7",
                  "-s", "RATELIMIT_PERIOD=3", "-s", "REJECTED_SHARE_MAX=1",
                  COINGECKO_BASE_URL=api.url)  # fmt: skip
    assert done.returncode == 0, done.stderr
    [row] = query("SELECT to_jsonb(crawl) FROM crawl")
    row = row[0]
    expected = {
        "spider": "coins", "job": "job-7", "arguments": {"vs_currency": "eur"},
        "vs_currency": "eur", "outcome": "complete", "page_count": 1, "record_count": 3,
        "inserted_count": 1, "updated_count": 0, "unchanged_count": 0, "rejected_count": 2,
    }  # fmt: skip
    assert expected.items() <= row.items()
    assert row["url"].startswith(f"{api.url}/coins/markets?vs_currency=eur")
    assert row["message"] in last_line(done)
    assert row["refused_count"] == sum(status == 429 for _, status in api.calls()) > 0
    assert row["wait_seconds"] > 0.5
    assert row["call_count"] >= row["page_count"]
    assert row["response_bytes"] > len(page.read_text())
    assert row["started_at"] < row["ended_at"]
    assert query("SELECT DISTINCT crawl_id FROM rejected_record") == [(row["id"],)]


def test_second_crawl_of_the_same_list_ends_at_once(running, scrapy, slow_api, query):
    second = scrapy("crawl", "coins", "-a", "_job=second",
                    COINGECKO_BASE_URL=slow_api.url)  # fmt: skip
    assert second.returncode == 3
    assert f"the same crawl is running already: crawl 1, process {running.pid} on" in last_line(
        second
    )
    assert running.poll() is None
    assert query("SELECT job, page_count FROM crawl WHERE outcome = 'skipped'") == [("second", 0)]
    other = scrapy("crawl", "coins", "-a", "vs_currency=eur", "-a", "pages=2",
                   COINGECKO_BASE_URL=slow_api.url)  # fmt: skip
    assert other.returncode == 0, other.stderr
    assert query("SELECT count(*) FROM full_coin WHERE vs_currency = 'eur'") == [(500,)]
    assert query(OUTCOMES) == [(None,), ("skipped",), ("complete",)]


def test_row_is_kept_current_and_the_next_crawl_closes_that_of_a_killed_one(
    running, scrapy, slow_api, query
):
    wait_until(lambda: query("SELECT page_count FROM crawl") >= [(4,)])
    [(ended, outcome, began, seen)] = query(
        "SELECT ended_at, outcome, started_at, updated_at FROM crawl"
    )
    assert (ended, outcome) == (None, None)
    assert seen > began
    running.kill()
    running.communicate()
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=slow_api.url)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "died" in line]
    assert "WARNING: " in line
    assert f"crawl 1, process {running.pid} on" in line
    assert query(OUTCOMES) == [("died",), ("complete",)]
    assert query("SELECT ended_at = updated_at FROM crawl WHERE id = 1") == [(True,)]


def test_interrupted_and_failed_crawls_say_so_in_their_rows(running, scrapy, query):
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=120)
    scrapy("crawl", "coins", "-s", "RETRY_BACKOFF=0.01",
           COINGECKO_BASE_URL="http://127.0.0.1:1/api/v3")  # fmt: skip
    rows = query("SELECT outcome, message, ended_at IS NOT NULL FROM crawl ORDER BY id")
    assert [(outcome, ended) for outcome, _, ended in rows] == [
        ("interrupted", True),
        ("failed", True),
    ]
    assert "could not be fetched" in rows[1][1]


def test_only_complete_crawls_record_how_many_pages_there_are(scrapy, sandbox, query):
    api = sandbox("--coins", 600)
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url).returncode == 0
    assert query("SELECT page_count FROM crawl") == [(3,)]
    query("UPDATE crawl SET page_count = 1, outcome = 'failed' RETURNING id")
    again = scrapy("crawl", "coins", "-L", "INFO", COINGECKO_BASE_URL=api.url)
    assert "known_page_count" not in again.stderr
    third = scrapy("crawl", "coins", "-L", "INFO", COINGECKO_BASE_URL=api.url)
    assert "known_page_count': 3" in third.stderr


def test_unwritable_feed_is_in_the_row(scrapy, sandbox, query):
    api = sandbox("--coins", 10)
    scrapy("crawl", "coins", "-O", "/proc/no/coins.json", COINGECKO_BASE_URL=api.url)
    [(outcome, message)] = query("SELECT outcome, message FROM crawl")
    assert outcome == "failed"
    assert "feed" in message
