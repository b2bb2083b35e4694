"""scrapyd nodes that share a queue: real processes, killed and cut off."""

import os
import signal
from contextlib import ExitStack
from itertools import count
from tempfile import TemporaryDirectory

import pytest
import requests
from scrapyd_api import ScrapydAPI

from tests.helpers.eggs import egg
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.processes import wait_until
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

FLEET = CONFIGURATION.replace(
    "[scrapyd]", "[scrapyd]\nqueue = postgres\nnode_timeout = 3\nmax_proc = 1", 1
)
SCHEDULE = "\n[schedule:test]\nspider = coins\nevery = 2s\nargument.pages = 1\n"


@pytest.fixture
def nodes(database_url):
    """Starts nodes of one fleet: ``nodes(configuration, NAME=value)``."""
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
    return {"COINGECKO_BASE_URL": sandbox("--coins", 5000, "--latency", "0.3").url}


@pytest.fixture
def api(sandbox):
    return {"COINGECKO_BASE_URL": sandbox("--coins", 20).url}


def finished(daemon):
    return {job["id"] for job in daemon.get("listjobs.json")["finished"]}


def running(daemon):
    return {job["id"]: job["node"] for job in daemon.get("listjobs.json")["running"]}


def kill(daemon):
    """As a machine that loses its power: the crawls end with their scrapyd."""
    children = daemon.children()
    daemon.process.kill()
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
    daemon.process.wait()


def currencies(daemon, names):
    return [daemon.run(vs_currency=name, jobid=f"job-{name}") for name in names]


def test_job_runs_where_there_is_room_and_is_seen_and_ended_through_any_node(nodes, slow_api):
    first, second = nodes(**slow_api), nodes(**slow_api)
    jobs = currencies(first, ["usd", "eur", "btc"])
    wait_until(lambda: len(running(first)) == 2)
    assert set(running(second).values()) == {"node0", "node1"}
    [waiting] = [job["id"] for job in second.get("listjobs.json")["pending"]]
    answer = second.get(f"status.json?job={waiting}")
    assert answer["currstate"] == "pending", answer
    elsewhere = next(job for job, node in running(first).items() if node == "node1")
    answer = first.get("cancel.json", project="coinspider", job=elsewhere)
    assert answer["prevstate"] == "running"
    wait_until(lambda: elsewhere in finished(second))
    assert first.get(f"status.json?job={elsewhere}")["currstate"] == "finished"
    assert "node1" in first.open(f"logs/coinspider/coins/{elsewhere}.log")
    assert second.get("cancel.json", project="coinspider", job=waiting)["prevstate"]
    assert set(jobs) - {elsewhere, waiting} <= running(first).keys() | finished(first)
    assert [node["name"] for node in first.get("daemonstatus.json")["nodes"]] == ["node0", "node1"]


def test_view_of_the_jobs_shows_those_of_all_nodes(nodes, slow_api):
    first, second = nodes(**slow_api), nodes(**slow_api)
    currencies(first, ["usd", "eur"])
    wait_until(lambda: len(running(first)) == 2)
    for daemon in (first, second):
        page = daemon.open("jobs")
        assert "on node0" in page
        assert "on node1" in page


def test_any_node_tells_why_a_job_failed_before_it_crawled(nodes):
    first, second = nodes(COINGECKO_PLAN="gold"), nodes(COINGECKO_PLAN="gold")
    [job] = currencies(first, ["btc"])
    for daemon in (first, second):
        wait_until(lambda asked=daemon: asked.crawl(job)["outcome"])
        assert "COINGECKO_PLAN must be one of" in daemon.crawl(job)["message"]


def test_job_of_a_dead_node_runs_again_once_elsewhere(nodes, slow_api, query):
    first = nodes(**slow_api)
    [job] = currencies(first, ["usd"])
    wait_until(lambda: job in running(first))
    second = nodes(**slow_api)
    kill(first)
    wait_until(lambda: running(second).get(job) == "node1")
    kill(second)
    third = nodes(**slow_api)
    wait_until(lambda: not query("SELECT FROM procrastinate_jobs"))
    wait_until(lambda: running(third) == {})
    assert query("SELECT node, outcome FROM fleet_run ORDER BY id") == [
        ("node0", "lost"), ("node1", "lost"),
    ]  # fmt: skip
    assert "node1" in third.open(f"logs/coinspider/coins/{job}.log")


