"""``scrapy crawl coins``, stopped or killed: what has arrived is stored."""

import signal
import time
from threading import Event

import psycopg
import pytest

from coinspider.daemon.launcher import STOP_TIMEOUT
from tests.helpers.coin_records import REAL, REAL_TEXTS
from tests.helpers.http_server import Handler, Server, running
from tests.helpers.processes import wait_until

COUNT = "SELECT count(*) FROM full_coin"
# Long enough to be stopped before the end.
SLOWLY = ("-s", "LOOKAHEAD_PAGES=1")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "closed terminal"])
def test_stop_stores_what_has_arrived(scrapy, sandbox, query, sign):
    api = sandbox("--coins", 5000, "--latency", "0.3")
    crawl = scrapy.start("crawl", "coins", *SLOWLY, COINGECKO_BASE_URL=api.url)
    wait_until(lambda: len(api.calls()) >= 4)
    crawl.send_signal(sign)
    _, err = crawl.communicate(timeout=120)
    assert crawl.returncode == 130
    assert "the crawl was interrupted" in err.strip().splitlines()[-1]
    [[stored]] = query(COUNT)
    assert stored >= 3 * 250
    assert stored % 250 == 0
    again = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert again.returncode == 0
    assert query(COUNT) == [(5000,)]


class WaitingAPI(Server):
    """It knows when it is asked, and answers when it may."""

    def __init__(self):
        super().__init__(WaitingHandler)
        self.is_asked, self.may_answer = Event(), Event()
        self.daemon_threads = True


class WaitingHandler(Handler):
    server: WaitingAPI

    def do_GET(self):
        self.server.is_asked.set()
        self.server.may_answer.wait()
        self.send(200, REAL.read_bytes())


@pytest.fixture
def waiting_api():
    api = WaitingAPI()
    with running(api):
        yield api
        api.may_answer.set()


@pytest.mark.parametrize(
    ("comes", "sign"), [(True, signal.SIGTERM), (False, signal.SIGINT)], ids=["slow", "never"]
)
def test_stop_while_a_page_is_under_way(scrapy, waiting_api, query, comes, sign):
    crawl = scrapy.start("crawl", "coins", *SLOWLY, COINGECKO_BASE_URL=waiting_api.url)
    waiting_api.is_asked.wait()
    crawl.send_signal(sign)
    told_at = time.monotonic()
    wait_until(lambda: "Closing spider (shutdown)" in crawl.stderr.readline())
    if comes:
        time.sleep(11)  # longer than the database may take when a crawl ends
        waiting_api.may_answer.set()
    _, err = crawl.communicate(timeout=120)
    assert time.monotonic() - told_at < STOP_TIMEOUT
    assert crawl.returncode == 130, err
    assert query(COUNT) == [(len(REAL_TEXTS) if comes else 0,)]
    assert query("SELECT outcome, reason FROM crawl") == [("interrupted", "interrupted")]
    assert "Traceback" not in err


def test_scrapyd_that_stops_waits_for_an_api_that_never_answers(
    scrapyd, waiting_api, database_url, query
):
    daemon = scrapyd(DATABASE_URL=database_url, COINGECKO_BASE_URL=waiting_api.url)
    job = daemon.run()
    waiting_api.is_asked.wait()
    daemon.stop()
    assert query("SELECT outcome FROM crawl WHERE job = %s", job) == [("interrupted",)]


def test_stop_before_the_first_request(scrapy, sandbox, database_url, query):
    api = sandbox("--coins", 300)
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url).returncode == 0
    calls = len(api.calls())
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE full_coin")
        crawl = scrapy.start("crawl", "coins", COINGECKO_BASE_URL=api.url)
        wait_until(lambda: query("SELECT 1 FROM crawl WHERE outcome IS NULL"))
        crawl.terminate()
        wait_until(lambda: "shutting down" in crawl.stderr.readline())
    _, err = crawl.communicate(timeout=120)
    assert (crawl.returncode, len(api.calls())) == (130, calls), err
    assert query("SELECT outcome FROM crawl ORDER BY id") == [("complete",), ("interrupted",)]


def test_kill_leaves_whole_batches_and_the_next_crawl_repairs_the_rest(scrapy, sandbox, query):
    api = sandbox("--coins", 5000, "--latency", "0.3")
    crawl = scrapy.start("crawl", "coins", *SLOWLY, COINGECKO_BASE_URL=api.url)
    wait_until(lambda: api.calls() and query(COUNT) > [(0,)])
    crawl.kill()
    crawl.communicate()
    [[stored]] = query(COUNT)
    assert 0 < stored < 5000
    assert stored % 500 == 0
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url).returncode == 0
    assert query(COUNT) == [(5000,)]


def test_embedded_server_of_a_killed_crawl_is_found_again(empty_project, sandbox):
    api = sandbox("--coins", 5000, "--latency", "0.3")
    crawl = empty_project.start("crawl", "coins", *SLOWLY, COINGECKO_BASE_URL=api.url)
    wait_until(lambda: len(api.calls()) >= 4)
    crawl.kill()
    crawl.communicate()
    done = empty_project("crawl", "coins", "-a", "pages=2", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert not (empty_project.directory / ".scrapy/postgresql/postmaster.pid").exists()
