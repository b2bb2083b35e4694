"""The columns of tables for people, and a value as HTML with all its digits on hover.

Values are made in Python, not by macros of the templates, because a page has thousands of them.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
from markupsafe import Markup, escape
from msgspec import Raw

from coinspider.daemon.views.charts import Sparkline
from coinspider.items import FullCoin
from coinspider.records.table_item import columns, stored_columns
from coinspider.store.tables import StoredTable
from coinspider.text import exact, per_cent, readable, short, short_price, visible

NUMBER, PRICE, AMOUNT, CHANGE, TIME, TEXT = "number", "price", "amount", "change", "time", "text"
SPARKLINE, OTHER, LONG = "sparkline", "other", "long"
PHONE, TABLET, DESK = "phone", "wide", "desk"  # classes of the style sheet


class ShownColumn(NamedTuple):
    """``kind`` is how a value is shown; ``width`` is the least page width that shows it by default.

    A ``made`` column is not in the table.
    """

    name: str
    label: str
    kind: str
    width: str = DESK
    made: bool = False
    long: str = ""

    @property
    def title(self) -> str:
        """The label outside a table."""
        return self.long or self.label

    @property
    def sort(self) -> str:
        """The column by which its heading sorts."""
        return CHANGE_7D if self.kind == SPARKLINE else self.name

    @property
    def is_number(self) -> bool:
        return self.kind in (NUMBER, PRICE, AMOUNT, CHANGE)

    @property
    def is_right(self) -> bool:
        """Whether its values are aligned to the right."""
        return self.is_number or self.kind in (SPARKLINE, TIME)


CHANGE_7D = "price_change_percentage_7d_in_currency"
LAST_7_DAYS = "last_7_days"
_CHANGES = "price_change_percentage_{}_in_currency"
_HEAD = [
    ShownColumn("name", "Coin", TEXT, width=PHONE),
    ShownColumn("current_price", "Price", PRICE, width=PHONE),
    ShownColumn(LAST_7_DAYS, "Last 7 days", SPARKLINE, made=True, width=TABLET),
]
_GROUPED = {
    "Market": [
        ShownColumn("market_cap_rank", "#", NUMBER, long="Rank", width=TABLET),
        ShownColumn(
            "market_cap_rank_with_rehypothecated",
            "# with rehypothecated",
            NUMBER,
            long="Rank with rehypothecated coins",
        ),
        ShownColumn("market_cap", "Market cap", AMOUNT, width=TABLET),
        ShownColumn("fully_diluted_valuation", "Fully diluted valuation", AMOUNT),
        ShownColumn("total_volume", "24h volume", AMOUNT),
        ShownColumn("market_cap_change_24h", "Market cap change 24h", AMOUNT),
        ShownColumn(
            "market_cap_change_percentage_24h",
            "Market cap 24h",
            CHANGE,
            long="Market cap change 24h, %",
        ),
    ],
    "Price": [
        ShownColumn(_CHANGES.format("1h"), "1h", CHANGE, long="Change 1h"),
        ShownColumn(CHANGE_7D, "7d", CHANGE, long="Change 7d", width=TABLET),
        *(
            ShownColumn(_CHANGES.format(span), span, CHANGE, long=f"Change {span}")
            for span in ("14d", "30d", "200d", "1y")
        ),
        ShownColumn("price_change_24h", "Price change 24h", PRICE),
        ShownColumn("price_change_percentage_24h", "24h", CHANGE, width=PHONE, long="Change 24h"),
        ShownColumn(
            _CHANGES.format("24h"), "24h in currency", CHANGE, long="Change 24h in this currency"
        ),
        ShownColumn("low_24h", "Low 24h", PRICE),
        ShownColumn("high_24h", "High 24h", PRICE),
        ShownColumn("ath", "All-time high", PRICE),
        ShownColumn("ath_change_percentage", "Since all-time high", CHANGE),
        ShownColumn("ath_date", "All-time high on", TIME),
        ShownColumn("atl", "All-time low", PRICE),
        ShownColumn("atl_change_percentage", "Since all-time low", CHANGE),
        ShownColumn("atl_date", "All-time low on", TIME),
    ],
    "Supply": [
        ShownColumn("circulating_supply", "Circulating supply", AMOUNT),
        ShownColumn("total_supply", "Total supply", AMOUNT),
        ShownColumn("max_supply", "Max supply", AMOUNT),
    ],
    "About": [
        ShownColumn("coin_id", "Id", TEXT),
        ShownColumn("symbol", "Symbol", TEXT),
        ShownColumn("vs_currency", "Currency", TEXT),
        ShownColumn("image", "Logo", TEXT),
        ShownColumn("last_updated", "Updated", TIME),
        ShownColumn("first_crawled_at", "First crawled", TIME),
        ShownColumn("delisted_at", "Delisted", TIME, width=TABLET),
        ShownColumn("extra", "Other fields", OTHER),
    ],
}
_KNOWN = {c.name: c for named in (_HEAD, *_GROUPED.values()) for c in named}
# A field of the item that has no name here.
_GROUPED["About"] += [
    ShownColumn(c.name, c.name.replace("_", " ").capitalize(), AMOUNT if c.type.is_number else TEXT)
    for c in columns(FullCoin)
    if c.name not in _KNOWN
]
GROUPS = {group: [column.name for column in named] for group, named in _GROUPED.items()}
SHOWN = [
    "market_cap_rank",
    "name",
    "current_price",
    _CHANGES.format("1h"),
    "price_change_percentage_24h",
    CHANGE_7D,
    "market_cap",
    "total_volume",
    LAST_7_DAYS,
    "last_updated",
]
_KNOWN |= {column.name: column for column in _GROUPED["About"]}
COLUMNS = {name: _KNOWN[name] for name in [*SHOWN, *(name for name in _KNOWN if name not in SHOWN)]}
STORED = stored_columns(FullCoin)

# What /coin says of a field without a value.
WITHOUT = {"max_supply": "no maximum known", "delisted_at": "no"}


def stored(names: Sequence[str]) -> list[str]:
    """Those of them that are columns of the table."""
    return [name for name in names if not COLUMNS[name].made]


# Of any table: the columns that are shown by default, and from which width on.
_FIRST = (PHONE, PHONE, PHONE, TABLET, TABLET, TABLET, DESK, DESK, DESK, DESK)
_LAST = ("extra", "delisted_at", "first_crawled_at")
_KINDS = {"timestamp with time zone": TIME, "numeric": AMOUNT}


def table_columns(table: StoredTable) -> dict[str, ShownColumn]:
    """The columns of any table by name, the key first; each is called as it is in the table."""
    names = sorted(table.types, key=lambda n: (n not in table.primary_key, n in _LAST))
    widths = [*_FIRST, *(DESK for _ in names)]
    return {
        name: ShownColumn(name, visible(name), _kind(table, name), width)
        for name, width in zip(names, widths, strict=False)
    }


def usual_columns(table: StoredTable) -> list[str]:
    return [name for name in table_columns(table) if name not in _LAST][: len(_FIRST)]


def _kind(table: StoredTable, name: str) -> str:
    return _KINDS.get(table.types[name]) or (NUMBER if table.is_number(name) else LONG)


_NOTHING = (b"null", b"{}", b"[]", b'""')


def other_fields(extra: object) -> dict[str, str]:
    """Those with a value, as text; the fields of an object are ``roi times``, ``roi currency``."""
    found: dict[str, str] = {}
    for name, value in _fields(extra).items():
        inner = _fields(value)
        found |= {f"{name} {key}": _field_text(each) for key, each in inner.items()} or (
            {} if bytes(value) in _NOTHING else {name: _field_text(value)}
        )
    return found


def _fields(value: object) -> dict[str, Raw]:
    """An object's; others have none."""
    text = bytes(value) if isinstance(value, Raw) else b""
    return msgspec.json.decode(text, type=dict[str, Raw]) if text.startswith(b"{") else {}


