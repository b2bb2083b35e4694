"""A value as HTML, with all its digits on hover and for assistive technology.

In Python, not as macros of the templates, because a page has thousands of them.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from markupsafe import Markup, escape
from msgspec import Raw

from coinspider.daemon.views.charts import Sparkline
from coinspider.daemon.views.columns import (
    AMOUNT,
    CHANGE,
    NUMBER,
    OTHER,
    PRICE,
    SPARKLINE,
    TIME,
    CoinColumn,
)
from coinspider.text import exact, per_cent, readable, short, short_price, visible

_NOTHING = (b"null", b"{}", b"[]", b'""')


def other_fields(extra: Any) -> dict[str, str]:
    """Those with a value, as text; the fields of an object are ``roi times``, ``roi currency``."""
    found: dict[str, str] = {}
    for name, value in _fields(extra).items():
        inner = _fields(value)
        found |= {f"{name} {key}": _field_text(each) for key, each in inner.items()} or (
            {} if bytes(value) in _NOTHING else {name: _field_text(value)}
        )
    return found


def _fields(value: Any) -> dict[str, Raw]:
    """An object's; others have none."""
    text = bytes(value) if isinstance(value, Raw) else b""
    return msgspec.json.decode(text, type=dict[str, Raw]) if text.startswith(b"{") else {}


def _field_text(value: Raw) -> str:
    """A text without its quotes, anything else as it is."""
    text = bytes(value)
    return msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()


_FEW = 18  # digits
_AGES = [(365.25 * 86_400, "y"), (86_400, "d"), (3600, "h"), (60, "min"), (0, "s")]
# Nothing in these needs to be escaped: digits, signs, letters of ours.
_AMOUNT = '<data value="{0}" title="{2}">{1}</data>'
_WHOLE = '<data value="{0}">{1}</data>'
_CHANGE = '<data class="{0}" value="{1}" title="{1} %">{2}</data>'
_TIME = '<time datetime="{}" title="{} UTC">{}</time>'
_SPARKLINE = (
    '<svg class="spark {0}" viewBox="0 0 100 30" preserveAspectRatio="none" role="img"'
    ' aria-label="{1} in the last 7 days"><polyline points="{2}"></polyline></svg>'
)


def cell(column: CoinColumn, value: Any) -> Markup:
    """A value in the form of its column."""
    return Markup() if value is None else _CELLS.get(column.kind, text)(value)


def text(value: Any) -> Markup:
    """Nothing in it changes the direction of what is around it."""
    return escape(visible(readable(value)))


def other(value: Any) -> Markup:
    return text("; ".join(f"{name}: {each}" for name, each in other_fields(value).items()))


def number(value: Any) -> Markup:
    return amount(value, readable(value))


def short_amount(value: Any) -> Markup:
    return amount(value, short(value))


def price(value: Any) -> Markup:
    return amount(value, short_price(value) if isinstance(value, Decimal) else readable(value))


def sparkline(drawn: Sparkline) -> Markup:
    kind, words = direction(drawn.change), per_cent(drawn.change) or "its price"
    return Markup(_SPARKLINE.format(kind, words, drawn.points))  # noqa: S704


def all_digits(value: Decimal | int) -> Markup:
    """A number with all its digits; if there are many, a readable form first."""
    digits = exact(value)
    if len(digits) > _FEW or not Decimal(value).is_finite():
        return Markup('{} <span class="exact">{}</span>').format(number(value), digits)
    return amount(value, f"{Decimal(value):,f}")


def amount(value: Any, text: str) -> Markup:
    digits = exact(value)
    grouped = f"{value:,f}" if isinstance(value, Decimal) and "E" not in digits else digits
    shape = _WHOLE if text in (digits, grouped) else _AMOUNT
    return Markup(shape.format(digits, text, grouped))  # noqa: S704


def change(value: Decimal | None) -> Markup:
    if value is None:
        return Markup()
    return Markup(_CHANGE.format(direction(value), exact(value), per_cent(value)))  # noqa: S704


def time(value: datetime | str | None) -> Markup:
    """How long ago; others may have stored infinity, or a time that Python does not have."""
    if value is None or isinstance(value, str):
        return escape(value or "")
    return Markup(_TIME.format(value.isoformat(), readable(value), age(value)))  # noqa: S704


def due(moment: str) -> Markup:
    """How soon, of a time in ISO 8601."""
    text = readable(datetime.fromisoformat(moment))
    return Markup(_TIME.format(moment, text, until(moment)))  # noqa: S704


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """``12 s ago``, ``3 min ago``, ``2 h ago``, ``5 d ago``, ``3 y ago``."""
    if moment is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 0:
        return "just now"
    return f"{_rough(seconds)} ago"


def until(moment: str, now: datetime | None = None) -> str:
    """``in 12 s``, ``in 2 h``; ``now`` for what is due."""
    seconds = (datetime.fromisoformat(moment) - (now or datetime.now(UTC))).total_seconds()
    return f"in {_rough(seconds)}" if seconds >= 1 else "now"


def _rough(seconds: float) -> str:
    size, unit = next(each for each in _AGES if seconds >= each[0])
    return f"{seconds // (size or 1):.0f} {unit}"


def direction(value: Decimal | None) -> str:
    """``up`` or ``down`` according to the sign, for its colour."""
    text = per_cent(value)
    return {"+": "up", "-": "down"}.get(text[:1], "")


_CELLS: dict[str, Callable[[Any], Markup]] = {
    NUMBER: number,
    PRICE: price,
    AMOUNT: short_amount,
    CHANGE: change,
    TIME: time,
    SPARKLINE: sparkline,
    OTHER: other,
}
