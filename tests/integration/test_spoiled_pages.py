"""Any mixture of empty, repeated, short and broken pages: complete and exact, or failed."""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from coinspider.sandbox.made_up_coins import coin_id, made_up_coin

COINS, PER_PAGE = 60, 10
KINDS = ["empty", "page before", "first page", "short", "cut", "error", "text"]


class Api:
    """Spoils a share of its answers, each at random."""

    def __init__(self, seed, share):
        self.random, self.share = Random(seed), share
        self.texts = {coin_id(n): made_up_coin(n) for n in range(COINS)}

    def answer(self, query):
        ids = list(self.texts)
        if "ids" in query:
            chosen = set(query["ids"].split(","))
            ids, page = [id_ for id_ in ids if id_ in chosen], 1
        else:
            page = int(query["page"])
        kind = self.random.choice(KINDS) if self.random.random() < self.share else ""
        page = {"page before": max(1, page - 1), "first page": 1}.get(kind, page)
        size = COINS if "ids" in query else PER_PAGE
        found = [] if kind == "empty" else ids[(page - 1) * size : page * size]
        if kind == "short":
            found = found[: len(found) // 2]
        body = f"[{','.join(self.texts[id_] for id_ in found)}]".encode()
        body = {"cut": body[:-1], "text": b"Throttled"}.get(kind, body)
        return 503 if kind == "error" else 200, body


@contextmanager
def serving(api):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts = parse_qs(urlsplit(self.path).query)
            status, body = api.answer({name: values[0] for name, values in parts.items()})
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("seed", range(4))
def test_crawl_is_complete_and_exact_or_failed_and_delists_none(scrapy, query, seed):
    arguments = ["crawl", "coins", "-a", f"per_page={PER_PAGE}", "-s", "RETRY_BACKOFF=0.01"]
    with serving(Api(seed, 0)) as url:
        assert scrapy(*arguments, COINGECKO_BASE_URL=url).returncode == 0
    gone = coin_id(COINS - 1)
    api = Api(seed, 0.3)
    del api.texts[gone]
    query("DELETE FROM full_coin WHERE coin_id < %s", coin_id(20))
    with serving(api) as url:
        done = scrapy(*arguments, COINGECKO_BASE_URL=url)
    marked = query("SELECT coin_id FROM full_coin WHERE delisted_at IS NOT NULL")
    assert marked in ([], [(gone,)])
    if done.returncode == 0:
        assert query("SELECT count(*) FROM full_coin") == [(COINS,)], done.stderr
    else:
        assert done.returncode == 1
        assert marked == []
