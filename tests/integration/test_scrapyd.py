"""scrapyd as a real process, with the project's own scrapyd.conf and with others."""

import os
import shutil
import signal
import subprocess
import sys
from tempfile import TemporaryDirectory
from urllib.error import HTTPError

import psutil
import pytest

from tests.helpers.processes import CLEAN, PROJECT, project_files, wait_until
from tests.helpers.scrapyd_process import CONFIGURATION, SHIPPED, Scrapyd

PLAIN = "[scrapyd]\npoll_interval = 0.2\n"


def every(seconds, *lines):
    return "\n".join([CONFIGURATION, "[schedule:test]", "spider = coins", f"every = {seconds}s",
                      *lines])  # fmt: skip


def test_as_shipped_it_crawls_at_once_and_leaves_nothing_behind(scrapyd, sandbox):
    api = sandbox("--coins", 600)
    daemon = scrapyd(SHIPPED, COINGECKO_BASE_URL=api.url)
    wait_until(lambda: daemon.get("crawls.json")["crawls"])
    job = daemon.schedule()["last_job"]
    wait_until(lambda: daemon.crawl(job)["outcome"])
    crawl = daemon.crawl(job)
    assert (crawl["outcome"], crawl["exit_status"]) == ("complete", 0)
    assert (crawl["page_count"], crawl["inserted_count"]) == (3, 600)
    metrics = daemon.open("metrics")
    assert 'coinspider_crawl_records{spider="coins",vs_currency="usd",whole="1"} 600.0' in metrics
    assert 'coinspider_crawl_success{spider="coins",vs_currency="usd",whole="1"} 1.0' in metrics
    wait_until(lambda: daemon.get("listjobs.json")["finished"])
    assert daemon.schedule()["skipped"] == 0
    processes = daemon.children()
    daemon.stop()
    assert not [process for process in processes if process.is_running()]
    directory = str(daemon.directory)
    assert not [p for p in psutil.process_iter(["cmdline"])
                if any(directory in part for part in p.info["cmdline"] or [])]  # fmt: skip
    daemon.start()
    assert [found["id"] for found in daemon.get("listjobs.json")["finished"]][-1] == job
    assert (daemon.directory / f".scrapy/scrapyd/logs/coinspider/coins/{job}.log").exists()


@pytest.fixture
def slow_api(sandbox):
    return sandbox("--coins", 10_000, "--latency", "0.5")


@pytest.fixture
def environment(slow_api, database_url):
    return {"COINGECKO_BASE_URL": slow_api.url, "DATABASE_URL": database_url}


SLOW = ["setting.lookahead_pages = 1"]


def test_run_that_is_due_while_the_last_one_runs_is_skipped(scrapyd, environment, query):
    daemon = scrapyd(every(1, *SLOW), **environment)
    wait_until(lambda: daemon.get("crawls.json")["crawls"])
    wait_until(lambda: daemon.schedule()["skipped"] >= 2)
    schedule = daemon.schedule()
    assert (schedule["runs"], schedule["active"]) == (1, "running")
    assert "is skipped, as job test." in daemon.log.read_text()
    assert daemon.get("runschedule.json", schedule="test")["message"].endswith("is running")
    assert query("SELECT count(*) FROM crawl") == [(1,)]


@pytest.mark.parametrize("end", [Scrapyd.stop, Scrapyd.interrupt], ids=["SIGTERM", "Ctrl-C"])
def test_end_of_scrapyd_ends_the_crawl_with_its_rows_stored(scrapyd, environment, query, end):
    daemon = scrapyd(every(60, *SLOW, "setting.crawl_log_interval = 0.2"), **environment)
    wait_until(lambda: daemon.get("crawls.json")["crawls"])
    wait_until(lambda: daemon.get("crawls.json")["crawls"][0]["page_count"] >= 3)
    end(daemon)
    [(outcome, pages, inserted, ended)] = query(
        "SELECT outcome, page_count, inserted_count, ended_at IS NOT NULL FROM crawl"
    )
    assert (outcome, ended) == ("interrupted", True)
    assert query("SELECT count(*) FROM full_coin") == [(inserted,)] == [(pages * 250,)]


