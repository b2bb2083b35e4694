"""The month whose credits are used up."""

from datetime import UTC, datetime, timedelta

from coinspider.http.limit.state import LimitState


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
