"""What scrapyd shows about jobs that end before their row in ``crawl`` begins."""

import time
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from threading import Barrier
from types import SimpleNamespace
from urllib.error import HTTPError

import psycopg
import pytest
from psycopg.types.json import Jsonb

from coinspider.daemon import database
from coinspider.daemon.nodes import make_tables
from coinspider.daemon.outcomes import FailedJobs, JobWatch
from coinspider.daemon.queue import ROWS_MAX
from coinspider.store.database_url import DatabaseSettings
from tests.helpers.postgres_proxy import PostgresProxy
from tests.helpers.processes import wait_until
from tests.helpers.receiver import start_receiver
from tests.helpers.scrapyd_process import CONFIGURATION

NO_URL = "name the API: -a url=https://..."


def finished(daemon, job):
    def is_finished():
        return daemon.get(f"status.json?job={job}")["currstate"] == "finished"

    wait_until(is_finished)


def log_of(daemon, spider, job):
    return (daemon.directory / f".scrapy/scrapyd/logs/coinspider/{spider}/{job}.log").read_text()


def page(daemon):
    try:
        return unescape(daemon.open("crawls"))
    except HTTPError as error:  # no table yet, or no database
        with error:
            return unescape(error.read().decode())


def metric(daemon, name):
    lines = daemon.open("metrics").splitlines()
    return [line.rpartition(" ")[2] for line in lines if line.startswith(name)]


def test_refused_argument_is_shown_everywhere(scrapyd, database_url, sandbox):
    daemon = scrapyd(DATABASE_URL=database_url, COINGECKO_BASE_URL=sandbox("--coins", 10).url)
    job = daemon.get("schedule.json", project="coinspider", spider="next", table="thing")["jobid"]
    finished(daemon, job)
    [crawl] = daemon.get(f"crawls.json?job={job}")["crawls"]
    assert (crawl["outcome"], crawl["exit_status"], crawl["id"]) == ("misconfigured", 2, None)
    assert (crawl["message"], crawl["arguments"]) == (NO_URL, {"table": "thing"})
    shown = page(daemon)
    assert NO_URL in shown
    assert f'href="logs/coinspider/next/{job}.log"' in shown
    assert NO_URL in log_of(daemon, "next", job)
    assert metric(daemon, 'coinspider_failed_jobs{spider="next"}') == ["1.0"]
    assert metric(daemon, "coinspider_database_up") == ["1.0"]
    # A job with a row in the database is shown by that row only; all are in their order.
    good = daemon.finish(pages="1")
    bad = daemon.finish(ids="none", pages="1")
    assert good["outcome"] == "complete"
    jobs = [crawl["job"] for crawl in daemon.get("crawls.json")["crawls"]]
    assert jobs == [bad["job"], good["job"], job]
    daemon.stop()
    daemon.start()
    assert [crawl["job"] for crawl in daemon.get("crawls.json")["crawls"]] == jobs


ROWS = [
    {}, [], "text", {"_job": None, "name": "x"}, {"_job": 5, "name": None}, {"_job": "b"},
    {"_job": "c", "name": "../../x"}, {"_job": "d", "name": "coins", "settings": 5},
    {"_job": "e", "name": "coins", "settings": {"FEEDS": {"x": 1}}}, {"_job": "/", "name": "coins"},
    {"_job": "f", "name": "coins", "pages": {"a": [1]}}, {"_job": "g", "name": "coins", "a\nb": 1},
    {"_job": "h", "name": "coins", "pages": "1" * 2_000_000},
]  # fmt: skip
_ROW = """
INSERT INTO procrastinate_jobs (queue_name, task_name, args)
VALUES ('coinspider', 'crawl', %s)
"""


# Each node would have them all in memory.
_MANY_NODES = """
INSERT INTO fleet_node (name, worker_id, url, version)
SELECT 'node-' || n, n, repeat('u', 300000), '1' FROM generate_series(1, 2500) AS n
"""
_LONG_TEXT = "UPDATE crawl SET message = repeat('m', 300000)"


