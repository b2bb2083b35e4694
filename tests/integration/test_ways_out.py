"""Whatever ends a crawl closes its row, with the reason that the last line has."""

import signal

import psutil
import psycopg
import pytest

from coinspider.daemon.launcher import STOP_TIMEOUT
from tests.helpers.postgres_proxy import PostgresProxy
from tests.helpers.processes import last_line, wait_until
from tests.helpers.receiver import start_receiver
from tests.helpers.scrapyd_process import CONFIGURATION

ROWS = "SELECT outcome, reason, message FROM crawl ORDER BY id DESC LIMIT 1"
IMPATIENT = ["-s", "POSTGRES_LOCK_TIMEOUT=0.5", "-s", "POSTGRES_RECONNECT_TIMEOUT=1"]
SCHEDULE = f"""{CONFIGURATION}
[schedule:test]
spider = coins
every = 1h
setting.LOOKAHEAD_PAGES = 1
setting.POSTGRES_RECONNECT_TIMEOUT = 1
"""


@pytest.fixture
def api(sandbox):
    return sandbox("--coins", 5000, "--latency", "0.3")


@pytest.fixture
def locked(scrapy, api, database_url):
    """A table of coins that another session locks, as ``VACUUM FULL`` does."""
    assert scrapy("crawl", "coins", "-a", "pages=1", COINGECKO_BASE_URL=api.url).returncode == 0
    with psycopg.connect(database_url, application_name="report") as holder:
        holder.execute("LOCK TABLE full_coin")
        yield holder


def test_lock_before_the_first_request_is_waited_for(scrapy, api, locked, query):
    crawl = scrapy.start(
        "crawl", "coins", "-a", "pages=1", *IMPATIENT[:2], COINGECKO_BASE_URL=api.url
    )
    while "A table is locked; the crawl waits up to 60 s" not in (line := crawl.stderr.readline()):
        assert line
    # It has a row, and keeps it.
    [(seen,)] = query("SELECT updated_at FROM crawl WHERE ended_at IS NULL")
    wait_until(lambda: query("SELECT 1 FROM crawl WHERE updated_at > %s", seen))
    locked.rollback()
    _, err = crawl.communicate(timeout=120)
    assert crawl.returncode == 0, err
    assert query(ROWS)[0][0] == "complete"


def test_row_that_takes_the_server_too_long(scrapy, sandbox, query):
    url = sandbox("--coins", 10).url
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=url).returncode == 0
    query(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"
    )
    query("UPDATE full_coin SET name = 'old', last_updated = '2001-01-01'")
    query(
        "CREATE TRIGGER slow BEFORE UPDATE ON full_coin FOR EACH ROW"
        " WHEN (NEW.coin_id <> 'coinspider probe') EXECUTE FUNCTION slow()"
    )
    limits = ["-s", "POSTGRES_STATEMENT_TIMEOUT=0.5", "-s", "POSTGRES_RECONNECT_TIMEOUT=1"]
    crawl = scrapy("crawl", "coins", *limits, COINGECKO_BASE_URL=url)
    assert crawl.returncode == 1
    last = last_line(crawl)
    assert "no statement came to its end for 1 seconds" in last
    assert "of its 10 rows the largest has" in last
    assert "POSTGRES_STATEMENT_TIMEOUT" in last


@pytest.mark.usefixtures("locked")
def test_lock_before_the_first_request_that_stays(scrapy, api, query):
    calls = len(api.calls())
    crawl = scrapy("crawl", "coins", *IMPATIENT, COINGECKO_BASE_URL=api.url)
    assert (crawl.returncode, len(api.calls())) == (1, calls)
    [(outcome, reason, message)] = query(ROWS)
    assert (outcome, reason) == ("failed", "database_locked")
    assert "a table was locked for 1 seconds" in message
    assert "the table full_coin is locked by the server's process" in message
    assert message in last_line(crawl)


def test_pipeline_that_can_not_open(scrapy, api, query):
    crawl = scrapy(
        "crawl", "coins", "-s", 'ITEM_PIPELINES={"tests.helpers.users_pipelines.Unopened": 950,'
        ' "coinspider.pipelines.PostgresPipeline": 900}', COINGECKO_BASE_URL=api.url,
    )  # fmt: skip
    assert crawl.returncode == 1
    assert query(ROWS)[0][:2] == ("failed", "not_begun")


def test_killed_job(scrapyd, api, database_url, query):
    daemon = scrapyd(DATABASE_URL=database_url, COINGECKO_BASE_URL=api.url)
    job = daemon.run()
    wait_until(lambda: query("SELECT 1 FROM pg_class WHERE relname = 'crawl'"))
    wait_until(lambda: query("SELECT 1 FROM crawl"))
    [(process_id,)] = query("SELECT process_id FROM crawl")
    psutil.Process(process_id).kill()
    wait_until(lambda: query("SELECT 1 FROM crawl WHERE ended_at IS NOT NULL"))
    assert query(ROWS) == [("died", "killed", f"signal {signal.SIGKILL:d} ended its process")]
    assert daemon.crawl(job)["outcome"] == "died"


def test_row_of_a_crawl_that_lost_its_database_is_closed_when_that_is_back(
    scrapyd, api, database_url, query
):
    with PostgresProxy(database_url) as network, start_receiver() as receiver:
        daemon = scrapyd(
            SCHEDULE, DATABASE_URL=network.url, COINGECKO_BASE_URL=api.url,
            ALERT_URL=f"{receiver.url}/", ALERT_INTERVAL="0.2",
        )  # fmt: skip
        wait_until(api.calls)
        network.accepts = False
        network.cut()
        wait_until(lambda: daemon.get("daemonstatus.json")["running"] == 0)
        assert query(ROWS) == [(None, None, None)]
        network.accepts = True
        wait_until(lambda: query("SELECT 1 FROM crawl WHERE ended_at IS NOT NULL"), STOP_TIMEOUT)
        [(outcome, reason, message)] = query(ROWS)
        assert (outcome, reason) == ("failed", "process_ended")
        assert "the database was away for 1 seconds" in message
        wait_until(lambda: "test" in {body["schedule"] for _, body in receiver.alerts})
        [alert] = [body for _, body in receiver.alerts if body["schedule"] == "test"]
        assert "the database was away for 1 seconds" in alert["message"]
