"""CoinGecko's plans (hosts, key headers, limits) and its errors.

https://docs.coingecko.com/reference/authentication
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError, PageError
from coinspider.http.api_errors import KnownErrors
from coinspider.http.limit.state import (
    ConfiguredLimit,
    MonthlyCredits,
    credits_from_settings,
    limit_of,
    setting_text,
)
from coinspider.http.links import check_url

# Cloudflare's 1015 is a rate limit, its 1020 an access rule that such a limit may set:
# https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/
_CDN_REFUSAL = rb"(?i)error code: 10(15|20)|>\s*10(15|20)\b|10(15|20) access denied"
_TOO_MANY_CALLS = 429
# Of "You've reached 10,000 calls limit.", with a Retry-After of up to an hour. It is not among the
# documented codes: https://docs.coingecko.com/docs/errors-and-rate-limits
_USED_UP = 10006
_HINTS = {
    10002: "COINGECKO_API_KEY is missing or wrong",
    10005: "the plan of this key does not have this endpoint",
    10010: "this is a Pro key on the public host: set COINGECKO_PLAN=pro",
    10011: "this is a Demo key on the Pro host: set COINGECKO_PLAN=demo",
    10012: "this plan does not reach back so far: ask for fewer days",
}

# The values of parameters: https://docs.coingecko.com/reference/coins-markets
CHANGE_SPANS = ("1h", "24h", "7d", "14d", "30d", "200d", "1y")
LOCALES = (
    *("ar", "bg", "cs", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "hr", "hu", "id"),
    *("it", "ja", "ko", "lt", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "th", "tr"),
    *("uk", "vi", "zh", "zh-tw"),
)
# As /simple/supported_vs_currencies lists them; the API is asked about others.
_CODES = """
btc eth ltc bch bnb eos xrp xlm link dot yfi sol usd aed ars aud bdt bhd bmd brl cad chf clp cny
czk dkk eur gbp gel hkd huf idr ils inr jpy krw kwd lkr mmk mxn myr ngn nok nzd php pkr pln rub
sar sek sgd thb try twd uah vef vnd zar xdr xag xau bits sats
"""
CURRENCIES = tuple(_CODES.split())
ORDERS = ("market_cap_desc", "market_cap_asc", "volume_desc", "volume_asc", "id_asc", "id_desc")
PRECISIONS = ("full", *map(str, range(19)))
ERRORS = KnownErrors((_TOO_MANY_CALLS,), _CDN_REFUSAL, (_USED_UP,), _HINTS)
# What the settings RATELIMIT_REFUSAL and RATELIMIT_EXHAUSTED name.
is_refusal, is_exhausted = ERRORS.is_refusal, ERRORS.is_exhausted

_KEY_FIELDS = (
    "rate_limit_request_per_minute",
    "monthly_call_credit",
    "current_remaining_monthly_calls",
)


class Plan(NamedTuple):
    base_url: str
    key_header: str | None
    calls_per_minute: int
    credits: int | None
    """Calls per month; ``None`` if they are not counted, or only ``/key`` knows."""
    tells_credits: bool = False
    """Whether it has ``/key``: https://docs.coingecko.com/reference/api-usage"""


_PUBLIC, _PRO = "https://api.coingecko.com/api/v3", "https://pro-api.coingecko.com/api/v3"
_PRO_KEY = "x-cg-pro-api-key"
# Plans change (https://www.coingecko.com/en/api/pricing): these limits are only where learning
# begins, and /key overrides the credits.
PLANS = {
    "public": Plan(_PUBLIC, None, 10, None),
    "demo": Plan(_PUBLIC, "x-cg-demo-api-key", 30, 10_000),
    "basic": Plan(_PRO, _PRO_KEY, 250, 100_000, tells_credits=True),
    "analyst": Plan(_PRO, _PRO_KEY, 500, 500_000, tells_credits=True),
    "lite": Plan(_PRO, _PRO_KEY, 500, 2_000_000, tells_credits=True),
    "pro": Plan(_PRO, _PRO_KEY, 500, None, tells_credits=True),
}


class Api(NamedTuple):
    """The base URL, and the headers to send."""

    base_url: str
    headers: dict[str, str]


def api_from_settings(settings: BaseSettings) -> Api:
    """The API that ``COINGECKO_PLAN``, ``COINGECKO_API_KEY`` and ``COINGECKO_BASE_URL`` name.

    Raises :exc:`ConfigurationError` if they contradict each other.
    """
    key = settings.get("COINGECKO_API_KEY")
    plan = plan_from_settings(settings)
    if plan.key_header is None and key:
        raise ConfigurationError(
            "COINGECKO_PLAN=public takes no key: unset COINGECKO_API_KEY or set the plan to"
            " demo or pro"
        )
    if plan.key_header is not None and not key:
        raise ConfigurationError(
            f"COINGECKO_PLAN={settings['COINGECKO_PLAN']} needs a key: set COINGECKO_API_KEY"
        )
    base_url = (settings.get("COINGECKO_BASE_URL") or plan.base_url).rstrip("/")
    if not base_url.startswith(("http://", "https://")):
        raise ConfigurationError("COINGECKO_BASE_URL must start with http:// or https://")
    check_url("COINGECKO_BASE_URL", base_url)
    return Api(base_url, {plan.key_header: key} if plan.key_header else {})


