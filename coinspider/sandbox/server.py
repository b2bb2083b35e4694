"""CoinGecko's API as an HTTP server on this machine, as far as coinspider uses it.

Parameters and fields are those of its description, from which its client is made:
https://github.com/coingecko/coingecko-python
"""

import json
from collections.abc import Callable, Sequence
from itertools import chain
from time import monotonic, time
from typing import Any
from urllib.parse import unquote
from zlib import crc32

from twisted.internet import reactor as _reactor
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from coinspider.sandbox.behaviour import (
    AnsweredError,
    Behaviour,
    Fault,
    KeyEndpoint,
    check_key,
    check_limit,
    given_key,
    spend_credit,
)
from coinspider.sandbox.other_apis import Recorded, add_other_apis, argument
from coinspider.sandbox.plausible_coins import DAY, SPANS, Wanted
from coinspider.sandbox.served_coins import Listings, ServedCoins
from coinspider.sources.coingecko import CURRENCIES, ORDERS

# Its declared type is a list of interfaces, which type checkers don't understand.
reactor: Any = _reactor
CATEGORIES = ("layer-1", "layer-2", "meme-token", "stablecoins", "decentralized-finance-defi")
WRAPPED = "wrapped-tokens"  # the category of all rehypothecated tokens
EXCHANGES, COLLECTIONS = 320, 1_100
_OLDEST_DAYS = 365  # without a paid plan; 10012 beyond


class Endpoint(Resource):
    """One that answers with the JSON text of ``answer``, unless the call is refused."""

    isLeaf = True

    def __init__(self, behaviour: Behaviour, answer: Callable[[Request], str | bytes]):
        super().__init__()
        self.behaviour, self.answer = behaviour, answer
        self.calls: list[tuple[float, int]] = []

    def render_GET(self, request: Request) -> int:
        reactor.callLater(self.behaviour.latency, self._answer, request)
        return NOT_DONE_YET

    def _answer(self, request: Request) -> None:
        request.setHeader("Content-Type", "application/json; charset=utf-8")
        account = self.behaviour.accounts.of(given_key(request))
        try:
            spend_credit(account, self.behaviour)
            check_limit(request, account, self.behaviour)
            fault = self.behaviour.faults.next()
            check_key(request, self.behaviour)
            body = self.answer(request)
        except AnsweredError as error:
            fault, body = Fault.NONE, error.body()
            request.setResponseCode(error.status)
        if request.channel:  # otherwise the client did not wait for it
            fault.answer(request, body if isinstance(body, bytes) else body.encode())
        self.calls.append((monotonic(), request.code))


