"""Other paginated APIs as HTTP servers on this machine: Django REST Framework's styles, CoinCap's.

https://www.django-rest-framework.org/api-guide/pagination/
"""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from twisted.web.http import Request
from twisted.web.resource import Resource

from coinspider.sandbox.plausible_coins import NOTHING
from coinspider.sandbox.served_coins import ServedCoins

PAGE_SIZE = 100


class CoinList(Resource):
    """A list of the sandbox's coins; each subclass pages it in its own way.

    ``token``, if there is one, must come as a ``Token``, ``Bearer`` or ``Basic`` header, or as
    ``token`` in the query. If ``links_to`` is given, the links lead there, like those of a broken
    or hostile API.
    """

    isLeaf = True

    def __init__(self, coins: ServedCoins, token: str | None, links_to: str | None):
        super().__init__()
        self.coins, self.token, self.links_to = coins, token, links_to
        self.ids = coins.ordered("id_asc")
        self.seen: list[dict[str, object]] = []

    def render_GET(self, request: Request) -> bytes:
        self.seen.append({"uri": request.uri.decode(), "token": self._given(request)})
        request.setHeader("Content-Type", "application/json")
        if self.token and self._given(request) != self.token:
            request.setResponseCode(401)
            return b'{"detail":"Authentication credentials were not provided."}'
        return self.page(request).encode()

    def page(self, request: Request) -> str:
        raise NotImplementedError

    def texts(self, start: int, count: int = PAGE_SIZE) -> str:
        texts = (self.coins.text(id_, "usd", NOTHING) for id_ in self.ids[start : start + count])
        return f"[{','.join(texts)}]"

    def link(self, request: Request, **query: object) -> str:
        host = request.getHost()
        base = self.links_to or f"http://{host.host}:{host.port}"
        return f"{base}{request.path.decode()}?{urlencode(query)}"

    def _given(self, request: Request) -> str | None:
        header = request.getHeader("Authorization") or ""
        scheme, _, value = header.partition(" ")
        if scheme == "Basic":
            return self.token if value == b64encode(f"me:{self.token}".encode()).decode() else value
        return value or argument(request, "token")


class DrfPages(CoinList):
    """``{"count", "next", "previous", "results"}``, with ``next`` null at the end."""

    def page(self, request: Request) -> str:
        number = int(argument(request, "page") or 1)
        following = number * PAGE_SIZE < len(self.ids)
        envelope = {
            "count": len(self.ids),
            "next": self.link(request, page=number + 1) if following else None,
            "previous": self.link(request, page=number - 1) if number > 1 else None,
        }
        results = self.texts((number - 1) * PAGE_SIZE)
        return f'{json.dumps(envelope)[:-1]}, "results": {results}}}'


class CursorPages(CoinList):
    """``{"results", "next_cursor"}``."""

    def page(self, request: Request) -> str:
        start = int(argument(request, "cursor") or 0)
        end = start + PAGE_SIZE
        cursor = json.dumps(str(end) if end < len(self.ids) else None)
        return f'{{"results": {self.texts(start)}, "next_cursor": {cursor}}}'


class LinkHeaderPages(CoinList):
    """A bare list, and the next page in the header ``Link``."""

    def page(self, request: Request) -> str:
        number = int(argument(request, "page") or 1)
        if number * PAGE_SIZE < len(self.ids):
            link = self.link(request, page=number + 1)
            request.setHeader("Link", f'<{link}>; rel="next", <{request.uri.decode()}>; rel="self"')
        return self.texts((number - 1) * PAGE_SIZE)


class OffsetPages(CoinList):
    """``{"results"}`` by ``limit`` and ``offset``."""

    def page(self, request: Request) -> str:
        start, count = (int(argument(request, name) or 0) for name in ("offset", "limit"))
        return f'{{"results": {self.texts(start, count or PAGE_SIZE)}}}'


class CoinCapAssets(CoinList):
    """CoinCap's ``/v2/assets``: numbers as strings, ``limit`` up to 2000.

    https://docs.coincap.io/ (version 2)
    """

    def page(self, request: Request) -> str:
        start = int(argument(request, "offset") or 0)
        count = min(int(argument(request, "limit") or PAGE_SIZE), 2000)
        assets = [
            self._asset(start + rank, id_)
            for rank, id_ in enumerate(self.ids[start : start + count], start=1)
        ]
        return json.dumps({"data": assets, "timestamp": 1735689600000})

    def _asset(self, rank: int, coin_id: str) -> dict[str, str | None]:
        coin = json.loads(self.coins.text(coin_id, "usd", NOTHING), parse_float=str, parse_int=str)
        return {
            "id": coin_id,
            "rank": str(rank),
            "symbol": coin["symbol"].upper(),
            "name": coin["name"],
            "supply": coin["circulating_supply"],
            "maxSupply": coin["max_supply"],
            "marketCapUsd": coin["market_cap"],
            "volumeUsd24Hr": coin["total_volume"],
            "priceUsd": coin["current_price"],
            "changePercent24Hr": coin["price_change_percentage_24h"],
            "vwap24Hr": coin["high_24h"],
            "explorer": f"https://explorer.example/{coin_id}",
        }


class Moved(CoinList):
    """A redirect to ``drf``."""

    def page(self, request: Request) -> str:
        target = self.link(request, page=1).replace("/moved", "/drf")
        request.setResponseCode(301)
        request.setHeader("Location", target)
        return ""


class Recorded(Resource):
    """What the sandbox has noted, as JSON, for tests and benchmarks."""

    isLeaf = True

    def __init__(self, read: Callable[[], object]):
        super().__init__()
        self.read = read

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "application/json")
        return json.dumps(self.read()).encode()


PATHS: dict[str, Callable[..., CoinList]] = {
    "drf": DrfPages,
    "cursor": CursorPages,
    "link": LinkHeaderPages,
    "offset": OffsetPages,
    "assets": CoinCapAssets,
    "moved": Moved,
}


def add_other_apis(root: Any, coins: ServedCoins, token: str | None, links_to: str | None) -> None:
    """Serve them below ``/others``: ``/others/drf``, ``/others/assets``, ...

    ``/others/seen`` lists each call's URI, and the credentials that came with it.
    """
    others: Any = Resource()
    lists = {path: make(coins, token, links_to) for path, make in PATHS.items()}
    for path, coin_list in lists.items():
        others.putChild(path.encode(), coin_list)
    seen = Recorded(lambda: [call for coins in lists.values() for call in coins.seen])
    others.putChild(b"seen", seen)
    root.putChild(b"others", others)


def argument(request: Request, name: str) -> str:
    values: list[bytes] = request.args.get(name.encode(), [])
    return values[0].decode(errors="replace") if values else ""
