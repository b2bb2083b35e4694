"""The part of ``/metrics`` about each API and key: calls, limits, waits, credits."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from coinspider.daemon.database import connection
from coinspider.store.api_usage import ApiUsage, list_api_usage

LABELS = ("account",)
_HELP = {
    "calls_this_minute": "Calls of this key in the last minute",
    "calls_this_month": "Calls of this key in this month (UTC)",
    "told_limit_calls": "Calls that the settings or the plan allow in a period",
    "told_limit_period_seconds": "Length of that period",
    "known_limit_calls": "Calls that the API allows in a period, as far as it is known",
    "known_limit_period_seconds": "Length of that period",
    "waiting_crawls": "Crawls that wait for this limit",
    "refused_wait_seconds": "For how long no call is made, because the API refused one",
    "credits_left": "Calls that are left in this month",
    "credits_end_timestamp_seconds": "When none is left, at this month's pace (Unix time)",
    "exhausted": "Whether the API says that the month's calls are used up",
}
NAMES = tuple(f"coinspider_api_{name}" for name in _HELP)


class UsageCollector(Collector):
    """Reads the figures from the database on each request."""

    def collect(self) -> Iterable[Family]:
        with connection() as connected:
            figures = {one.account: _figures(one) for one in list_api_usage(connected)}
        for name, text in _HELP.items():
            family = GaugeMetricFamily(f"coinspider_api_{name}", text, labels=LABELS)
            for account, of_account in figures.items():
                if (value := of_account[name]) is not None:
                    family.add_metric([account], value)
            yield family


def _figures(usage: ApiUsage) -> dict[str, float | None]:
    """Unknown values are ``None``."""
    told, learned = usage.told_calls, usage.learned_calls
    return {
        "calls_this_minute": usage.calls_this_minute,
        "calls_this_month": usage.calls_this_month,
        "told_limit_calls": told or None,
        "told_limit_period_seconds": usage.told_period if told else None,
        "known_limit_calls": learned or None,
        "known_limit_period_seconds": usage.learned_period if learned else None,
        "waiting_crawls": usage.waiting_crawls,
        "refused_wait_seconds": usage.refused_wait,
        "credits_left": usage.credits_left,
        "credits_end_timestamp_seconds": _timestamp(usage.credits_last_until),
        "exhausted": bool(usage.exhausted),
    }


def _timestamp(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
