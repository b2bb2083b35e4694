"""Scrapy's own commands and features, inside the project."""

import json
import os
import signal
import subprocess
import sys
from base64 import b64encode

import pytest

from tests.helpers.http_server import Handler, Server, running
from tests.helpers.processes import CLEAN, PROJECT, last_line, wait_until

CALLS = "/calls"
# In one process, one after the other and at once.
MANY = """
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.utils.project import get_project_settings
from coinspider.crawl.outcome import outcome_of

process = AsyncCrawlerProcess(get_project_settings())
crawlers = [process.create_crawler("coins") for _ in range(3)]
for crawler, currency in zip(crawlers, ("usd", "eur", "btc")):
    process.crawl(crawler, vs_currency=currency)
process.start()
print([outcome_of(crawler).name for crawler in crawlers])
"""


@pytest.fixture
def api(sandbox):
    return sandbox("--odd", "--coins", 30)


def url(api):
    return api.url.replace("/api/v3", CALLS)


def test_fetch_and_shell_need_no_spider_of_the_project(scrapy, api, query):
    done = scrapy("fetch", "--nolog", url(api))
    assert (done.returncode, done.stdout.strip()) == (0, "[]")
    done = scrapy("shell", url(api), "-c", "response.status")
    assert (done.returncode, done.stdout.strip()) == (0, "200"), done.stderr
    assert "Traceback" not in done.stderr
    assert query("SELECT to_regclass('crawl')") == [(None,)], "the database is left alone"


def test_plain_spider_of_genspider_runs_and_its_end_is_shown(empty_project, api):
    arguments = ["-s", "NEWSPIDER_MODULE=own", "-s", "SPIDER_MODULES=own"]
    (empty_project.directory / "own").mkdir()
    (empty_project.directory / "own/__init__.py").touch()
    made = empty_project("genspider", *arguments[:2], "plain", url(api))
    assert made.returncode == 0, made.stderr
    file = empty_project.directory / "own/plain.py"
    text = file.read_text().replace("https://", "http://")
    file.write_text(text.replace("pass", "yield {'status': response.status}"))
    done = empty_project("crawl", "plain", *arguments, "-O", "out.json")
    assert done.returncode == 0, done.stderr
    assert last_line(done) == "coinspider: the crawl finished: 1 item"
    assert json.loads((empty_project.directory / "out.json").read_text()) == [{"status": 200}]
    file.write_text(text.replace("pass", "raise ZeroDivisionError"))
    done = empty_project("crawl", "plain", *arguments)
    assert done.returncode == 1
    assert "the spider raised an exception" in last_line(done)


def test_crawls_in_one_process_are_separate(scrapy, api, query):
    environment = os.environ | CLEAN | scrapy.environment | {"COINGECKO_BASE_URL": api.url}
    done = subprocess.run([sys.executable, "-c", MANY], cwd=PROJECT, env=environment, text=True,
                          capture_output=True, check=False, timeout=120)  # fmt: skip
    assert done.stdout.strip() == "['complete', 'complete', 'complete']", done.stderr
    assert query("SELECT vs_currency, count(*) FROM full_coin GROUP BY 1 ORDER BY 1") == [
        ("btc", 30), ("eur", 30), ("usd", 30),
    ]  # fmt: skip


def test_cached_pages_are_read_like_others(scrapy, api, tmp_path):
    cached = ["-s", "HTTPCACHE_ENABLED=1", "-s", f"HTTPCACHE_DIR={tmp_path}",
              "-s", "LOOKAHEAD_PAGES=1"]  # fmt: skip
    for told in ("30 new", "30 unchanged"):
        done = scrapy("crawl", "coins", *cached, COINGECKO_BASE_URL=api.url)
        assert done.returncode == 0, done.stderr
        assert told in last_line(done)
    assert len(api.calls()) == 2


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["-a", "headers=X-Api-Key=marked-s3cret"], {}),
        (["-a", "parameters=api_key=marked-s3cret"], {}),
        (["-a", 'body={"api_key": "marked-s3cret"}'], {}),
        ([], {"API_TOKEN": "marked-s3cret"}),
        ([], {"API_TOKEN": "marked-s3cret", "API_TOKEN_HEADER": "X-Own"}),
        ([], {"API_USERNAME": "me", "API_PASSWORD": "marked-s3cret"}),
    ],
)
def test_cache_has_no_credentials_and_is_for_this_user_alone(scrapy, tmp_path, arguments, settings):
    cache, feed = tmp_path / "cache", tmp_path / "things.csv"
    calls = []

    class Api(Handler):
        def do_GET(self):
            calls.append(f"{self.path} {self.headers}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send(200, b'[{"id":1},{"id":2}]', {"Set-Cookie": "session=marked-s3cret"})

        do_POST = do_GET

    with running(Server(Api)) as server:
        for _ in range(2):
            done = scrapy("crawl", "next", "-a", f"url={server.url}/list", "-a", "pagination=none",
                          "-a", "table=thing", *arguments, "-s", "HTTPCACHE_ENABLED=1",
                          "-s", f"HTTPCACHE_DIR={cache}", "-O", feed, **settings)  # fmt: skip
            assert done.returncode == 0, done.stderr
    assert len(calls) == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    basic = b64encode(b"me:marked-s3cret")
    for path in files:
        assert path.stat().st_mode & 0o077 == 0, path
        assert b"marked-s3cret" not in path.read_bytes(), path
        assert basic not in path.read_bytes(), path


def test_crawl_that_is_resumed_from_its_jobdir_delists_nothing(scrapy, sandbox, query, tmp_path):
    api = sandbox("--odd", "--coins", 100, "--latency", 0.2)
    small = ["crawl", "coins", "-a", "per_page=5", "-s", "LOOKAHEAD_PAGES=1"]
    assert scrapy(*small, COINGECKO_BASE_URL=api.url).returncode == 0
    before = len(api.calls())
    jobdir = ["-s", f"JOBDIR={tmp_path}/job", "-s", "FEED_EXPORT_BATCH_ITEM_COUNT=10",
              "-O", f"{tmp_path}/coins-%(batch_id)d.jsonl"]  # fmt: skip
    with scrapy.start(*small, *jobdir, COINGECKO_BASE_URL=api.url) as crawl:
        wait_until(lambda: len(api.calls()) >= before + 6)
        crawl.send_signal(signal.SIGINT)
        crawl.communicate()
    assert crawl.returncode == 130
    done = scrapy(*small, *jobdir, COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert query("SELECT count(*) FROM full_coin WHERE delisted_at IS NOT NULL") == [(0,)]
    assert len(api.calls()) < before + 30, "what was read before is not read again"
    lines = [line for file in tmp_path.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert len(lines) == 100, "no batch of the first process is replaced"


def test_parse_shows_the_items_of_a_page_and_stores_nothing(scrapy, api, query):
    page = f"{api.url}/coins/markets?vs_currency=usd&per_page=10&page=1"
    done = scrapy("parse", "--nolog", "--nocolour", "--spider=coins", page,
                  COINGECKO_BASE_URL=api.url)  # fmt: skip
    assert done.stdout.count("'coin_id'") == 10, done.stdout + done.stderr
    assert query("SELECT to_regclass('crawl')") == [(None,)]


def test_bench_runs(scrapy):
    done = scrapy("bench", "-s", "CLOSESPIDER_TIMEOUT=1")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
