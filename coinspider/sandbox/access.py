"""Which calls may pass: those with the right key, within its limit and its credits."""

import json
from email.utils import formatdate
from math import ceil
from time import monotonic, time

from twisted.web.http import Request
from twisted.web.resource import Resource

from coinspider.sandbox.behaviour import AnsweredError, Behaviour, KeyAccount
from coinspider.sandbox.call_limits import limit_headers, retry_after
from coinspider.sandbox.other_apis import argument

RATE_LIMIT_MESSAGE = (
    "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to"
    " subscribe to our API plans for higher rate limits."
)
# CoinGecko's own message is "You've reached 10,000 calls limit."; other APIs say it like this.
EXHAUSTED_CODE = 10006
EXHAUSTED_MESSAGE = "You've used up the monthly credits of your API key. Please upgrade your plan."


def spend_credit(account: KeyAccount, behaviour: Behaviour) -> None:
    """Count a call of this month, or raise :exc:`AnsweredError` if none is left."""
    if account.is_exhausted:
        raise AnsweredError(behaviour.exhausted_status, EXHAUSTED_CODE, EXHAUSTED_MESSAGE)
    account.used += 1


def check_limit(request: Request, account: KeyAccount, behaviour: Behaviour) -> None:
    """Count a call against the limit, and raise :exc:`AnsweredError` if it is one too many."""
    wait = account.limit.refused_for(monotonic())
    standing = account.limit.standing(monotonic())
    for name, value in limit_headers(behaviour.limit_headers, standing, time()).items():
        request.setHeader(name, value)
    if not wait:
        return
    if behaviour.retry_after == "seconds":
        request.setHeader("Retry-After", str(retry_after(wait)))
    elif behaviour.retry_after == "date":
        request.setHeader("Retry-After", formatdate(ceil(time() + wait), usegmt=True))
    raise AnsweredError(200 if behaviour.disguise else 429, 429, RATE_LIMIT_MESSAGE)


# https://docs.coingecko.com/docs/errors-and-rate-limits (10010, 10011)
_ROOT_URL = "If you are using {} API key, please change your root URL from {} to {}"
_PUBLIC_HOST, _PRO_HOST = "api.coingecko.com", "pro-api.coingecko.com"
_WRONG_HOST = {
    "demo": (10010, _ROOT_URL.format("Pro", _PUBLIC_HOST, _PRO_HOST)),
    "pro": (10011, _ROOT_URL.format("Demo", _PRO_HOST, _PUBLIC_HOST)),
}
# https://www.coingecko.com/en/api/pricing
_ANALYST_CALLS, _ANALYST_CREDITS = 500, 500_000
KEY_HEADERS = {"demo": "x-cg-demo-api-key", "pro": "x-cg-pro-api-key"}


class KeyEndpoint(Resource):
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
                raise AnsweredError(401, 10005, "This request is limited to PRO API subscribers")
            body = self._body(account)
        except AnsweredError as error:
            body = error.body()
            request.setResponseCode(error.status)
        self.calls.append((monotonic(), request.code))
        return body.encode()

    def _body(self, account: KeyAccount) -> str:
        """Each figure is a number, whatever the sandbox counts."""
        monthly = _ANALYST_CREDITS if account.credits is None else account.credits
        figures = {
            "rate_limit_request_per_minute": self.behaviour.calls_per_minute or _ANALYST_CALLS,
            "monthly_call_credit": monthly,
            "current_total_monthly_calls": account.used,
            "current_remaining_monthly_calls": max(0, monthly - account.used),
        }
        of_key = {f"api_key_{name}": value for name, value in figures.items()}
        return json.dumps({"plan": "Analyst"} | figures | of_key)


def check_key(request: Request, behaviour: Behaviour) -> None:
    if not behaviour.keys:
        return
    given = _given_keys(request)
    if not given:
        raise AnsweredError(401, 10002, "API Key Missing")
    if given.get(behaviour.plan) in behaviour.keys:
        return
    if behaviour.plan in given:
        raise AnsweredError(401, 10002, "Incorrect API Key")
    raise AnsweredError(400, *_WRONG_HOST[behaviour.plan])


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
