"""scrapyd nodes that share a queue: real processes, killed and cut off."""

import json
import signal
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import requests
from scrapyd_api import ScrapydAPI

from coinspider.daemon.queue import make_tables
from coinspider.store.database_url import DatabaseSettings
from tests.helpers import processes
from tests.helpers.eggs import egg
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.receiver import start_receiver
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

# Several scrapyd and their crawls take long to start on a busy machine.
wait_until = partial(processes.wait_until, seconds=120)
FLEET = CONFIGURATION.replace("[scrapyd]", "[scrapyd]\nmax_proc = 1", 1)
# As if a node had sent no sign of life for an hour.
SILENCE = """
WITH node AS (
    UPDATE fleet_node SET seen_at = seen_at - interval '1 h' WHERE name = %s RETURNING worker_id
)
UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - interval '1 h'
FROM node WHERE id = worker_id
"""
THREE_DEATHS = """
INSERT INTO fleet_run (queue_id, project, spider, job, node, ended_at, outcome)
SELECT queue_id, project, spider, '', node, ended_at, outcome
FROM fleet_run, generate_series(1, 3) WHERE outcome = 'lost'
"""
ALLOWED = FLEET.replace("settings_allowed  =", "settings_allowed  = COINGECKO_PLAN,")
RUNS = "SELECT node, outcome FROM fleet_run ORDER BY id"
SCHEDULES = """
[schedule:skip]
spider = coins
every = 3s
argument.pages = 1
[schedule:wait]
spider = coins
every = 3s
overlap = wait
argument.vs_currency = eur
argument.pages = 1
"""
# Ten minutes ahead, if Debian's package faketime is installed.
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
LATE = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+600s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
LATE = LATE if FAKETIME else {}


@pytest.fixture
def nodes(database_url):
    """Start nodes of one fleet: ``nodes(configuration, NAME=value)``."""
    numbers = count()
    with ExitStack() as stack:

        def start(configuration=FLEET, **environment):
            directory = stack.enter_context(TemporaryDirectory(prefix="coinspider-"))
            named = configuration.replace(
                "[scrapyd]", f"[scrapyd]\nnode_name = node{next(numbers)}", 1
            )
            daemon = Scrapyd(directory, named, **{"DATABASE_URL": database_url} | environment)
            stack.callback(daemon.end)
            return daemon.start()

        yield start


@pytest.fixture
def slow_api(sandbox):
    """An API whose limit keeps a crawl waiting longer than any test."""
    url = sandbox("--coins", 5000, "--calls", 2, "--period", 900).url
    return {"COINGECKO_BASE_URL": url}


@pytest.fixture
def api(sandbox):
    return {"COINGECKO_BASE_URL": sandbox("--coins", 20).url}


def finished(daemon):
    return {job["id"] for job in daemon.get("listjobs.json")["finished"]}


def running(daemon):
    return {job["id"]: job["node"] for job in daemon.get("listjobs.json")["running"]}


@pytest.fixture
def kill(query):
    def kill(daemon, node):
        """Kill it like a power cut: its crawls end with scrapyd, and time passes."""
        children = daemon.children()
        daemon.process.kill()
        for child in children:
            child.kill()
        daemon.process.wait()
        query(SILENCE, node)

    return kill


def names(daemon, get=Scrapyd.get):
    return [node["name"] for node in get(daemon, "daemonstatus.json")["nodes"]]


def currencies(daemon, names):
    return [daemon.run(vs_currency=name, jobid=f"job-{name}") for name in names]


def test_any_node_shows_and_ends_the_jobs_of_all(nodes, slow_api):
    first, second = nodes(ALLOWED, **slow_api), nodes(ALLOWED, **slow_api)
    jobs = currencies(first, ["usd", "eur", "btc"])
    wait_until(lambda: len(running(first)) == 2)
    assert set(running(second).values()) == {"node0", "node1"}
    assert names(first) == ["node0", "node1"]
    for daemon in (first, second):
        page = daemon.open("jobs")
        assert "on node0" in page
        assert "on node1" in page
    here, there = ScrapydAPI(first.url), ScrapydAPI(second.url)
    [waiting] = [job["id"] for job in second.get("listjobs.json")["pending"]]
    assert there.job_status("coinspider", waiting) == "pending"
    elsewhere = next(job for job, node in running(first).items() if node == "node1")
    assert there.job_status("coinspider", elsewhere) == "running"
    assert there.cancel("coinspider", waiting) == "pending"
    assert here.cancel("coinspider", elsewhere) == "running"
    wait_until(lambda: elsewhere in finished(second))
    assert here.job_status("coinspider", elsewhere) == "finished"
    log = f"logs/coinspider/coins/{elsewhere}.log"
    assert "node1" in first.open(log)
    assert log in first.open("crawls")
    page = first.open(log, headers={"Accept": "text/html"})
    assert "at most, from node1:</p>" in page
    assert 'href="../../../crawls"' in page
    assert set(jobs) - {elsewhere, waiting} <= running(first).keys() | finished(first)
    assert "coins" in there.list_spiders("coinspider")
    # Any node also knows why a job never began to crawl.
    refused = here.schedule("coinspider", "coins", settings={"COINGECKO_PLAN": "gold"})
    for daemon in (first, second):
        wait_until(lambda asked=daemon: asked.crawl(refused)["outcome"])
        assert "COINGECKO_PLAN must be one of" in daemon.crawl(refused)["message"]


