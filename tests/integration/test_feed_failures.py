"""A crawl whose feed is not whole never calls itself complete."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.processes import last_line

NO_DATABASE = {"POSTGRES_ENABLED": "0"}
needs_full_disk = pytest.mark.needs("/dev/full")


@pytest.fixture
def crawl(scrapy, sandbox):
    api = sandbox("--coins", 600)
    return lambda *options, **environment: scrapy(
        "crawl", "coins", *options, COINGECKO_BASE_URL=api.url, **NO_DATABASE | environment
    )


@needs_full_disk
@pytest.mark.parametrize("name", ["csv", "json", "jsonl", "xlsx", "parquet", "xml"])
def test_full_disk_fails_the_crawl_and_leaves_the_other_feed_whole(crawl, tmp_path, name):
    good = tmp_path / "good.json"
    done = crawl("-O", f"/dev/full:{name}", "-O", good)
    assert done.returncode == 1
    assert "the feed /dev/full could not be written: No space left on device" in last_line(done)
    assert done.stderr.count("Traceback") <= 1
    json.loads(good.read_text())


@needs_full_disk
@pytest.mark.parametrize(
    ("second", "reason"),
    [("/dev/full", "No space left on device"), ("file/coins.csv", "Not a directory")],
    ids=["that is closed", "that is opened"],
)
def test_batch_that_fails_is_named(crawl, tmp_path, second, reason):
    """The first one is whole; of the second the disk is full, or the folder is none."""
    (tmp_path / "file").touch()
    (tmp_path / "2").symlink_to(tmp_path / second)
    done = crawl(
        "-o", f"{tmp_path}/%(batch_id)d:csv", "-s", "FEED_EXPORT_BATCH_ITEM_COUNT=250",
    )  # fmt: skip
    assert done.returncode == 1
    assert f"the feed {tmp_path}/2 could not be written: {reason}" in last_line(done)
    assert len((tmp_path / "1").read_text().splitlines()) == 251
    assert "never retrieved" not in done.stderr


def test_batches_need_names_of_their_own(crawl, tmp_path):
    done = crawl("-o", tmp_path / "coins.csv", "-s", "FEED_EXPORT_BATCH_ITEM_COUNT=250")
    assert done.returncode == 2
    assert "batches need %(batch_id)d or %(batch_time)s in the name" in last_line(done)


def test_feed_that_can_not_be_opened_stops_the_crawl_in_one_line(crawl, tmp_path):
    (tmp_path / "file").write_text("")
    done = crawl("-O", tmp_path / "file/coins.csv", "-O", tmp_path / "other.json")
    assert done.returncode == 1
    assert f"the feed {tmp_path}/file/coins.csv could not be written: " in last_line(done)
    assert "Traceback" not in done.stderr


def test_password_of_a_feed_is_not_logged(crawl):
    done = crawl("-O", "ftp://me:s3cret@127.0.0.1:9/coins.csv", "-a", "pages=1", "-L", "DEBUG")
    assert done.returncode == 1
    assert "Error storing csv feed (250 items) in: ftp://***@127.0.0.1:9/coins.csv" in done.stderr
    assert "the feed ftp://***@127.0.0.1:9/coins.csv could not be written: " in last_line(done)
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("name", ["json", "xlsx", "parquet"])
def test_nothing_is_appended_to_formats_that_can_not_grow(crawl, tmp_path, name):
    feed = tmp_path / f"coins.{name}"
    assert crawl("-o", feed, "-a", "pages=1").returncode == 0
    before = feed.read_bytes()
    again = crawl("-o", feed)
    assert again.returncode == 2
    assert f"nothing can be appended to {feed}: -O replaces it" in last_line(again)
    assert feed.read_bytes() == before
    assert crawl("-O", feed, "-a", "pages=1").returncode == 0


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_formats_that_can_grow_are_appended_to(crawl, tmp_path, name):
    feed = tmp_path / f"coins.{name}"
    for _ in range(2):
        assert crawl("-o", feed, "-a", "pages=1", "-a", "per_page=10").returncode == 0
    assert sum("coin-0" in line for line in feed.read_text().splitlines()) == 20


@pytest.mark.parametrize(
    ("name", "package"), [("xlsx", "xlsxwriter"), ("parquet", "pyarrow"), ("gsheets", "gspread")]
)
def test_missing_package_is_named_before_the_first_request(crawl, tmp_path, name, package):
    (tmp_path / f"{package}.py").write_text("raise ImportError")
    key = tmp_path / "key.json"
    key.write_text(json.dumps(dict.fromkeys(["client_email", "private_key", "token_uri"])))
    feed = "gsheets://ID/coins" if name == "gsheets" else tmp_path / f"feed.{name}"
    done = crawl("-O", feed, GOOGLE_SHEETS_CREDENTIALS=str(key), PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert f"needs the package {package}: " in last_line(done)
    assert last_line(done).endswith(f"install {package}")
    pip = last_line(done).partition(f"{package}: ")[2].partition(" install")[0]
    assert Path(pip.split()[0]).exists() or pip == "pip"


def test_feed_of_an_unknown_kind_stops_the_start(crawl):
    done = crawl("-s", 'FEEDS={"nowhere://me:hush@host/coins.csv": {"format": "csv"}}')
    assert done.returncode == 2
    assert "no feed can go to nowhere://***@host/coins.csv: there are the formats" in last_line(
        done
    )


def test_program_is_named_as_the_user_can_call_it():
    code = "from coinspider.installation import program; print(program('pip'))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PATH": ""}
    ).stdout.strip()
    version = subprocess.run([*found.split(), "--version"], check=True, capture_output=True)
    assert version.stdout.startswith(b"pip ")


def test_feed_without_items_is_an_empty_list(scrapy, sandbox, tmp_path):
    page, feed = tmp_path / "page", tmp_path / "coins.json"
    page.write_text("[]")
    url = sandbox("--body", page).url
    done = scrapy("crawl", "coins", "-O", feed, COINGECKO_BASE_URL=url, POSTGRES_ENABLED="0")
    assert json.loads(feed.read_text()) == [], done.stderr


@pytest.mark.parametrize("end", ["json", "csv", "xlsx"])
def test_crawl_that_fails_at_once_leaves_the_old_file(scrapy, sandbox, tmp_path, end):
    feed = tmp_path / f"coins.{end}"
    environment = {"COINGECKO_BASE_URL": sandbox("--coins", 3).url, "POSTGRES_ENABLED": "0"}
    assert scrapy("crawl", "coins", "-O", feed, **environment).returncode == 0
    old = feed.read_bytes()
    feed.chmod(0o640)
    away = environment | {"COINGECKO_BASE_URL": "http://127.0.0.1:9"}
    assert scrapy("crawl", "coins", "-O", feed, "-s", "RETRY_TIMES=0", **away).returncode == 1
    assert feed.read_bytes() == old
    assert scrapy("crawl", "coins", "-O", feed, **environment).returncode == 0
    assert feed.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == [feed.name]
