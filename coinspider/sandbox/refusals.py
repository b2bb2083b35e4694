"""Which calls of a key are refused: those over its limit, and those over its credits."""

from email.utils import formatdate
from math import ceil
from time import monotonic, time

from twisted.web.http import Request

from coinspider.sandbox.accounts import Account
from coinspider.sandbox.behaviour import ApiError, Behaviour
from coinspider.sandbox.limit_headers import limit_headers
from coinspider.sandbox.limits import retry_after

RATE_LIMIT_MESSAGE = (
    "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to"
    " subscribe to our API plans for higher rate limits."
)
# CoinGecko's own message is "You've reached 10,000 calls limit."; other APIs say it like this.
EXHAUSTED_CODE = 10006
EXHAUSTED_MESSAGE = "You've used up the monthly credits of your API key. Please upgrade your plan."


def spend_credit(account: Account, behaviour: Behaviour) -> None:
    """Count a call of this month, or raise :exc:`ApiError` if none is left."""
    if account.is_exhausted:
        raise ApiError(behaviour.exhausted_status, EXHAUSTED_CODE, EXHAUSTED_MESSAGE)
    account.used += 1


def check_limit(request: Request, account: Account, behaviour: Behaviour) -> None:
    """Count a call against the limit, and raise :exc:`ApiError` if it is one too many."""
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
    raise ApiError(200 if behaviour.disguise else 429, 429, RATE_LIMIT_MESSAGE)
