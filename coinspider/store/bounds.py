"""Numbers as people type them, and the conditions that they stand for."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from coinspider.errors import ConfigurationError, ViewError
from coinspider.store.tables import Condition, StoredTable

DAYS_MAX = 3650
_POWERS = {"": 0, "k": 3, "m": 6, "b": 9, "bn": 9, "t": 12}
# 1,000,000  -5 %  1e9  2.5B  $1M; a comma is for thousands alone, as 1,5 is 1.5 to some.
_NUMBER = re.compile(
    r"([+-]?)[$€£¥]?((?:\d{1,3}(?:[,_ ]\d{3})+|\d+)?(?:\.\d*)?(?:e[+-]?\d{1,3})?) ?(k|m|bn?|t|)"
    r" ?(%?)",
    re.IGNORECASE | re.ASCII,
)


# price >= 1,000, name = a, b: a comma parts two conditions only before a name.
_BETWEEN = re.compile(r"\s*,\s*(?=\w+\s*[<>]?=)")
_CONDITION = re.compile(r"\s*(\w+)\s*(>=|<=|=)\s*(.*?)\s*", re.DOTALL)


class Bound(NamedTuple):
    """A field with a number, and the condition that it stands for."""

    label: str
    column: str
    operator: str
    example: str
    is_percent: bool = False

    def condition(self, text: str) -> Condition:
        """Raises :exc:`ValueError` with the reason."""
        return Condition(self.column, self.operator, amount(text, self))


class FieldsError(ViewError):
    """Fields with what can't be read, and what is wrong with each."""

    def __init__(self, problems: Mapping[str, str]):
        super().__init__(400, "; ".join(f"{name}={text}" for name, text in problems.items()))
        self.problems = problems


BOUNDS = {
    "rank_min": Bound("Rank from", "market_cap_rank", ">=", "1"),
    "rank_max": Bound("Rank up to", "market_cap_rank", "<=", "100"),
    "change_min": Bound("24h change from, %", "price_change_percentage_24h", ">=", "-5", True),
    "change_max": Bound("24h change up to, %", "price_change_percentage_24h", "<=", "5", True),
    "volume_min": Bound("24h volume from", "total_volume", ">=", "1M"),
    "volume_max": Bound("24h volume up to", "total_volume", "<=", "2.5B"),
    "cap_min": Bound("Market cap from", "market_cap", ">=", "1M"),
    "cap_max": Bound("Market cap up to", "market_cap", "<=", "2.5B"),
}


def amount(text: str, bound: Bound) -> Decimal:
    """The number in a field. Raises :exc:`ValueError`."""
    found = _NUMBER.fullmatch(text.strip().replace("\N{MINUS SIGN}", "-"))
    such = f"{text[:40]} is not a number, such as {bound.example}"
    if not found or not re.match(r"\.?\d", found[2]):
        raise ValueError(f"{such}, 1,000,000 or 1e6")
    if found[4] and not bound.is_percent:
        raise ValueError(f"{such}: it has no %")
    sign, digits, power, _ = found.groups()
    value = Decimal(sign + re.sub("[,_ ]", "", digits)).scaleb(_POWERS[power.lower()])
    if value and abs(value.adjusted()) > 100:
        raise ValueError(f"{such}: it has too many digits")
    return value


def filled_in(arguments: Mapping[str, str]) -> list[str]:
    """The fields of :func:`conditions`, in their order."""
    return [name for name in (*BOUNDS, "new") if arguments.get(name)]


def conditions(arguments: Mapping[str, str]) -> list[Condition]:
    """Those of the fields that are filled in. Raises :exc:`FieldsError`, with all that is wrong."""
    found: list[Condition] = []
    problems: dict[str, str] = {}
    for name in filled_in(arguments):
        read = BOUNDS[name].condition if name in BOUNDS else _new_since
        try:
            found.append(read(arguments[name]))
        except ValueError as error:
            problems[name] = str(error)
    if problems:
        raise FieldsError(problems)
    return found


def read_where(table: StoredTable, text: str) -> list[Condition]:
    """``price >= 1M, active = true, updated_at <= 2026-01-31``: conditions of any columns.

    Raises :exc:`ConfigurationError`.
    """
    return [_condition(table, part) for part in _BETWEEN.split(text)] if text.strip() else []


def _condition(table: StoredTable, text: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if not found or found[1] not in table.types:
        such = "is not NAME >= VALUE, NAME <= VALUE or NAME = VALUE of a column"
        raise ConfigurationError(f"{text[:80]} {such}: there are {', '.join(table.types)}")
    column, operator, value = found.groups()
    try:
        if table.is_number(column):
            return Bound(column, column, operator, "1M", is_percent=True).condition(value)
        return Condition(column, operator, _VALUES[table.types[column]](value))
    except (ValueError, KeyError):
        raise ConfigurationError(
            f"{column} {operator} {value[:40]}: that is not a value of the type"
            f" {table.types[column]}, or none that rows are chosen by"
        ) from None


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_VALUES: Mapping[str, Callable[[str], object]] = {
    "text": str,
    "character varying": str,
    "timestamp with time zone": _time,
    "timestamp without time zone": datetime.fromisoformat,
    "date": date.fromisoformat,
    "boolean": {"true": True, "yes": True, "false": False, "no": False}.__getitem__,
}


def _new_since(text: str) -> Condition:
    if not re.fullmatch(r"\d{1,4}", text.strip(), re.ASCII) or not 1 <= int(text) <= DAYS_MAX:
        raise ValueError(f"{text[:40]} is not a number of days from 1 to {DAYS_MAX}")
    since = datetime.now(UTC) - timedelta(days=int(text))
    return Condition("first_crawled_at", "NEW", since)
