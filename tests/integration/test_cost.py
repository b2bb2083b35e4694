"""Small inputs that could cost much."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.helpers.processes import last_line, wait_until

GOOD = {"id": "good", "symbol": "g", "name": "Good"}


@pytest.fixture
def crawl_of(sandbox, scrapy, tmp_path):
    """Crawl one page with this body."""

    def crawl(body, *options):
        (tmp_path / "page").write_bytes(body)
        api = sandbox("--body", tmp_path / "page")
        return scrapy("crawl", "coins", *options, COINGECKO_BASE_URL=api.url)

    return crawl


def test_page_of_a_million_elements_fails_at_once(crawl_of):
    body = b"[" + b"1," * 3_000_000 + b"1]"
    assert len(gzip.compress(body, 9)) < 10_000, "it is small where it comes from"
    done = crawl_of(body)
    assert done.returncode == 1
    assert "more than 1000000 records on one page" in last_line(done)
    assert len(done.stderr) < 50_000


def test_many_bad_records_stop_the_crawl_with_a_line_for_each_reason(crawl_of, query):
    body = b"[" + b"1," * 20_000 + json.dumps(GOOD).encode() + b"]"
    done = crawl_of(body)
    assert done.returncode == 1
    assert "more than REJECTED_SHARE_MAX=0.1 of all" in last_line(done)
    assert done.stderr.count("Rejected:") == 1
    assert "with the reason" in done.stderr
    assert len(done.stderr) < 50_000
    [(rejected,)] = query("SELECT rejected_count FROM crawl")
    assert 1000 < rejected < 3000, "a stop is heard inside a page"


ACTING = "\x1b]0;title\x07\x1b[2J\u202eoneline\ncoinspider: the crawl is complete"


@pytest.mark.parametrize("status", ["400", "200"])
def test_text_of_an_api_neither_controls_a_terminal_nor_adds_lines(crawl_of, status):
    name = json.dumps({**GOOD, "symbol": 5, "name": ACTING}, ensure_ascii=False)
    body = f"[{name}]" if status == "200" else ACTING
    done = crawl_of(body.encode())
    assert done.returncode == 1
    for text in ("\x1b", "\x07", "\u202e"):
        assert text not in done.stderr + done.stdout
    assert not [line for line in done.stderr.splitlines() if line.startswith(ACTING[-20:])]
    assert last_line(done).startswith("coinspider: the crawl failed")


def test_expensive_pages_do_not_delay_the_figures(site):
    """Figures come in between, and don't wait for earlier requests."""

    def page(number):
        search = "a" * (number + 1)
        return site.daemon.open(f"coins?limit=500&columns=all&search={search}&sort=-name")

    with ThreadPoolExecutor(20) as visitors:
        pages = [visitors.submit(page, number) for number in range(20)]
        wait_until(lambda: any(page.done() for page in pages))
        figures = site.daemon.open("metrics")
        assert not all(page.done() for page in pages)
        assert all(page.result() for page in pages)
    assert "coinspider_crawl_success" in figures
