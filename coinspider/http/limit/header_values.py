"""The numbers and times in headers, in the forms in which APIs write them."""

from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from scrapy.http import Response

# 2001 as a Unix time in seconds, and the same in milliseconds: no wait is that long.
_EPOCH, _EPOCH_MILLISECONDS = 1e9, 1e12

# Seconds between two clocks that are right: Date has no fractions, and a response takes its time.
_SAME_CLOCK = 3.0


def text_of(response: Response, header: str) -> str:
    """All headers of a name, separated by commas; empty if there is none."""
    return b", ".join(response.headers.getlist(header)).decode("latin-1").strip()


def clock_of(response: Response, now: datetime) -> datetime:
    """What the server's clock says, to which its times refer.

    This machine's is more exact, unless ``Date`` shows that they differ.
    """
    try:
        date = parsedate_to_datetime(text_of(response, "Date"))
    except ValueError:
        return now
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return now if abs((date - now).total_seconds()) < _SAME_CLOCK else date


def count_of(text: str | None) -> int | None:
    """A whole number; ``None`` if it is none, or absurdly long."""
    return int(text) if text and text.strip().isdecimal() and len(text) < 16 else None


def seconds_of(text: str | None) -> float | None:
    """A number that is not negative; ``None`` if it is none."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def seconds_until(text: str, now: datetime) -> float | None:
    """A number of seconds, or the time until a Unix time or a date; ``None`` if it is neither."""
    number = seconds_of(text)
    if number is None:
        moment = _moment(text)
    elif number < _EPOCH:
        return number
    else:
        moment = number / 1000 if number >= _EPOCH_MILLISECONDS else number
    return None if moment is None else max(0.0, moment - now.timestamp())


def _moment(text: str) -> float | None:
    """A date in the form of ISO 8601 or of HTTP, as a Unix time."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(ValueError):
            moment = parse(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None
