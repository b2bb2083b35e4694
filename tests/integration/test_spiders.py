"""Every spider of the project, as a whole."""

import pytest
from scrapy.settings import Settings
from scrapy.spiderloader import SpiderLoader

from coinspider.records.table_item import primary_key
from tests.helpers.processes import PROJECT, last_line, seen

# The arguments with which each reads the sandbox's version of its API.
WALKS = {
    "assets": ["-s", "ASSETS_URL={root}/others/assets"],
    "categories": ["-s", "COINGECKO_BASE_URL={root}/api/v3"],
    "coins": ["-s", "COINGECKO_BASE_URL={root}/api/v3"],
    "exchanges": ["-s", "COINGECKO_BASE_URL={root}/api/v3"],
    "next": ["-a", "url={root}/others/drf"],
    "nfts": ["-s", "COINGECKO_BASE_URL={root}/api/v3"],
}
# It reads no list, but a chart for each coin that is stored: tests/integration/test_backfill.py.
OTHERS = ["market_chart"]
RECORDS = {"categories": 6, "exchanges": 320, "nfts": 1100}
SHARED_FILE = dict.fromkeys(RECORDS, "coingecko_lists")
LOADER = SpiderLoader.from_settings(Settings({"SPIDER_MODULES": ["coinspider.spiders"]}))


def test_every_spider_is_tested_here():
    assert sorted(LOADER.list()) == sorted([*WALKS, *OTHERS])


@pytest.mark.parametrize("name", LOADER.list())
def test_spider_is_named_after_its_file_and_has_an_item_with_a_key(name):
    spider = LOADER.load(name)
    assert spider.__module__ == f"coinspider.spiders.{SHARED_FILE.get(name, name)}"
    if item_class := getattr(spider, "item_class", None):
        assert primary_key(item_class)


@pytest.mark.parametrize("name", WALKS)
def test_spider_reads_the_sandbox_to_the_end(scrapy, sandbox, name):
    root = sandbox("--coins", 150).url.removesuffix("/api/v3")
    done = scrapy("crawl", name, *(option.format(root=root) for option in WALKS[name]))
    assert done.returncode == 0, done.stderr
    count = RECORDS.get(name, 150)
    assert f"{count} records, {count} new" in last_line(done)


def documented_source() -> str:
    page = (PROJECT / "docs/other-apis.md").read_text()
    section = page[page.index("## A source of your own") :]
    return section.split("```python\n")[1].split("```")[0]


def test_source_in_the_docs_fills_its_table(scrapy, sandbox, query, tmp_path):
    (tmp_path / "own_spiders.py").write_text(documented_source())
    root = sandbox("--coins", 150).url.removesuffix("/api/v3")
    done = scrapy("crawl", "markets", "-s", "SPIDER_MODULES=own_spiders",
                  "-s", f"MARKETS_URL={root}/others/drf", PYTHONPATH=str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    [[rows, price]] = query("SELECT count(*), count(current_price) FROM market")
    assert rows == 150
    assert price > 100


def test_generated_spider_runs(empty_project, sandbox, query, database_url, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/__init__.py").touch()
    options = ["-s", "NEWSPIDER_MODULE=own", "-s", "SPIDER_MODULES=own"]
    environment = {
        "PYTHONPATH": f"{PROJECT}:{tmp_path}",
        "DATABASE_URL": database_url,
    }
    made = empty_project("genspider", *options, "-t", "paginated", "things", "api.example",
                         **environment)  # fmt: skip
    assert made.returncode == 0, made.stderr
    root = sandbox("--coins", 150).url.removesuffix("/api/v3")
    done = empty_project("crawl", "things", *options, "-s", f"THINGS_URL={root}/others/drf",
                         **environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert query("SELECT count(*) FROM things") == [(150,)]


def test_incremental_source_requests_newer_records_after_a_complete_crawl(scrapy, sandbox, query):
    root = sandbox("--coins", 150).url.removesuffix("/api/v3")
    crawl = ("crawl", "updates", "-s", "SPIDER_MODULES=tests.spiders",
             "-s", "LOOKAHEAD_PAGES=1", "-s", f"UPDATES_URL={root}/others/offset")  # fmt: skip
    failed = scrapy(*crawl, "-s", "PAGINATION_PAGES_MAX=1")
    assert failed.returncode == 1
    assert query("SELECT count(*) FROM source_state") == [(0,)]
    assert scrapy(*crawl).returncode == 0
    [[since]] = query("SELECT since FROM source_state")
    [[newest]] = query("SELECT max(last_updated) FROM full_coin")
    assert since == newest.isoformat()
    assert scrapy(*crawl).returncode == 0
    asked = [call["uri"] for call in seen(f"{root}/others")]
    assert len({uri for uri in asked if "updated_since=2025-01-01T00%3A00%3A00" in uri}) == 3
