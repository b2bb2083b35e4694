"""What a spreadsheet cell can hold: in Excel and Google Sheets a double, with 15 digits."""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Raw

from coinspider.text import in_utc

# Excel keeps 15 digits of a number, and has no days before 1900:
# https://support.microsoft.com/en-us/office/1672b34d-7043-467e-8e27-269d656771c3
DIGITS_MAX = 15
SIZE_MAX = 300  # powers of ten
FIRST_YEAR, LAST_TIME = 1900, datetime(9999, 12, 31, 23, 59, 59, 999_000)  # noqa: DTZ001 (UTC)
CELL_MAX = 32_767  # characters
DECIMALS_MAX = 20
PERCENTAGE = '[Color10]+0.00"%";[Red]-0.00"%";0.00"%"'
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# Excel reads _x0041_ as an A: https://learn.microsoft.com/openspecs/office_standards/ms-oi29500
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")


def as_cell(value: Any) -> Any:
    """A number or a time if a cell can hold all its digits, else text."""
    convert = _CELLS.get(type(value))
    return convert(value) if convert else value


def _amount_cell(value: Decimal) -> Decimal | str:
    return value if _fits(value) else format(value, "f")


def _integer_cell(value: int) -> int | str:
    return value if abs(value) < 10**DIGITS_MAX else str(value)


def _time_cell(value: datetime) -> datetime | str:
    moment = in_utc(value)
    is_date = moment and moment.year > FIRST_YEAR and moment <= LAST_TIME
    return moment if moment and is_date else value.isoformat()


_CELLS: dict[type, Callable[[Any], Any]] = {
    Decimal: _amount_cell,
    int: _integer_cell,
    datetime: _time_cell,
    Raw: lambda value: bytes(value).decode(),
}


def printable(text: str) -> str:
    """A text that XML and Excel accept: without control characters, and cut to fit a cell."""
    visible = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return shortened(_ESCAPE.sub("_x005F_", visible), CELL_MAX)


def shortened(text: str, most: int) -> str:
    """The text, cut to the limit; its end then says how long it was."""
    if len(text) <= most:
        return text
    mark = f"... (cut: {len(text)} characters)"
    return text[: most - len(mark)] + mark


def number_format(value: Decimal, column: str = "") -> str:
    """Excel's format for a number of this size: six digits, and the whole integer part."""
    if "percentage" in column:
        return PERCENTAGE
    size = value.adjusted()
    if not value or value == value.to_integral_value():
        return "#,##0" if size < DIGITS_MAX else "0.00000E+00"
    if size >= 3:
        return "#,##0.00"
    decimals = 5 - size
    return f"#,##0.{'0' * decimals}" if decimals <= DECIMALS_MAX else "0.00000E+00"


def _fits(value: Decimal) -> bool:
    if not value.is_finite():
        return False
    digits = len(value.as_tuple().digits)
    if digits > DIGITS_MAX:
        digits = len(value.normalize().as_tuple().digits)
    return digits <= DIGITS_MAX and -SIZE_MAX < value.adjusted() < SIZE_MAX
