"""A request that Scrapy gives up, by whatever part of it, fails the crawl and says why."""

import pytest

from coinspider.sandbox.odd_coins import made_up_coin
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


@pytest.mark.parametrize("cut", ["empty", "short", "broken"])
def test_a_cut_answer_of_the_lookup_is_repeated(scrapy, query, cut):
    """Fifty coins with long ids are listed no more on the pages, but found when asked for."""
    ids = [f"{'x' * 60}-{number:02d}" for number in range(50)]
    state = {"pages": ["a", *ids, "z"], "asked": 0, "price": 1}

    def texts(wanted):
        return [
            made_up_coin(1).replace('"coin-0000001"', f'"{id_}"').replace(
                '"current_price":', f'"current_price":{state["price"]},"other":', 1
            )
            for id_ in wanted
        ]  # fmt: skip

    class Api(Handler):
        def do_GET(self):
            wanted = state["pages"] if "&page=1" in self.path else []
            if "ids=" in self.path:
                state["asked"] += 1
                wanted = self.path.split("ids=")[1].split("&")[0].split(",")
            cuts = {"empty": b"[]", "broken": b'[{"id":', "short": texts(wanted[:20])}
            body = f"[{','.join(texts(wanted))}]".encode()
            if state["asked"] == 1 and "ids=" in self.path:
                short = cuts[cut]
                body = short if isinstance(short, bytes) else f"[{','.join(short)}]".encode()
            self.send(200, body)

    with running(Server(Api)) as server:
        first = scrapy("crawl", "coins", COINGECKO_BASE_URL=f"{server.url}/api/v3")
        assert first.returncode == 0, first.stderr
        state.update(pages=["a", "z"], price=2)
        share = ("-s", "DELISTED_SHARE_MAX=1", "-s", "RETRY_BACKOFF=0")
        again = scrapy("crawl", "coins", *share, COINGECKO_BASE_URL=f"{server.url}/api/v3")
    assert again.returncode == 0, again.stderr
    assert state["asked"] >= 2
    assert query("SELECT count(*) FROM full_coin WHERE delisted_at IS NOT NULL") == [(0,)]
    assert query("SELECT DISTINCT current_price FROM full_coin") == [(2,)], again.stderr