def _field_text(value: Raw) -> str:
    """A text without its quotes, anything else as it is."""
    text = bytes(value)
    return msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()


_FEW = 18  # digits
_LONG = 200  # characters
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


def cell(column: ShownColumn, value: object) -> Markup:
    """A value in the form of its column."""
    return Markup() if value is None else _CELLS.get(column.kind, text)(value)


def text(value: object) -> Markup:
    """Nothing in it changes the direction of what is around it."""
    return escape(visible(readable(value)))


def long_text(value: object) -> Markup:
    """Its beginning, where it is longer than a cell: a file has all of it."""
    whole = readable(value)
    return text(whole if len(whole) <= _LONG else f"{whole[:_LONG]}…")


def other(value: object) -> Markup:
    return text("; ".join(f"{name}: {each}" for name, each in other_fields(value).items()))


def number(value: object) -> Markup:
    return amount(value, readable(value))


def short_amount(value: object) -> Markup:
    return amount(value, short(value))


def price(value: object) -> Markup:
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


def amount(value: object, text: str) -> Markup:
    if isinstance(value, str):  # of a column whose type others have changed
        return escape(text)
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


_CELLS: dict[str, Callable[..., Markup]] = {
    NUMBER: number,
    PRICE: price,
    AMOUNT: short_amount,
    CHANGE: change,
    TIME: time,
    SPARKLINE: sparkline,
    OTHER: other,
    LONG: long_text,
}
