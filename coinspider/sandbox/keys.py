"""The keys that calls carry, and ``GET /key``."""

import json
from time import monotonic

from twisted.web.http import Request
from twisted.web.resource import Resource

from coinspider.sandbox.accounts import Account
from coinspider.sandbox.behaviour import ApiError, Behaviour
from coinspider.sandbox.other_apis import argument
from coinspider.sandbox.refusals import check_limit

KEY_HEADERS = {"demo": "x-cg-demo-api-key", "pro": "x-cg-pro-api-key"}


class Key(Resource):
    """``GET /key``: the plan of a Pro key, its limit and its credits.

    A call counts against the limit, and costs no credit.
    https://docs.coingecko.com/reference/api-usage
    """

    isLeaf = True

    def __init__(self, behaviour: Behaviour):
        super().__init__()
        self.behaviour = behaviour
        self.calls: list[tuple[float, int]] = []

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "application/json; charset=utf-8")
        account = self.behaviour.accounts.of(given_key(request))
        try:
            check_limit(request, account, self.behaviour)
            check_key(request, self.behaviour)
            if self.behaviour.plan == "demo":
                raise ApiError(401, 10005, "This request is limited to PRO API subscribers")
            body = self._body(account)
        except ApiError as error:
            body = error.body()
            request.setResponseCode(error.status)
        self.calls.append((monotonic(), request.code))
        return body.encode()

    def _body(self, account: Account) -> str:
        figures = {
            "rate_limit_request_per_minute": self.behaviour.calls_per_minute,
            "monthly_call_credit": account.credits,
            "current_total_monthly_calls": account.used,
            "current_remaining_monthly_calls": account.credits_left,
        }
        of_key = {f"api_key_{name}": value for name, value in figures.items()}
        return json.dumps({"plan": "Analyst"} | figures | of_key)


def check_key(request: Request, behaviour: Behaviour) -> None:
    if not behaviour.keys:
        return
    given = _given_keys(request)
    if not given:
        raise ApiError(401, 10002, "API Key Missing")
    if given.get(behaviour.plan) in behaviour.keys:
        return
    if behaviour.plan in given:
        raise ApiError(401, 10002, "Incorrect API Key")
    code = {"pro": 10010, "demo": 10011}[behaviour.plan]
    raise ApiError(400, code, f"this host takes a {behaviour.plan} API key")


def given_key(request: Request) -> str | None:
    """The key that a call carries, whatever its plan."""
    return next(iter(_given_keys(request).values()), None)


def _given_keys(request: Request) -> dict[str, str]:
    """By plan."""
    keys = {name: _key(request, header) for name, header in KEY_HEADERS.items()}
    return {name: key for name, key in keys.items() if key}


def _key(request: Request, header: str) -> str | None:
    """A key may also travel in the query: ``x_cg_pro_api_key``."""
    key: str | None = request.getHeader(header)
    return key or argument(request, header.replace("-", "_"))