def test_rows_of_others_in_the_queue_stop_neither_jobs_nor_pages(scrapyd, database_url, sandbox):
    daemon = scrapyd(DATABASE_URL=database_url, COINGECKO_BASE_URL=sandbox("--coins", 10).url)
    assert daemon.finish(pages="1")["outcome"] == "complete"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.cursor().executemany(_ROW, [[Jsonb(row)] for row in ROWS])
        for path in ("daemonstatus.json", "listjobs.json", "status.json?job=x", "schedules.json"):
            assert daemon.get(path)["status"] == "ok"
        assert "row-" in daemon.open("jobs")
        connection.execute(_LONG_TEXT)
        connection.execute(_MANY_NODES)
        assert len(daemon.get("daemonstatus.json")["nodes"]) == ROWS_MAX
        for path in ("daemonstatus.json", "jobs", "crawls", "crawls.json"):
            assert len(daemon.open(path)) < 1_000_000
        connection.execute("DELETE FROM fleet_node WHERE url LIKE 'uuu%'")
        assert daemon.get("cancel.json", project="coinspider", job="x")["prevstate"] is None
        left = "SELECT count(*) FROM procrastinate_jobs"
        wait_until(lambda: connection.execute(left).fetchone() == (0,))
    assert daemon.finish(pages="1")["outcome"] == "complete"
    jobs = daemon.get("crawls.json")["crawls"]
    failed = {job["job"]: job["message"] for job in jobs if job["exit_status"]}
    assert len(failed) == len(ROWS), failed
    assert all(message.startswith("it is not run: ") for message in failed.values())


def test_scrapyd_starts_without_a_database_says_so_and_crawls_when_it_is_there(
    scrapyd, database_url, sandbox
):
    with PostgresProxy(database_url) as network, start_receiver() as receiver:
        network.accepts = False
        daemon = scrapyd(
            CONFIGURATION + "[schedule:test]\nspider = coins\nevery = 1h\nargument.pages = 1\n",
            DATABASE_URL=network.url,
            COINGECKO_BASE_URL=sandbox("--coins", 10).url,
            ALERT_URL=f"{receiver.url}/",
            ALERT_INTERVAL="0.2",
        )
        refused = daemon.get("schedule.json", project="coinspider", spider="coins")
        assert refused["status"] == "error"
        assert "can't be reached" in refused["message"]
        assert "can't be reached" in daemon.get("daemonstatus.json")["database_error"]
        assert "coinspider" in daemon.get("listprojects.json")["projects"]
        assert daemon.schedule()["runs"] == 0
        assert metric(daemon, "coinspider_database_up") == ["0.0"]
        assert "can't be reached. Start PostgreSQL, or correct DATABASE_URL" in page(daemon)
        wait_until(lambda: [body["status"] for _, body in receiver.alerts] == ["failed"])
        network.accepts = True
        begun = time.monotonic()
        wait_until(lambda: daemon.schedule()["runs"])
        assert time.monotonic() - begun < 15
        job = daemon.schedule()["last_job"]
        wait_until(lambda: daemon.crawl(job)["outcome"] == "complete")
        told = daemon.log.read_text()
        assert told.count("No job begins, as the database does not answer") == 1
        assert told.count("Refused: ") == 1
        assert "Traceback" not in told


WITHOUT_DATABASE = [
    ("", None), ("coins", None), ("coins?watched=1", None), ("coin?id=x", None), ("crawls", None),
    ("rejected", None), ("table/", None), ("table/crawl", None), ("jobs", None),
    ("logs/other/node/job.log", None), ("coins.csv", None), ("coins.json", None),
    ("crawls", {"action": "again", "project": "coinspider", "spider": "coins", "jobid": "x"}),
    ("jobs", {"action": "cancel", "project": "coinspider", "job": "x"}),
]  # fmt: skip


def check_pages_without_database(daemon):
    """Each says what is the matter, and what to do; what is in files is there."""
    for path, data in WITHOUT_DATABASE:
        with pytest.raises(HTTPError) as caught:
            daemon.open(path, data, headers={"Accept": "text/html"})
        with caught.value as error:
            said = unescape(error.read().decode())
            assert (error.code, error.headers["Retry-After"]) == (503, "5"), path
        assert "can't be reached. Start PostgreSQL, or correct DATABASE_URL" in said, path
    assert "coinspider/coins/" in daemon.open("logs/", headers={"Accept": "text/html"})