def test_schedule_runs_once_for_all_nodes_and_is_paused_for_all(nodes, api, query):
    daemons = [nodes(FLEET + SCHEDULE, **api) for _ in range(3)]
    wait_until(lambda: daemons[0].schedule()["runs"] >= 4)
    daemons[1].get("pauseschedule.json", schedule="test")
    wait_until(lambda: all(daemon.schedule()["paused"] for daemon in daemons))
    runs = {daemon.schedule()["runs"] for daemon in daemons}
    assert len(runs) == 1
    wait_until(lambda: not query("SELECT FROM procrastinate_jobs"))
    [(started, different)] = query("SELECT count(*), count(DISTINCT job) FROM fleet_run")
    assert (started, different) == (runs.pop(),) * 2


def test_tables_of_the_fleet_are_in_the_schema_that_is_set(nodes, api, query):
    daemon = nodes(**api, POSTGRES_SCHEMA="my coins")
    [job] = currencies(daemon, ["usd"])
    wait_until(lambda: job in finished(daemon))
    tables = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename ~ '^(fleet|procra|crawl)'"
    assert query(tables) == [("my coins",)]


def test_nodes_behind_a_pooler_share_the_queue(nodes, api, query, database_url):
    with pgbouncer(database_url, pool_size=8) as url:
        daemons = [nodes(**api, DATABASE_URL=url) for _ in range(2)]
        jobs = currencies(daemons[0], ["usd", "eur", "btc"])
        wait_until(lambda: set(jobs) <= finished(daemons[1]))
        for daemon in daemons:
            daemon.stop()
    assert query("SELECT outcome, count(*) FROM crawl GROUP BY 1") == [("complete", 3)]


def test_node_that_ends_in_order_hands_back_nothing_twice_and_leaves(nodes, slow_api, query):
    first, second = nodes(**slow_api), nodes(**slow_api)
    jobs = currencies(first, ["usd", "eur", "btc", "jpy"])
    wait_until(lambda: len(running(first)) == 2)
    first.stop()
    wait_until(lambda: [node["name"] for node in second.get("daemonstatus.json")["nodes"]]
               == ["node1"])  # fmt: skip
    for job in jobs:
        second.get("cancel.json", project="coinspider", job=job)
    wait_until(lambda: not query("SELECT FROM procrastinate_jobs"))
    assert query("SELECT count(*) FROM fleet_run WHERE outcome = 'lost'") == [(0,)]


def test_node_that_was_cut_off_joins_again_and_runs_jobs(nodes, api):
    first, second = nodes(**api), nodes(**api)
    os.kill(first.process.pid, signal.SIGSTOP)
    wait_until(lambda: [node["name"] for node in second.get("daemonstatus.json")["nodes"]]
               == ["node1"])  # fmt: skip
    os.kill(first.process.pid, signal.SIGCONT)
    wait_until(lambda: len(second.get("daemonstatus.json")["nodes"]) == 2)
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
        answer = requests.post(f"{first.url}/{path}", auth=("me", "s3cret"), timeout=30, **data)
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


def test_python_scrapyd_api_works_with_any_node(nodes, slow_api):
    here, there = (ScrapydAPI(nodes(**slow_api).url) for _ in range(2))
    job = here.schedule("coinspider", "coins", vs_currency="eur")
    wait_until(lambda: there.job_status("coinspider", job) == "running")
    assert "coinspider" in there.list_projects()
    assert "coins" in there.list_spiders("coinspider")
    assert there.cancel("coinspider", job) == "running"
    wait_until(lambda: here.job_status("coinspider", job) == "finished")


def test_fleet_without_its_package_or_database_says_so_in_one_line(scrapyd):
    with pytest.raises(AssertionError, match=r"queue = redis in scrapyd\.conf: one of sqlite"):
        scrapyd(FLEET.replace("= postgres", "= redis"))