def test_job_survives_the_ends_of_its_nodes(nodes, slow_api, query, kill):
    """Nodes that stop hand it back; after each of five crashes it runs again."""
    first = nodes(**slow_api)
    [job] = currencies(first, ["usd"])
    wait_until(lambda: query("SELECT tablename FROM pg_tables WHERE tablename = 'full_coin'"))
    wait_until(lambda: query("SELECT coin_id FROM full_coin LIMIT 1"))
    second = nodes(**slow_api)
    [crawl] = [child for child in first.children() if "crawl" in child.cmdline()]
    crawl.suspend()
    first.process.terminate()
    wait_until(lambda: "Waiting for 1 crawl to end" in first.log.read_text())
    # While a node waits for its crawls to end, no other node runs them.
    beats = "SELECT last_heartbeat FROM procrastinate_workers ORDER BY id"
    wait_until(lambda: len(query(beats)) == 2)
    [[before], _] = query(beats)
    wait_until(lambda: query(beats)[0] > (before,))
    assert query(RUNS) == [("node0", None)]
    crawl.resume()
    first.process.wait(40)
    wait_until(lambda: names(second) == ["node1"])
    wait_until(lambda: running(second).get(job) == "node1")
    third = nodes(**slow_api)
    kill(second, "node1")
    wait_until(lambda: running(third).get(job) == "node2")
    assert query(RUNS)[:2] == [("node0", "interrupted"), ("node1", "lost")]
    # As if three more had died with it: a job that kills its nodes is not passed on for ever.
    query(THREE_DEATHS)
    fourth = nodes(**slow_api)
    kill(third, "node2")
    wait_until(lambda: not query("SELECT id FROM procrastinate_jobs"))
    assert running(fourth) == {}
    assert query(RUNS)[2] == ("node2", "lost")
    assert "node2" in fourth.open(f"logs/coinspider/coins/{job}.log")


@pytest.fixture
def endpoint():
    with start_receiver() as server:
        server.api_status = 400  # nothing asks it again
        yield server


def ask(daemon, path, **data):
    return json.loads(daemon.open(path, data or None, password=b"me:s3cret"))


def schedules(daemon):
    return {found["name"]: found for found in ask(daemon, "schedules.json")["schedules"]}


def test_two_nodes_do_what_is_due_once(nodes, endpoint, query, database_url):
    """One is behind a pooler and its clock is wrong; both have a password and a schema."""
    shared = {"SCRAPYD_USERNAME": "me", "SCRAPYD_PASSWORD": "s3cret", "POSTGRES_SCHEMA": "my coins",
              "COINGECKO_BASE_URL": endpoint.url, "ALERT_URL": f"{endpoint.url}/",
              "ALERT_INTERVAL": "0.2", "ALERT_PERIODS": "0"}  # fmt: skip
    with pgbouncer(database_url, pool_size=8) as url:
        first = nodes(FLEET + SCHEDULES, **shared)
        second = nodes(FLEET + SCHEDULES, **shared | {"DATABASE_URL": url} | LATE)
        daemons = [first, second]
        # One of them sends the alerts, once for each schedule.
        wait_until(lambda: len(endpoint.alerts) >= 2)
        before = schedules(first)["skip"]["runs"]
        wait_until(lambda: schedules(second)["skip"]["runs"] > before)
        endpoint.api_status = 200
        wait_until(lambda: len(endpoint.alerts) >= 4)
        ask(second, "pauseschedule.json", schedule="skip")
        ask(first, "pauseschedule.json", schedule="wait")
        wait_until(lambda: all(s["paused"] for d in daemons for s in schedules(d).values()))
        told = sorted((body["schedule"], body["status"]) for _, body in endpoint.alerts)
        assert told == [(name, status) for name in ("skip", "wait")
                        for status in ("failed", "recovered")]  # fmt: skip
        # A run may end between the two questions.
        wait_until(lambda: schedules(first) == schedules(second))
        assert names(first, ask) == ["node0", "node1"]
        wait_until(lambda: not query('SELECT id FROM "my coins".procrastinate_jobs'))
        runs = sum(schedule["runs"] for schedule in schedules(first).values())
        jobs = 'SELECT count(*), count(DISTINCT job) FROM "my coins"'
        assert query(f"{jobs}.fleet_run") == [(runs, runs)]
        assert query(f"{jobs}.crawl") == [(runs, runs)]
        ran = query('SELECT DISTINCT node FROM "my coins".crawl')
        assert set(ran) <= {("node0",), ("node1",)}
        for daemon in daemons:
            told = daemon.open("metrics", password=b"me:s3cret")
            assert 'outcome="complete"' in told
            assert all(f'node="{name}"' in told for (name,) in ran)
            assert "Traceback" not in (log := daemon.log.read_text()), log.partition("Traceback")
            daemon.stop()
    tables = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename ~ '^(fleet|procra|crawl)'"
    assert query(tables) == [("my coins",)]


