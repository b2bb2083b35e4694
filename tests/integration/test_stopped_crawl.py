"""``scrapy crawl coins``, stopped or killed: what has arrived is stored."""

import signal

import pytest

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
