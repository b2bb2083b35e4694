"""A CoinGecko whose calls of the month end at a certain one; each case is a path of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from tests.helpers.http_server import Handler, Server, running

COINS, PAGE = 25, 10
USED_UP = {"error": "You have exceeded your monthly call credits."}


class Case:
    """What is answered after how many calls; ``key`` is the status and body of ``/key``."""

    def __init__(self, allowed: int = 1000, key: tuple[int, str] = (200, "{}")):
        self.allowed, self.key = allowed, key
        self.calls: list[str] = []

    def answer(self, what: str, query: dict[str, list[str]]) -> tuple[int, str]:
        self.calls.append(
            "/key" if what == "key" else query.get("ids", query.get("page", ["1"]))[0]
        )
        if what == "key":
            return self.key
        if len(self.calls) > self.allowed:
            return 429, json.dumps(USED_UP)
        return 200, json.dumps(_coins(query))


def _coins(query: dict[str, list[str]]) -> list[dict[str, str]]:
    names = [f"coin-{number:02}" for number in range(COINS)]
    if "ids" in query:
        asked = set(query["ids"][0].split(","))
        chosen = [name for name in names if name in asked]
    else:
        page = int(query.get("page", ["1"])[0])
        chosen = names[(page - 1) * PAGE : page * PAGE]
    return [{"id": name, "symbol": "s", "name": name} for name in chosen]


@contextmanager
def serving(cases: dict[str, Case]) -> Iterator[str]:
    """The address; ``/NAME`` below it is that case's."""

    class Cases(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            name, what = url.path.split("/")[1], url.path.rpartition("/")[2]
            status, body = cases[name].answer(what, parse_qs(url.query))
            self.send(status, body.encode())

    with running(Server(Cases)) as server:
        yield server.url
