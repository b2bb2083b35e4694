"""``scrapy inspect`` finds out what is true, and prints what can be run."""

import shlex

import pytest

from tests.helpers.documented_apis import serve
from tests.helpers.processes import last_line


@pytest.fixture(scope="module")
def apis():
    with serve() as url:
        yield url


def test_printed_command_and_printed_spider_crawl_the_whole_list(scrapy, apis, query, tmp_path):
    done = scrapy("inspect", f"{apis}/jira")
    assert done.returncode == 0, done.stderr
    assert "records     issues: 10 on the first page" in done.stdout
    assert "key         id" in done.stdout
    [command] = [line for line in done.stdout.splitlines() if "scrapy crawl next" in line]
    assert "-a pagination=cursor -a path=nextPageToken" in command
    crawl = scrapy(*shlex.split(command)[1:])
    assert "25 new" in last_line(crawl)
    spider = done.stdout[done.stdout.index("from typing") :]
    (tmp_path / "printed.py").write_text(spider.replace('"jira"', '"printed"'))
    crawl = scrapy("crawl", "printed", "-s", "SPIDER_MODULES=printed", PYTHONPATH=str(tmp_path))
    assert "25 new" in last_line(crawl), crawl.stderr
    assert query("SELECT count(*) FROM printed") == [(25,)]


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["{apis}/github"], 1, "HTTP status 401, Authorization is missing or wrong"),
        # Somebody waits: it would ask again only after an hour.
        (["http://127.0.0.1:1/x", "-s", "RETRY_BACKOFF=3600"], 1, "the connection was refused"),
        (["{apis}/jira", "-O", "things.csv"], 2, "it writes no feed"),
        (["http://127.0.0.1:99999/"], 2, "the port in url is not a number"),
        (["http://["], 2, "url is not a URL"),
    ],
    ids=["no token", "dead", "a feed", "no port", "no URL"],
)
def test_no_page_is_one_line_and_a_status(scrapy, apis, arguments, status, line):
    done = scrapy("inspect", *(argument.format(apis=apis) for argument in arguments))
    assert (done.returncode, done.stdout) == (status, "")
    assert line in last_line(done)
