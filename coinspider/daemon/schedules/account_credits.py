"""The account of a schedule, and what is left of its month's credits."""

from typing import NamedTuple

from scrapy.settings import BaseSettings, Settings
from scrapy.utils.project import get_project_settings

from coinspider.daemon.database import query
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.errors import ConfigurationError
from coinspider.http.api_key import account_name
from coinspider.sources.coingecko import api_from_settings, monthly_credits
from coinspider.store.account import USAGE, Usage

_EXHAUSTED = """
SELECT state->>'exhausted_words' AS words FROM api_account
WHERE name = %s AND (state->>'exhausted_until')::float8 > extract(epoch FROM now())
"""


class Credits(NamedTuple):
    """An account's credits for the month, and those left; ``None`` if they are not counted."""

    account: str
    monthly: int | None
    left: int | None
    used: int
    exhausted: str = ""
    """The API's message, if it says that none are left."""


def settings_of(schedule: Schedule) -> Settings:
    """The project's settings with the schedule's own."""
    settings = get_project_settings()
    settings.setdict(dict(schedule.settings), priority="cmdline")
    return settings


def read_credits(settings: BaseSettings) -> Credits:
    """For threads. Raises :exc:`ConfigurationError` for settings that contradict each other."""
    base_url, key = api_from_settings(settings).base_url, settings.get("COINGECKO_API_KEY")
    account = account_name(base_url, key)
    found = query(USAGE, [account])
    usage = (Usage(**found[0]) if found else Usage()).with_settings(monthly_credits(settings))
    if exhausted := query(_EXHAUSTED, [account]):
        return Credits(account, usage.credits, 0, usage.calls, exhausted[0]["words"])
    return Credits(account, usage.credits, usage.left(), usage.calls)


def account_of(schedule: Schedule) -> str | None:
    """The account whose credits it spends; ``None`` if its settings don't fit each other."""
    settings = settings_of(schedule)
    try:
        base_url = api_from_settings(settings).base_url
    except ConfigurationError:
        return None
    return account_name(base_url, settings.get("COINGECKO_API_KEY"))