def rate_limit_from_settings(settings: BaseSettings) -> ConfiguredLimit:
    """The limit in ``COINGECKO_RATE_LIMIT``, which is never exceeded; 0 for none.

    With ``auto``, or if not set, it is learned, beginning with that of the plan.
    """
    text = setting_text(settings, "COINGECKO_RATE_LIMIT") or "auto"
    period = settings.getfloat("RATELIMIT_PERIOD", 60.0)
    of_plan = ConfiguredLimit(plan_from_settings(settings).calls_per_minute, period, firm=False)
    return limit_of("COINGECKO_RATE_LIMIT", text, of_plan)


def monthly_credits(settings: BaseSettings) -> MonthlyCredits:
    """``COINGECKO_MONTHLY_CREDITS``, or the plan's credits, which ``/key`` overrides.

    Raises :exc:`ConfigurationError`.
    """
    told = credits_from_settings(settings, "COINGECKO_MONTHLY_CREDITS")
    return told or MonthlyCredits(plan_from_settings(settings).credits, is_firm=False)


class KeyFacts(NamedTuple):
    """The response of ``/key``."""

    calls_per_minute: int | None
    credits: int | None
    left: int


def key_facts(body: bytes) -> KeyFacts | None:
    """The facts of the account or of the key, whichever has fewer calls left; else ``None``."""
    try:
        told = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        numbers = {name: msgspec.json.decode(raw) for name, raw in told.items()}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    found = []
    for prefix in ("", "api_key_"):
        calls, monthly, left = (_whole(numbers.get(prefix + name)) for name in _KEY_FIELDS)
        if left is not None:
            found.append(KeyFacts(calls, monthly, left))
    return min(found, key=lambda facts: facts.left) if found else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def plan_from_settings(settings: BaseSettings) -> Plan:
    """The plan in the settings; ``demo`` if there is only a key, else ``public``."""
    default = "demo" if settings.get("COINGECKO_API_KEY") else "public"
    name = settings.get("COINGECKO_PLAN") or default
    try:
        return PLANS[name]
    except KeyError:
        raise ConfigurationError(f"COINGECKO_PLAN must be one of {', '.join(PLANS)}") from None


SPARKLINE = "sparkline_in_7d"
_SPARKLINE_HOURS = 7 * 24 + 1
_SPARKLINE_AGE_MAX = timedelta(hours=3)


class _Sparkline(msgspec.Struct):
    id: str
    last_updated: datetime | None = None
    sparkline_in_7d: dict[str, list[msgspec.Raw]] | None = None


_read_sparkline = msgspec.json.Decoder(_Sparkline).decode
_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def sparkline_prices(text: msgspec.Raw) -> tuple[str, list[tuple[datetime, msgspec.Raw]]]:
    """The id of a record's coin, and its hourly prices, each with the beginning of its hour.

    They come without times; the last one is of the hour of ``last_updated``. None come if that is
    long ago, since the week is not, or if the record can't be read.
    """
    try:
        told = _read_sparkline(text)
    except msgspec.MsgspecError:
        return "", []
    prices = (told.sparkline_in_7d or {}).get("price", [])[-_SPARKLINE_HOURS:]
    if not told.last_updated or told.last_updated.tzinfo is None:
        return told.id, []
    if abs(datetime.now(UTC) - told.last_updated) > _SPARKLINE_AGE_MAX:
        return told.id, []
    last = told.last_updated.replace(minute=0, second=0, microsecond=0)
    first = last - timedelta(hours=len(prices) - 1)
    return told.id, [
        (first + timedelta(hours=hour), price)
        for hour, price in enumerate(prices)
        if _is_number(price)
    ]


HOURS_MAX = 90
"""For up to so many days ``market_chart`` has hourly prices, for one day five-minute ones."""
_LISTS = {
    "prices": "current_price",
    "market_caps": "market_cap",
    "total_volumes": "total_volume",
}
_HOURLY_STEP_MAX = timedelta(hours=2)


class Chart(NamedTuple):
    """The response of ``/coins/{id}/market_chart``: the columns at each moment.

    https://docs.coingecko.com/reference/coins-id-market-chart
    """

    points: dict[datetime, dict[str, msgspec.Raw]]

    @property
    def is_hourly(self) -> bool:
        """Whether there are prices of each hour, and not only of each day."""
        moments = list(self.points)
        steps = len(moments) - 1
        return steps < 1 or (max(moments) - min(moments)) / steps < _HOURLY_STEP_MAX


def read_chart(body: bytes, since: datetime, until: datetime) -> Chart:
    """What is between these times, digit for digit. Raises :exc:`PageError`."""
    try:
        told = msgspec.json.decode(body, type=dict[str, list[tuple[float, msgspec.Raw]]])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PageError(f"not a chart: {error}") from None
    first, last = since.timestamp() * 1000, until.timestamp() * 1000
    points: dict[datetime, dict[str, msgspec.Raw]] = {}
    for name, column in _LISTS.items():
        for at, value in told.get(name, ()):
            if first <= at <= last and _is_number(value):
                points.setdefault(datetime.fromtimestamp(at / 1000, UTC), {})[column] = value
    return Chart({at: values for at, values in points.items() if "current_price" in values})


def currencies_told(body: bytes) -> list[str]:
    """The codes in the response of ``/simple/supported_vs_currencies``; none if it is another."""
    try:
        return msgspec.json.decode(body, type=list[str])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


def _is_number(price: msgspec.Raw) -> bool:
    return bytes(price)[:1].isdigit()


def without_sparkline(text: msgspec.Raw) -> msgspec.Raw:
    """The same record, digit for digit; 3 kB shorter."""
    try:
        fields = _read_fields(text)
    except msgspec.MsgspecError:
        return text
    if fields.pop(SPARKLINE, None) is None:
        return text
    return msgspec.Raw(msgspec.json.encode(fields))
