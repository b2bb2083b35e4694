"""Alerts from a real scrapyd to a real HTTP receiver."""

import json
from datetime import timedelta

import pytest

from coinspider.daemon import database
from coinspider.daemon.alerts.rules import read_runs
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.store.database_url import DatabaseSettings
from tests.helpers.processes import last_line, wait_until
from tests.helpers.receiver import start_receiver
from tests.helpers.scrapyd_process import CONFIGURATION

SCHEDULE = f"""{CONFIGURATION}
[schedule:often]
spider = coins
every = 1s
argument.pages = 1
setting.retry_times = 0
"""


@pytest.fixture
def endpoint():
    with start_receiver() as server:
        server.api_status = 503
        yield server


@pytest.fixture
def start(scrapyd, endpoint, database_url):
    def start(configuration=SCHEDULE, **environment):
        settings = {
            "COINGECKO_BASE_URL": endpoint.url,
            "DATABASE_URL": database_url,
            "ALERT_URL": f"{endpoint.url}/t0psecret?key=t0p",
            "ALERT_INTERVAL": "0.2",
            "ALERT_PERIODS": "0",
        }
        return scrapyd(configuration, **settings | environment)

    return start


def statuses(endpoint):
    return [body["status"] for _, body in endpoint.alerts]


def ended(query, outcome="failed"):
    try:
        return query("SELECT count(*) FROM crawl WHERE outcome = %s", outcome)[0][0]
    except Exception:
        return 0  # no crawl has made the table yet


def test_one_alert_tells_that_crawls_fail_and_one_that_they_are_well(start, endpoint, query):
    endpoint.refusals = 1
    daemon = start(ALERT_TOKEN="t0ken")
    wait_until(lambda: endpoint.alerts)
    failed = ended(query)
    wait_until(lambda: ended(query) > failed + 1)
    assert statuses(endpoint) == ["failed"]
    authorization, body = endpoint.alerts[0]
    assert authorization == "Bearer t0ken"
    assert (body["schedule"], body["title"]) == ("often", "often: crawls fail")
    assert body["message"].startswith("the last run failed: page ")
    assert body["job"].startswith("often.")
    endpoint.api_status = 200
    wait_until(lambda: len(endpoint.alerts) > 1)
    complete = ended(query, "complete")
    wait_until(lambda: ended(query, "complete") > complete)
    assert statuses(endpoint) == ["failed", "recovered"]
    # A restarted scrapyd remembers what it has told.
    daemon.stop()
    daemon.start()
    complete = ended(query, "complete")
    wait_until(lambda: ended(query, "complete") > complete)
    assert statuses(endpoint) == ["failed", "recovered"]
    log = daemon.log.read_text()
    assert "was not taken by 127.0.0.1: status 500" in log
    assert "Traceback" not in log
    logs = log + "".join(path.read_text() for path in daemon.directory.rglob("often.*.log"))
    assert not [secret for secret in ("t0psecret", "t0p", "t0ken") if secret in logs]


def test_old_data_is_an_alert_and_a_pause_is_not(start, endpoint, query):
    daemon = start(ALERT_FAILURES="0", ALERT_PERIODS="2")
    wait_until(lambda: endpoint.alerts)
    assert statuses(endpoint) == ["stale"]
    assert "no complete crawl yet" in endpoint.alerts[0][1]["message"]
    daemon.get("pauseschedule.json", schedule="often")
    wait_until(lambda: query("SELECT status FROM alert") == [("ok",)])
    endpoint.api_status = 200
    daemon.get("resumeschedule.json", schedule="often")
    wait_until(lambda: ended(query, "complete"))
    # It is not told to be well again; on a slow machine it is first old once more.
    assert statuses(endpoint)[1:2] in ([], ["stale"])


def test_crawl_that_no_schedule_repeats_causes_no_alert(start, endpoint):
    endpoint.api_status = 400  # nothing asks it again
    daemon = start(CONFIGURATION, ALERT_PERIODS="1")
    job = daemon.finish(pages="1", jobid="often.1")
    assert job["outcome"] == "failed"
    assert endpoint.alerts == []


def test_job_that_never_began_is_an_alert(start, endpoint):
    """It goes to a service of Apprise, here to one that is like a webhook."""
    start(ALERT_URL=endpoint.url.replace("http://", "json://"), COINGECKO_PLAN="golden")
    wait_until(lambda: endpoint.alerts)
    [(_, body)] = endpoint.alerts
    assert body["title"] == "often: crawls fail"
    assert body["message"].startswith("the last run could not begin: ")
    assert "COINGECKO_PLAN must be one of" in body["message"]


def test_database_that_is_away_is_an_alert(start, endpoint):
    daemon = start(DATABASE_URL="postgresql://me:hush@127.0.0.1:1/coins")
    wait_until(lambda: endpoint.alerts)
    [(_, body)] = endpoint.alerts
    assert body["title"] == "database: no crawl can store anything"
    assert "hush" not in json.dumps(body) + daemon.log.read_text()


def test_invalid_address_stops_the_start(start):
    with pytest.raises(AssertionError, match="ALERT_URL is not an address as https://host/path"):
        start(ALERT_URL="hooks.example/t0psecret")


def test_command_sends_a_test(scrapy, endpoint):
    done = scrapy("alert", ALERT_URL=f"{endpoint.url}/t0psecret")
    assert (done.returncode, done.stdout) == (0, "127.0.0.1: the alert was taken\n")
    assert statuses(endpoint) == ["test"]
    endpoint.refusals = 1
    done = scrapy("alert", ALERT_URL=endpoint.url)
    assert (done.returncode, done.stdout) == (1, "127.0.0.1: status 500\n")
    assert "ALERT_URL is not set" in last_line(scrapy("alert", ALERT_URL=""))


def test_a_schedule_is_judged_by_the_runs_of_its_own_arguments(
    scrapy, sandbox, database_url, query, monkeypatch
):
    url = sandbox("--coins", 10).url
    own = ("-a", "_job=test.20260101T000000.000", "-a", "pages=2")
    for arguments in (own, ("-a", "pages=1")):
        assert scrapy("crawl", "coins", *arguments, COINGECKO_BASE_URL=url).returncode == 0
    settings = DatabaseSettings(database_url, None, 5, 10.0, 10.0)
    monkeypatch.setattr(database, "database", lambda: settings)

    def runs_of(pages, **options):
        given = {"arguments": {"pages": pages}} if pages else {}
        schedule = Schedule("test", "coins", every=timedelta(minutes=3), **given, **options)
        return read_runs([schedule], [])["test"]

    [(ended_at, _), *_] = query("SELECT ended_at, id FROM crawl ORDER BY id")
    assert (len(runs_of("2").runs), runs_of("2").last_success) == (1, ended_at)
    assert runs_of("1").runs == ()
    assert runs_of("", budget="auto").last_success == ended_at
    query("UPDATE crawl SET whole = true")  # the later one, by hand, read all of the list
    assert runs_of("2").last_success > ended_at