class CoinsMarkets(Endpoint):
    """``GET /coins/markets``.

    https://docs.coingecko.com/reference/coins-markets
    """

    def __init__(self, coins: ServedCoins, behaviour: Behaviour):
        super().__init__(behaviour, self.page)
        self.coins = Listings(coins, behaviour.churn, behaviour.churn_seed)

    def page(self, request: Request) -> str | bytes:
        vs_currency = _currency(request)
        page, per_page = _page(request)
        if self.behaviour.bodies:
            return self._body(request, page)
        self.coins.move(len(self.calls))
        all_ids = self._ids(request)
        if self.behaviour.total:
            request.setHeader("Total", str(len(all_ids)))
        ids = all_ids[(page - 1) * per_page : page * per_page]
        if page in self.behaviour.short_pages:
            ids = ids[: len(ids) // 2]
        wanted = _wanted(request)
        return f"[{','.join(self.coins.text(id_, vs_currency, wanted) for id_ in ids)}]"

    def _body(self, request: Request, page: int) -> bytes:
        if page > len(self.behaviour.bodies):
            return b"[]"
        if self.behaviour.encoding:
            request.setHeader("Content-Encoding", self.behaviour.encoding)
        return self.behaviour.bodies[page - 1]

    def _ids(self, request: Request) -> Sequence[str]:
        order = argument(request, "order") or "market_cap_desc"
        if order not in ORDERS:
            raise AnsweredError(400, 400, f"order is one of {', '.join(ORDERS)}")
        ids = self.coins.ordered(order)
        hidden = self.coins.rehypothecated
        # https://docs.coingecko.com/changelog (4 February 2026)
        if hidden and argument(request, "include_rehypothecated") != "true":
            ids = [id_ for id_ in ids if id_ not in hidden]
        if chosen := self._filter(request, hidden):
            return [id_ for id_ in ids if chosen(id_)]
        if self.behaviour.moving_rank and not order.startswith("id_"):
            # As if coins below the last page had climbed past it in the meantime.
            shift = len(self.calls) % 7
            return [*ids[shift:], *ids[:shift]]
        return ids

    def _filter(self, request: Request, tokens: frozenset[str]) -> Callable[[str], bool] | None:
        """The first of the filters that a call has."""
        if category := argument(request, "category"):
            return lambda id_: category == (WRAPPED if id_ in tokens else _category(id_))
        if ids := argument(request, "ids"):
            return set(ids.split(",")).__contains__
        for parameter, field in (("names", "name"), ("symbols", "symbol")):
            if values := argument(request, parameter):
                return self._has(field, set(values.lower().split(",")))
        return None

    def _has(self, field: str, values: set[str]) -> Callable[[str], bool]:
        return lambda id_: json.loads(self.coins.text(id_, "usd"))[field].lower() in values


class CoinFolder(Resource):
    """``/coins/ID``: below each is ``market_chart``."""

    def __init__(self, coins: ServedCoins, behaviour: Behaviour):
        super().__init__()
        self.coins, self.behaviour = coins, behaviour
        self.chart = Endpoint(behaviour, self._chart)

    def getChild(self, path: bytes, request: Request) -> Any:
        below: Any = Resource()
        below.putChild(b"market_chart", self.chart)
        return below

    def _chart(self, request: Request) -> str:
        """``prices``, ``market_caps`` and ``total_volumes``, each of ``[milliseconds, number]``.

        Five-minute points of one day, hourly ones up to 90, daily ones beyond:
        https://docs.coingecko.com/reference/coins-id-market-chart
        """
        vs_currency, coin_id = _currency(request), unquote(request.path.decode().split("/")[-2])
        if coin_id not in set(self.coins.ordered("id_asc")):
            raise AnsweredError(404, 404, "coin not found", shape="text")
        moments = _moments(self._days(request), argument(request, "interval"))
        values = [self.coins.value_at(coin_id, vs_currency, moment) for moment in moments]
        chart = {
            name: [
                [int(moment * 1000), value[place]]
                for moment, value in zip(moments, values, strict=True)
            ]
            for place, name in enumerate(("prices", "market_caps", "total_volumes"))
        }
        return json.dumps(chart)

    def _days(self, request: Request) -> float:
        text = argument(request, "days")
        days = 3_650.0 if text == "max" else float(_number(request, "days", 0))
        if days <= 0:
            raise AnsweredError(422, 422, "Missing parameter days")
        if days > _OLDEST_DAYS and self.behaviour.plan != "pro":
            # As in public reports: status 401, and one level more than other errors.
            message = f"Your request exceeds the allowed time range of {_OLDEST_DAYS} days."
            raise AnsweredError(401, 10012, message, shape="error")
        return days


def _moments(days: float, interval: str) -> list[float]:
    """Unix times, the oldest first; the last is now."""
    now = time()
    step = 300.0 if days <= 1 else 3600.0 if days <= 90 else DAY
    step = {"5m": 300.0, "hourly": 3600.0, "daily": DAY}.get(interval, step)
    first = (now - days * DAY) // step + 1
    count = int((now - first * step) // step) + 1
    return [*((first + place) * step for place in range(count)), now]


def _category_fields(number: int) -> dict[str, object]:
    """https://docs.coingecko.com/reference/coins-categories"""
    name = (*CATEGORIES, WRAPPED)[number]
    coins = [f"coin-{place}" for place in range(3)]
    return {
        "id": name,
        "name": name.replace("-", " ").title(),
        "market_cap": 1e12 / (number + 1),
        "market_cap_change_24h": 1.5 - number,
        "content": f"Coins of the kind {name}." if number % 2 else "",
        "top_3_coins_id": coins,
        "top_3_coins": [f"https://coin-images.coingecko.com/{coin}.png" for coin in coins],
        "volume_24h": 5e10 / (number + 1),
        "updated_at": "2026-11-30T01:02:03.456Z",
    }


def _exchange(number: int) -> dict[str, object]:
    """https://docs.coingecko.com/reference/exchanges"""
    return {
        "id": f"exchange-{number}",
        "name": f"Exchange {number}",
        "year_established": None if number % 9 == 8 else 2011 + number % 14,
        "country": None if number % 7 == 6 else "Cayman Islands",
        "description": "",
        "url": f"https://exchange-{number}.example/",
        "image": f"https://coin-images.coingecko.com/markets/images/{number}/small/e.png",
        "has_trading_incentive": number % 5 == 4,
        "trust_score": None if number % 11 == 10 else 10 - number % 10,
        "trust_score_rank": number + 1,
        "trade_volume_24h_btc": 250_000 / (number + 1),
    }


def _collection(number: int) -> dict[str, object]:
    """https://docs.coingecko.com/reference/nfts-list"""
    return {
        "id": f"collection-{number}",
        "contract_address": f"0x{number:040x}",
        "name": f"Collection {number}",
        "asset_platform_id": "ethereum" if number % 3 else "polygon-pos",
        "symbol": f"C{number}",
    }


def _pages_of(make: Callable[[int], dict[str, object]], count: int) -> Callable[[Request], str]:
    """Answers with one page of a list of ``count`` records."""

    def answer(request: Request) -> str:
        page, per_page = _page(request)
        numbers = range(count)[(page - 1) * per_page : page * per_page]
        return json.dumps([make(number) for number in numbers])

    return answer


def _currency(request: Request) -> str:
    vs_currency = argument(request, "vs_currency")
    if not vs_currency:
        raise AnsweredError(422, 422, "Missing parameter vs_currency")
    if vs_currency not in CURRENCIES:
        raise AnsweredError(422, 422, "invalid vs_currency", shape="text")
    return vs_currency


def _wanted(request: Request) -> Wanted:
    asked = argument(request, "price_change_percentage").split(",")
    return Wanted(
        spans=tuple(span for span in SPANS if span in asked),
        both_ranks=argument(request, "include_rehypothecated") == "true",
        sparkline=argument(request, "sparkline") == "true",
        precision=argument(request, "precision"),
    )


def _category(coin_id: str) -> str:
    return CATEGORIES[crc32(coin_id.encode()) % len(CATEGORIES)]


def _page(request: Request) -> tuple[int, int]:
    """The number of the page, and its size."""
    page, per_page = _number(request, "page", 1), _number(request, "per_page", 100)
    if page < 1 or not 1 <= per_page <= 250:
        raise AnsweredError(400, 400, "page is a number from 1, per_page one from 1 to 250")
    return page, per_page


def _number(request: Request, name: str, default: int) -> int:
    try:
        return int(argument(request, name) or default)
    except ValueError:
        raise AnsweredError(400, 400, f"{name} is not a number") from None


def listen(host: str, port: int, coins: ServedCoins, behaviour: Behaviour) -> Any:
    """Serve the API below ``/api/v3``; port 0 takes a free one.

    ``/calls`` lists when each call of ``/coins/markets`` came, in seconds, and its status, which is
    0 if the connection was reset; ``/key-calls`` and ``/other-calls`` those of the rest.
    ``/changes`` lists the call before which something changed, counted from 0, the coin, and
    whether it was listed (``true``) or taken out.
    """
    markets, key = CoinsMarkets(coins, behaviour), KeyEndpoint(behaviour)
    lists = {
        "coins/categories": lambda _: json.dumps(
            [_category_fields(number) for number in range(len(CATEGORIES) + 1)]
        ),
        "exchanges": _pages_of(_exchange, EXCHANGES),
        "nfts/list": _pages_of(_collection, COLLECTIONS),
        "simple/supported_vs_currencies": lambda _: json.dumps(CURRENCIES),
    }
    others = {path: Endpoint(behaviour, answer) for path, answer in lists.items()}
    folder = CoinFolder(coins, behaviour)
    endpoints = [*others.values(), folder.chart]
    root: Any = Resource()
    add_other_apis(root, coins, behaviour.token, behaviour.links_to)
    _put(root, "calls", Recorded(lambda: markets.calls))
    _put(root, "key-calls", Recorded(lambda: key.calls))
    _put(root, "other-calls", Recorded(lambda: sorted(chain(*(each.calls for each in endpoints)))))
    _put(root, "changes", Recorded(lambda: markets.coins.changes))
    _put(root, "api/v3/coins", folder)
    _put(root, "api/v3/coins/markets", markets)
    _put(root, "api/v3/key", key)
    for path, endpoint in others.items():
        _put(root, f"api/v3/{path}", endpoint)
    return reactor.listenTCP(port, Site(root), interface=host)


def _put(root: Any, path: str, resource: Resource) -> None:
    """Serve a resource below the root, and empty ones on the way to it."""
    *folders, name = path.encode().split(b"/")
    for folder in folders:
        if folder not in root.children:
            root.putChild(folder, Resource())
        root = root.children[folder]
    root.putChild(name, resource)