def test_crawl_that_outlives_a_killed_scrapyd_blocks_the_next_one(scrapyd, environment):
    daemon = scrapyd(every(60, *SLOW), **environment)
    wait_until(lambda: daemon.get("crawls.json")["crawls"])
    daemon.stop(signal.SIGKILL)
    daemon.start()
    # The schedule sees that its crawl goes on; one by hand is kept out by the crawl's lease.
    wait_until(lambda: daemon.schedule()["skipped"])
    second = daemon.finish()
    assert (second["outcome"], second["exit_status"]) == ("skipped", 3)
    _, first = daemon.get("crawls.json")["crawls"]
    assert first["outcome"] is None
    os.kill(first["process_id"], signal.SIGKILL)


def test_cancelled_crawl_ends_in_order(scrapyd, environment):
    daemon = scrapyd(**environment)
    job = daemon.run()
    wait_until(lambda: daemon.get(f"crawls.json?job={job}")["crawls"])
    assert daemon.get("cancel.json", project="coinspider", job=job)["prevstate"] == "running"
    wait_until(lambda: daemon.crawl(job)["outcome"])
    assert daemon.crawl(job)["exit_status"] == 130


def test_schedule_is_paused_resumed_and_run(scrapyd, sandbox, database_url):
    api = sandbox("--coins", 10)
    daemon = scrapyd(every(1), COINGECKO_BASE_URL=api.url, DATABASE_URL=database_url)
    wait_until(lambda: daemon.schedule()["runs"] >= 1)
    paused = daemon.get("pauseschedule.json", schedule="test")["schedule"]
    assert (paused["paused"], paused["next_time"]) == (True, None)
    wait_until(lambda: not daemon.schedule()["active"])
    daemon.stop()
    daemon.start()
    runs = daemon.schedule()["runs"]
    job = daemon.get("runschedule.json", schedule="test")["jobid"]
    wait_until(lambda: daemon.crawl(job)["outcome"] == "complete")
    assert daemon.schedule()["runs"] == runs + 1
    assert daemon.get("resumeschedule.json", schedule="test")["schedule"]["next_time"]
    wait_until(lambda: daemon.schedule()["runs"] > runs + 1)
    unknown = daemon.get("pauseschedule.json", schedule="other")
    assert (unknown["status"], unknown["message"]) == ("error", "schedule 'other' not found")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vs_currency": "E/x"}, "wrong argument vs_currency=E/x"),
        ({"base_url": "http://evil/"}, "unknown argument base_url"),
        ({"setting": "COINGECKO_BASE_URL=http://evil/"}, "setting COINGECKO_BASE_URL may not"),
        ({"setting": "FEEDS={}"}, "setting FEEDS may not"),
        ({"setting": "LOG_LEVEL"}, "setting LOG_LEVEL may not"),
        ({"spider": "next", "url": "http://evil/"}, "argument url may not be given by HTTP"),
        ({"spider": "assets", "records": "x"}, "the spider assets has no argument records"),
        ({"jobid": "../../x"}, "jobid is of letters"),
        ({"spider": "none"}, "spider 'none' not found"),
    ],
)
def test_job_by_http_is_checked_as_on_the_command_line(shared_daemon, given, message):
    answer = shared_daemon.get("schedule.json", **{"project": "coinspider", "spider": "coins"}
                               | given)  # fmt: skip
    assert answer["status"] == "error"
    assert message in answer["message"]


@pytest.fixture(scope="module")
def shared_daemon(server_url):
    with TemporaryDirectory(prefix="coinspider-") as directory:
        daemon = Scrapyd(directory, CONFIGURATION, DATABASE_URL=server_url).start()
        yield daemon
        daemon.stop()


