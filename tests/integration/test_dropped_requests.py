"""A request that Scrapy gives up, by whatever part of it, fails the crawl and says why."""

import pytest

from tests.helpers.http_server import Handler, Server, running
from tests.helpers.processes import last_line

DROPPERS = "tests.helpers.droppers"
ABROAD = """
from coinspider.spiders.coins import CoinsSpider

class AbroadSpider(CoinsSpider):
    name = "abroad"
    allowed_domains = ["api.coingecko.com"]
"""


def crawl(scrapy, url, *options, spider="coins", **environment):
    words = ("-a", "per_page=20", "-s", "LOOKAHEAD_PAGES=1", *options)
    return scrapy("crawl", spider, *words, COINGECKO_BASE_URL=url, **environment)


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("DEPTH_LIMIT=2", "it is deeper than DEPTH_LIMIT"),
        ("URLLENGTH_LIMIT=50", "it is longer than URLLENGTH_LIMIT"),
        (
            f'DOWNLOADER_MIDDLEWARES={{"{DROPPERS}.IgnoringDownloader": 100}}',
            "IgnoreRequest: not on Sundays",
        ),
        (
            f'SPIDER_MIDDLEWARES={{"coinspider.crawl.dispatch.PageMiddleware": 2000,'
            f' "{DROPPERS}.SilentMiddleware": 900}}',
            "a middleware or an extension gave it up",
        ),
        (
            f'EXTENSIONS={{"{DROPPERS}.SilentExtension": 500}}',
            "a middleware or an extension gave it up",
        ),
    ],
    ids=["depth", "length", "downloader middleware", "spider middleware", "extension"],
)
def test_the_last_line_names_the_page_and_why(scrapy, sandbox, query, option, why):
    done = crawl(scrapy, sandbox("--coins", 100).url, "-s", option)
    said = last_line(done)
    assert done.returncode == 1, done.stderr
    assert "/coins/markets?" in said
    assert why in said
    assert "finished" not in said
    assert query("SELECT outcome FROM crawl") == [("failed",)]


def test_a_host_that_is_not_allowed_is_named(scrapy, sandbox, tmp_path):
    (tmp_path / "abroad.py").write_text(ABROAD)
    own = ("-s", "SPIDER_MODULES=abroad")
    url = sandbox("--coins", 10).url
    done = crawl(scrapy, url, *own, spider="abroad", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "its host is not in the spider's allowed_domains" in last_line(done)


def test_robots_txt_is_named(scrapy):
    class Forbidding(Handler):
        def do_GET(self):
            self.send(200, b"User-agent: *\nDisallow: /" if "robots" in self.path else b"[]")

    with running(Server(Forbidding)) as server:
        done = crawl(scrapy, f"{server.url}/api/v3", "-s", "ROBOTSTXT_OBEY=1")
    assert done.returncode == 1, done.stderr
    assert "Forbidden by robots.txt" in last_line(done)
