"""The month whose credits are used up."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError
from coinspider.http.limit.state import Grant, LimitState


def exhaust(state: LimitState, now: float, words: str) -> None:
    """Note that the credits are used up, in the API's words. They come back with the month."""
    month = datetime.fromtimestamp(now, UTC)
    state.exhausted_until = following_month(month).timestamp()
    state.exhausted_words = words


def following_month(moment: datetime) -> datetime:
    """The first moment of the next month, in UTC."""
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def exhausted_words(state: LimitState) -> str:
    end_of_month = datetime.fromtimestamp(state.exhausted_until, UTC)
    return f"{state.exhausted_words} (no further call until {end_of_month:%Y-%m-%d %H:%M} UTC)"


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