def test_job_by_http_takes_the_spiders_arguments(scrapyd, sandbox, database_url):
    api = sandbox("--coins", 300)
    daemon = scrapyd(COINGECKO_BASE_URL=api.url, DATABASE_URL=database_url)
    crawl = daemon.finish(vs_currency="eur", pages="1", setting="LOG_LEVEL=DEBUG")
    assert (crawl["vs_currency"], crawl["inserted_count"]) == ("eur", 250)


def test_with_a_password_every_address_asks_for_it(scrapyd, database_url, tmp_path):
    secrets = {"SCRAPYD_USERNAME": "me", "SCRAPYD_PASSWORD": "secret", "DATABASE_URL": database_url}
    for name, value in secrets.items():
        (tmp_path / name).write_text(f"{value}\n")
    daemon = scrapyd(**{f"{name}_FILE": str(tmp_path / name) for name in secrets})
    paths = [
        "", "schedules.json", "crawls.json", "metrics", "daemonstatus.json", "logs/", "coins",
        "coins.json", "coin?id=a", "crawls", "rejected",
    ]  # fmt: skip
    # One wrong password alone: after a few the client would have to wait.
    for path, password in [*[(path, None) for path in paths], ("", b"me:wrong")]:
        with pytest.raises(HTTPError) as caught:
            daemon.open(path, password=password)
        assert caught.value.code == 401
        caught.value.close()
    assert daemon.open("schedules.json", password=b"me:secret")


def test_unsafe_configuration_does_not_start(tmp_path):
    """By a whole process; ``tests/unit/test_start.py`` has the other reasons."""
    (tmp_path / ".env").write_text("SCRAPYD_BIND_ADDRESS=::\n")
    daemon = Scrapyd(tmp_path, CONFIGURATION)
    done = subprocess.run(
        [sys.executable, "-m", "scrapyd"], cwd=tmp_path, env=daemon.environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "bind_address :: is open to" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.fixture
def clone(tmp_path):
    """The project as git has it, to deploy from."""
    for file in project_files():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / file, tmp_path / file)
    return tmp_path


def deploy(clone, daemon):
    cfg = clone / "scrapy.cfg"
    cfg.write_text(cfg.read_text().replace("http://127.0.0.1:6800", daemon.url))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SCRAPY")}
    return subprocess.run(
        [sys.executable, "-m", "scrapy", "deploy"], cwd=clone, env=environment | CLEAN,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_deployed_egg_crawls_with_only_the_requirements_installed(
    scrapyd, sandbox, database_url, clone
):
    api = sandbox("--coins", 300)
    daemon = scrapyd(PLAIN, COINGECKO_BASE_URL=api.url, DATABASE_URL=database_url, PYTHONPATH="")
    before = {path for path in clone.rglob("*") if "__pycache__" not in path.parts}
    done = deploy(clone, daemon)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path for path in clone.rglob("*") if "__pycache__" not in path.parts} == before
    job = daemon.run()
    wait_until(lambda: daemon.get("status.json?job=" + job)["currstate"] == "finished")
    log = next(daemon.directory.glob("logs/coinspider/coins/*.log")).read_text()
    assert "'item_scraped_count': 300" in log
    [version] = daemon.get("listversions.json?project=coinspider")["versions"]

    items = clone / "coinspider/items.py"
    items.write_text(f"{items.read_text()}\nif '.egg' in __file__:\n    raise OSError('broken')\n")
    done = deploy(clone, daemon)
    assert done.returncode == 1
    assert "OSError: broken" in done.stderr
    assert daemon.get("listversions.json?project=coinspider")["versions"] == [version]

    shutil.rmtree(clone / "coinspider/spiders")
    (clone / "coinspider/spiders").mkdir()
    (clone / "coinspider/spiders/__init__.py").touch()
    done = deploy(clone, daemon)
    assert done.returncode != 0
    assert "no spider" in done.stderr
