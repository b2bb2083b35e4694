"""The calls of a month: how many there are by the settings, and what of a grant is left of them."""

from datetime import UTC, datetime
from typing import NamedTuple

from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError
from coinspider.http.limit.month import following_month
from coinspider.http.limit.state import Grant


class MonthlyCredits(NamedTuple):
    """Calls per month, as the settings or a plan say; ``None`` for no limit.

    Those of a setting are firm: they are never exceeded, whatever the API says is left.
    """

    calls: int | None = None
    is_firm: bool = True


def setting_text(settings: BaseSettings, name: str) -> str:
    """A setting as text, from the environment or a number; empty if it is not set."""
    value = settings.get(name)
    return "" if value is None else str(value).strip()


def credits_from_settings(
    settings: BaseSettings, name: str = "RATELIMIT_MONTHLY_CREDITS"
) -> MonthlyCredits | None:
    """A number of calls, 0 for no limit; ``None`` if it is not set.

    Raises :exc:`ConfigurationError`.
    """
    text = setting_text(settings, name)
    if not text:
        return None
    if not text.isdecimal():
        raise ConfigurationError(f"{name}={text} is not a number of calls a month (0 for no limit)")
    return MonthlyCredits(int(text) or None)


def within_credits(grant: Grant, made: int, calls_max: int | None) -> Grant:
    """The part of a grant that does not exceed ``calls_max``; with all of it, ``made`` are made."""
    if not grant.calls or calls_max is None or made <= calls_max:
        return grant
    if (left := grant.calls - (made - calls_max)) > 0:
        return grant._replace(calls=left)
    return Grant(0, exhausted=f"all calls of this month are used up until {next_credits()}")


def next_credits() -> str:
    """When new credits come, in words: ``1 December 2026``."""
    return f"{following_month(datetime.now(UTC)):%-d %B %Y}"
