"""CoinGecko's ``/coins/markets`` as an HTTP server on this machine."""

import json
from collections.abc import Sequence
from time import monotonic
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from coinspider.sandbox.behaviour import ApiError, Behaviour
from coinspider.sandbox.coins import Coins
from coinspider.sandbox.faults import Fault
from coinspider.sandbox.keys import Key, check_key, given_key
from coinspider.sandbox.listings import Listings
from coinspider.sandbox.other_apis import add_other_apis, argument
from coinspider.sandbox.refusals import check_limit, spend_credit
from coinspider.sources.coingecko import ORDERS

# Its declared type is a list of interfaces, which type checkers don't understand.
reactor: Any = _reactor


class CoinsMarkets(Resource):
    """``GET /coins/markets``."""

    isLeaf = True

    def __init__(self, coins: Coins, behaviour: Behaviour):
        super().__init__()
        self.coins = Listings(coins, behaviour.churn, behaviour.churn_seed)
        self.behaviour = behaviour
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
            body = self._page(request)
        except ApiError as error:
            fault, body = Fault.NONE, error.body().encode()
            request.setResponseCode(error.status)
        if request.channel:  # otherwise the client did not wait for it
            fault.answer(request, body)
        self.calls.append((monotonic(), request.code))

    def _page(self, request: Request) -> bytes:
        check_key(request, self.behaviour)
        vs_currency = argument(request, "vs_currency")
        if not vs_currency:
            raise ApiError(422, 422, "Missing parameter vs_currency")
        page, per_page = _number(request, "page", 1), _number(request, "per_page", 100)
        if page < 1 or not 1 <= per_page <= 250:
            raise ApiError(400, 400, "page is a number from 1, per_page one from 1 to 250")
        if self.behaviour.bodies:
            return self._body(request, page)
        self.coins.move(len(self.calls))
        all_ids = self._ids(request)
        if self.behaviour.total:
            request.setHeader("Total", str(len(all_ids)))
        ids = all_ids[(page - 1) * per_page : page * per_page]
        if page in self.behaviour.short_pages:
            ids = ids[: len(ids) // 2]
        texts = [self.coins.text(id_, vs_currency) for id_ in ids]
        return f"[{','.join(texts)}]".encode()

    def _body(self, request: Request, page: int) -> bytes:
        if page > len(self.behaviour.bodies):
            return b"[]"
        if self.behaviour.encoding:
            request.setHeader("Content-Encoding", self.behaviour.encoding)
        return self.behaviour.bodies[page - 1]

    def _ids(self, request: Request) -> Sequence[str]:
        order = argument(request, "order") or "market_cap_desc"
        if order not in ORDERS:
            raise ApiError(400, 400, f"order is one of {', '.join(ORDERS)}")
        ids = self.coins.ordered(order)
        if wanted := argument(request, "ids"):
            chosen = set(wanted.split(","))
            return [id_ for id_ in ids if id_ in chosen]
        if self.behaviour.moving_rank and not order.startswith("id_"):
            # As if coins below the last page had climbed past it in the meantime.
            shift = len(self.calls) % 7
            return [*ids[shift:], *ids[:shift]]
        return ids


class Changes(Resource):
    """``GET /changes``: the call before which something changed, counted from 0, the coin, and
    whether it was listed (``true``) or taken out.
    """

    isLeaf = True

    def __init__(self, markets: CoinsMarkets):
        super().__init__()
        self.markets = markets

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "application/json")
        return json.dumps(self.markets.coins.changes).encode()


class Calls(Resource):
    """``GET /calls``: when each call came, in seconds, and its status; for tests and benchmarks.

    The status is 0 if the connection was reset. ``/key-calls`` has the calls of ``/key``.
    """

    isLeaf = True

    def __init__(self, source: CoinsMarkets | Key):
        super().__init__()
        self.source = source

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "application/json")
        return json.dumps(self.source.calls).encode()


def _number(request: Request, name: str, default: int) -> int:
    try:
        return int(argument(request, name) or default)
    except ValueError:
        raise ApiError(400, 400, f"{name} is not a number") from None


def listen(host: str, port: int, coins: Coins, behaviour: Behaviour) -> Any:
    """Serve the API below ``/api/v3``; port 0 takes a free one."""
    markets, key = CoinsMarkets(coins, behaviour), Key(behaviour)
    root: Any = Resource()
    root.putChild(b"calls", Calls(markets))
    root.putChild(b"changes", Changes(markets))
    root.putChild(b"key-calls", Calls(key))
    add_other_apis(root, coins, behaviour.token, behaviour.links_to)
    api: Any = Resource()
    version: Any = Resource()
    below: Any = Resource()
    root.putChild(b"api", api)
    api.putChild(b"v3", version)
    version.putChild(b"key", key)
    version.putChild(b"coins", below)
    below.putChild(b"markets", markets)
    return reactor.listenTCP(port, Site(root), interface=host)