def test_job_that_fails_while_the_database_is_away_is_shown_then_and_later(
    scrapyd, database_url, sandbox
):
    with PostgresProxy(database_url) as network:
        api, patience = sandbox("--coins", 10_000, "--latency", "0.5"), "POSTGRES_RECONNECT_TIMEOUT"
        daemon = scrapyd(
            CONFIGURATION.replace(
                "settings_allowed  =", "settings_allowed = POSTGRES_RECONNECT_TIMEOUT,"
            ),
            DATABASE_URL=network.url,
            COINGECKO_BASE_URL=api.url,
        )
        job = daemon.run(setting=f"{patience}=1")
        wait_until(lambda: daemon.get(f"crawls.json?job={job}")["crawls"])
        network.accepts = False
        network.cut()
        wait_until(lambda: "database_error" in daemon.get("daemonstatus.json"))
        wait_until(lambda: daemon.get("daemonstatus.json")["running"] == 0)
        answer = daemon.get(f"crawls.json?job={job}")
        [crawl] = answer["crawls"]
        assert (crawl["outcome"], crawl["exit_status"]) == ("failed", 1)
        assert answer["database_error"]
        check_pages_without_database(daemon)
        assert metric(daemon, 'coinspider_failed_jobs{spider="coins"}') == ["1.0"]
        network.accepts = True
        wait_until(lambda: metric(daemon, "coinspider_database_up") == ["1.0"])
        finished(daemon, job)


class Process(SimpleNamespace):
    """The parts of scrapyd's process protocol that are used."""

    heard: list

    def errReceived(self, data):
        self.heard.append(data)

    def processEnded(self, status):
        self.heard.append(status)


@pytest.mark.parametrize(
    ("code", "signal", "stderr", "message"),
    [
        (1, None, [b"a log line\ncoinspider: the cr", b"awl failed: x\n"], "the crawl failed: x"),
        (1, None, [b"Traceback ...\nImportError: no y\n"], "ImportError: no y"),
        (1, None, [], "it said nothing: see its log"),
        (None, 9, [b"anything\n"], "signal 9 ended its process"),
        (None, 15, [], "it was told to stop before it began to crawl"),
        (1, None, [b"\xff" * 50_000 + b"\nlast"], "last"),
        (1, None, [b"x" * 50_000], "x" * 500),
    ],
)
def test_end_of_a_process_is_recorded_and_passed_on(code, signal, stderr, message):
    jobs = FailedJobs()
    process = Process(job="a", pid=1, spider="coins", heard=[])
    JobWatch(process, {"pages": "2"}, jobs.add)
    for part in stderr:
        process.errReceived(part)
    status = SimpleNamespace(value=SimpleNamespace(exitCode=code, signal=signal))
    process.processEnded(status)
    assert process.heard == [*stderr, status]
    [job] = jobs.known()
    status = 130 if signal == 15 else code
    assert (job.message, job.exit_status, job.arguments) == (message, status, {"pages": "2"})
    assert job.ended_at >= job.started_at


def test_job_that_ends_well_is_not_recorded():
    jobs = FailedJobs()
    process = Process(job="a", pid=1, spider="coins", heard=[])
    JobWatch(process, {}, jobs.add)
    process.processEnded(SimpleNamespace(value=SimpleNamespace(exitCode=0, signal=None)))
    assert jobs.known() == []


def test_job_is_recorded_once_by_threads_that_record_at_the_same_time(database_url, monkeypatch):
    settings = DatabaseSettings(database_url, None, 5, 10.0, 10.0)
    monkeypatch.setattr(database, "database", lambda: settings)
    make_tables(settings)
    failed, begin = FailedJobs(), Barrier(4)
    for number in range(20):
        process = Process(job=str(number), pid=1, spider="coins", heard=[])
        JobWatch(process, {}, failed.add)
        process.processEnded(SimpleNamespace(value=SimpleNamespace(exitCode=1, signal=None)))

    def record(_):
        begin.wait()
        failed.record()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(record, range(4))) == [None] * 4
    assert len(failed.newest()) == 20


def test_only_the_newest_are_kept(database_url, monkeypatch):
    settings = DatabaseSettings(database_url, None, 5, 10.0, 10.0)
    monkeypatch.setattr(database, "database", lambda: settings)
    make_tables(settings)
    monkeypatch.setattr("coinspider.daemon.outcomes.KEPT", 3)
    jobs = FailedJobs()
    for number in range(5):
        process = Process(job=str(number), pid=1, spider="coins", heard=[])
        JobWatch(process, {}, jobs.add)
        process.processEnded(SimpleNamespace(value=SimpleNamespace(exitCode=1, signal=None)))
    assert [job.job for job in jobs.known(limit=1)] == ["4"]
    jobs.record()
    assert jobs.known() == []
    assert [job.job for job in jobs.newest()] == ["4", "3", "2"]
    assert [job.job for job in jobs.newest(limit=1)] == ["4"]
    assert [job.job for job in jobs.newest(job="3")] == ["3"]