# What a transaction that fails has counted stays counted.
REFUSALS = """
CREATE SEQUENCE refusals;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM nextval('refusals');
    RAISE EXCEPTION 'the disk is full';
END $$;
CREATE TRIGGER refusing BEFORE INSERT ON procrastinate_jobs EXECUTE FUNCTION refuse();
"""


def test_due_run_that_can_not_be_queued_is_queued_later_and_once(nodes, api, query, database_url):
    make_tables(DatabaseSettings(database_url, None, 10, 60, 60))
    query(REFUSALS)
    hourly = "\n[schedule:hourly]\nspider = coins\nevery = 1h\n"
    daemons = [nodes(FLEET + hourly, **api), nodes(FLEET + hourly, **api)]
    wait_until(lambda: query("SELECT last_value FROM refusals") > [(2,)])
    assert daemons[0].schedule()["runs"] == 0
    assert "can't begin yet: the queue can't be asked: the disk is full" in "".join(
        daemon.log.read_text() for daemon in daemons
    )
    query("DROP TRIGGER refusing ON procrastinate_jobs")
    wait_until(lambda: finished(daemons[0]))
    assert [daemon.schedule()["runs"] for daemon in daemons] == [1, 1]
    assert query("SELECT count(*) FROM fleet_run") == [(1,)]


def test_node_that_was_cut_off_joins_again_and_runs_jobs(nodes, api, query):
    first, second = nodes(**api), nodes(**api)
    first.process.send_signal(signal.SIGSTOP)
    query(SILENCE, "node0")
    wait_until(lambda: names(second) == ["node1"])
    first.process.send_signal(signal.SIGCONT)
    wait_until(lambda: len(names(second)) == 2)
    [job] = currencies(first, ["usd"])
    wait_until(lambda: job in finished(first))


ECHO = """
import os
import scrapy

class EchoSpider(scrapy.Spider):
    name = "echo"

    async def start(self):
        self.logger.warning("version VERSION on %s", os.environ["NODE"])
        return
        yield
"""
EGGS = FLEET.replace("egg_upload        = no", "egg_upload = yes")
LOGS = "SELECT log_tail FROM fleet_run WHERE spider = 'echo' AND ended_at IS NOT NULL ORDER BY id"


def test_egg_is_sent_once_and_a_job_runs_the_version_it_was_queued_with(nodes, query):
    def send(path, **data):
        answer = requests.post(f"{first.url}/{path}", auth=("me", "s3cret"), timeout=120, **data)
        assert answer.json()["status"] == "ok", answer.text
        return answer.json()

    def deploy(version):
        code = {"spy__settings_py": "SPIDER_MODULES = ['spy.spiders']",
                "spy__spiders__echo_py": ECHO.replace("VERSION", version)}  # fmt: skip
        send("addversion.json", data={"project": "spy", "version": version}, files=egg(**code))

    password = {"SCRAPYD_USERNAME": "me", "SCRAPYD_PASSWORD": "s3cret"}
    first = nodes(EGGS.replace("max_proc = 1", "max_proc = 0\nmax_proc_per_cpu = 0"),
                  NODE="first", **password)  # fmt: skip
    deploy("1")
    send("schedule.json", data={"project": "spy", "spider": "echo"})
    deploy("2")
    send("schedule.json", data={"project": "spy", "spider": "echo"})
    nodes(EGGS, NODE="second", **password)
    wait_until(lambda: len(query(LOGS)) == 2)
    [[one], [two]] = query(LOGS)
    assert "version 1 on second" in one
    assert "version 2 on second" in two
    assert send("delproject.json", data={"project": "spy"})
