"""``/metrics``, as Prometheus reads them."""

import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from coinspider.daemon import database
from coinspider.daemon.api.metrics import WatchedSchedule, metric_labels, metrics
from coinspider.daemon.outcomes import FailedJob, FailedJobs
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.store.crawl import list_crawls
from coinspider.store.database_url import DatabaseSettings

ADD = """
INSERT INTO crawl (spider, job, url, vs_currency, lock_name, whole, host, started_at, ended_at,
                   node, outcome, page_count)
VALUES ('coins', %s, 'u', %s, %s, %s, %s, now() - %s, CASE WHEN %s THEN now() - %s END, NULL, %s, 3)
"""


@pytest.fixture
def add(scrapy, sandbox, database_url, monkeypatch):
    """Add crawls that ended some time ago to a database that a crawl has made."""
    scrapy("crawl", "coins", COINGECKO_BASE_URL=sandbox("--coins", 10).url)
    settings = DatabaseSettings(database_url, None, 5, 10.0, 10.0)
    monkeypatch.setattr(database, "database", lambda: settings)

    def run(job, outcome="complete", **other):
        crawl = {"currency": "eur", "whole": True, "node": "here", "ago": timedelta(0)} | other
        currency, whole, node, ago = crawl.values()
        values = [job, currency, currency, whole, node, ago, outcome is not None, ago, outcome]
        with psycopg.connect(database_url) as connection:
            connection.execute(ADD, values)

    return run


def read(*schedules, **options):
    families = text_string_to_metric_families(metrics(schedules, **options).decode())
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in families
        for sample in family.samples
    }


def test_series_of_a_source_end_a_day_after_its_last_crawl_unless_it_is_scheduled(add):
    ago = timedelta(days=2)
    add("once", ago=ago)
    add("euro.20261101T120000.123", currency="gbp", ago=ago)
    found = read("euro")
    assert ("coinspider_crawl_success", "coins", "gbp", "1") in found
    assert ("coinspider_crawl_success", "coins", "eur", "1") not in found
    counted = {labels[-1] for name, *labels in found if name == "coinspider_crawls_total"}
    assert counted == {"gbp", "usd"}


def test_crawl_of_some_pages_has_its_own_series(add):
    add("a")
    add("b", outcome="failed", whole=False)
    found = read()
    assert found["coinspider_crawl_success", "coins", "eur", "1"] == 1
    assert found["coinspider_crawl_success", "coins", "eur", "0"] == 0


def test_counters_are_by_outcome_and_node(add, query):
    add("a")
    add("b", node="there")
    add("c", node="there")
    add("d", outcome="failed")
    found = read()
    assert found["coinspider_crawls_total", "here", "complete", "coins", "eur"] == 1
    assert found["coinspider_crawls_total", "there", "complete", "coins", "eur"] == 2
    assert found["coinspider_pages_total", "there", "complete", "coins", "eur"] == 6
    assert found["coinspider_crawls_total", "here", "failed", "coins", "eur"] == 1
    # From the crawl that made the database.
    [(calls, pages)] = query("SELECT call_count, page_count FROM crawl WHERE vs_currency = 'usd'")
    assert calls >= pages == 1
    node = socket.gethostname()
    assert found["coinspider_calls_total", node, "complete", "coins", "usd"] == calls
    with database.connection() as connection:
        connection.execute("UPDATE crawl SET node = 'a' WHERE vs_currency <> 'usd'")
    found = read()
    assert found["coinspider_crawls_total", "a", "complete", "coins", "eur"] == 3
    assert found["coinspider_calls_total", node, "complete", "coins", "usd"] == calls


def test_running_crawl_has_gauges_and_says_that_it_waits(add, query, database_url):
    add("a", outcome=None, ago=timedelta(seconds=30))
    query("UPDATE crawl SET call_count = 5, refused_count = 2 WHERE ended_at IS NULL")
    gauge = "coinspider_running_crawl_waiting_until_timestamp_seconds"
    assert (gauge, "here", "coins", "eur") not in read()
    until = round(time.time()) + 600
    query("UPDATE crawl SET waiting_until = %s WHERE ended_at IS NULL", until)
    found = read()
    with psycopg.connect(database_url) as connection:
        [told, _] = [crawl["message"] for crawl in list_crawls(connection, 2).dicts()]
    shown = datetime.fromtimestamp(until, UTC)
    assert told == f"it waits for the API's limit until {shown:%H:%M:%S} UTC"
    assert found["coinspider_running_crawl_age_seconds", "here", "coins", "eur"] >= 30
    assert found["coinspider_running_crawl_pages", "here", "coins", "eur"] == 3
    assert found["coinspider_running_crawl_calls", "here", "coins", "eur"] == 5
    assert found["coinspider_running_crawl_refused_calls", "here", "coins", "eur"] == 2
    assert found[gauge, "here", "coins", "eur"] == pytest.approx(until)


def test_schedule_has_what_an_alert_needs(add):
    euro = Schedule("euro", "coins", every=timedelta(minutes=3))
    add("by hand", ago=timedelta(minutes=10))
    for second in range(2):
        add(f"euro.20261101T12000{second}.123", outcome="failed")
    add("euro.20261101T120003.123", outcome="skipped")
    add("euro_2.20261101T120003.123", currency="gbp")
    paused = WatchedSchedule(euro._replace(name="paused"), enabled=False)
    families = text_string_to_metric_families(
        metrics([], None, [WatchedSchedule(euro), paused]).decode()
    )
    found = {
        (sample.name.removeprefix("coinspider_schedule_"), sample.labels["schedule"]): sample.value
        for family in families
        for sample in family.samples
        if "schedule" in sample.labels
    }
    assert found == {
        ("enabled", "euro"): 1, ("enabled", "paused"): 0, ("failures", "euro"): 2,
        ("missed_runs", "euro"): 3,
    }  # fmt: skip


@pytest.mark.needs("promtool")
def test_promtool_finds_no_problem(add):
    add("a", outcome=None)
    failed_jobs = FailedJobs()
    now = datetime.now(UTC)
    failed_jobs.add(FailedJob("b", "coins", {}, now, now, 2, "a reason"))
    add("by hand")
    add("euro.20261101T120000.123", outcome="failed")
    schedule = Schedule("euro", "coins", every=timedelta(minutes=3))
    told = metrics([], failed_jobs, [WatchedSchedule(schedule)])
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=told, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, b"")
    # Some have no sample here, such as those of an account whose limit is unknown.
    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(told.decode())
    }
    assert names == metric_labels().keys()
