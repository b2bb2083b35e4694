"""An answer about missing coins that is cut is asked for again, and none keeps its old price."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from coinspider.sandbox.served_coins import made_up_coin
from tests.helpers.http_server import Handler, Server, running
from tests.helpers.processes import last_line

LISTED, MISSED = 60, 20
# With long ids a call about them is over 2,083 characters, and Scrapy would drop its repetition.
IDS = [f"{'x' * 110}-{number:03d}" for number in range(LISTED + MISSED)]


class Api:
    """Lists all coins, later without the last ones, which it still has when asked by ``ids=``."""

    def __init__(self, cut):
        self.cut, self.listed, self.price, self.asked = cut, IDS, 1, 0

    def answer(self, url):
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        if "ids" in query:
            self.asked += 1
            body = self.body(query["ids"].split(","))
            if self.asked > 1:
                return body
            return b"[]" if self.cut == "empty" else body[:-1]
        page, size = int(query.get("page", 1)), int(query.get("per_page", 100))
        return self.body(self.listed[(page - 1) * size : page * size])

    def body(self, ids):
        coin = json.loads(made_up_coin(1))
        return json.dumps([coin | {"id": id_, "current_price": self.price} for id_ in ids]).encode()


@pytest.mark.parametrize("cut", ["empty", "broken"])
def test_cut_answer_about_missing_coins_is_asked_for_again(scrapy, query, cut):
    api = Api(cut)

    class Pages(Handler):
        def do_GET(self):
            self.send(200, api.answer(self.path))

    with running(Server(Pages)) as server:
        words = ("crawl", "coins", "-a", "per_page=50", "-s", "RETRY_BACKOFF=0.01")
        url = {"COINGECKO_BASE_URL": f"{server.url}/api/v3"}
        first = scrapy(*words, **url)
        assert first.returncode == 0, first.stderr
        api.listed, api.price, api.asked = IDS[:LISTED], 2, 0
        again = scrapy(*words, "-s", "DELISTED_SHARE_MAX=0.5", **url)
    assert again.returncode == 0, again.stderr
    assert api.asked >= 2, last_line(again)
    assert query("SELECT DISTINCT current_price, delisted_at FROM full_coin") == [(2, None)]
