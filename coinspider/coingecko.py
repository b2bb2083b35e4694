"""What is known of CoinGecko's plans: hosts, key headers, limits.

https://docs.coingecko.com/reference/authentication
"""

from typing import NamedTuple

from scrapy.settings import BaseSettings

from coinspider.failure import ConfigurationError


class Plan(NamedTuple):
    base_url: str
    key_header: str | None
    calls_per_minute: int


PLANS = {
    "public": Plan("https://api.coingecko.com/api/v3", None, 10),
    "demo": Plan("https://api.coingecko.com/api/v3", "x-cg-demo-api-key", 30),
    "pro": Plan("https://pro-api.coingecko.com/api/v3", "x-cg-pro-api-key", 500),
}


class Api(NamedTuple):
    """Where to ask, and with which headers."""

    base_url: str
    headers: dict[str, str]


def api_from_settings(settings: BaseSettings) -> Api:
    """The API that ``COINGECKO_PLAN``, ``COINGECKO_API_KEY`` and ``COINGECKO_BASE_URL`` name.

    Raises :exc:`ConfigurationError` where they don't fit each other.
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
    return Api(base_url, {plan.key_header: key} if plan.key_header else {})


def plan_from_settings(settings: BaseSettings) -> Plan:
    """The plan that is set; ``demo`` where only a key is, ``public`` where nothing is."""
    default = "demo" if settings.get("COINGECKO_API_KEY") else "public"
    name = settings.get("COINGECKO_PLAN") or default
    try:
        return PLANS[name]
    except KeyError:
        raise ConfigurationError(
            f"COINGECKO_PLAN={name} is not one of {', '.join(PLANS)}"
        ) from None
