"""Arrow columns from values collected as text: numbers if no digit is lost."""

import math
from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import MAX_PREC, Context, Decimal
from typing import Any

from coinspider.records.column_types import (
    AMOUNT,
    ARROW_PRECISION,
    ARROW_SCALE,
    BOOLEAN,
    INTEGER,
    TEXT,
    TIME,
    ColumnType,
)

# For the exact text beside a double that loses digits.
EXACT_SUFFIX = "_exact"
_ALL_DIGITS = Context(prec=MAX_PREC)
# For rows that are not items, such as those of a query. A float is already a double.
_TYPES = {bool: BOOLEAN, int: INTEGER, Decimal: AMOUNT, datetime: TIME, str: TEXT}


class ArrowColumn:
    """Learns from the values of a column which Arrow type holds all of them.

    A column without any has the type ``fallback``. ``amounts`` is ``auto`` (a decimal of 38 digits,
    or else a double and its text), ``double``, or ``text``.
    """

    def __init__(
        self, name: str, declared: ColumnType | None, amounts: str, others: Collection[str] = (),
        fallback: ColumnType | None = None,
    ):  # fmt: skip
        self.name, self.declared, self.amounts = name, declared, amounts
        self.fallback = fallback or TEXT
        self.exact_name = name + EXACT_SUFFIX
        while self.exact_name in others:
            self.exact_name += "_"
        self.python_types: set[type] = set()
        self.whole_digits, self.scale = 0, 0
        self.is_finite = self.is_double = True

    def see(self, value: Any) -> None:
        if value is None:
            return
        self.python_types.add(type(value))
        if isinstance(value, Decimal) and self.amounts == "auto":
            self._see_digits(value)
        elif isinstance(value, Decimal) and self.is_double:
            self.is_double = Decimal(repr(float(value))) == value

    def _see_digits(self, value: Decimal) -> None:
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int):
            self.is_finite = False
            return
        if -exponent > self.scale:  # else zeros at its end don't matter
            exponent = int(value.normalize(_ALL_DIGITS).as_tuple().exponent)
            self.scale = max(self.scale, -exponent)
        self.whole_digits = max(self.whole_digits, value.adjusted() + 1)

    @property
    def type(self) -> ColumnType | None:
        """``None`` means double; anything without its own type is text."""
        if self.declared:
            return self.declared
        if not self.python_types:
            return self.fallback
        if self.python_types <= {float, int} and float in self.python_types:
            return None
        found = {_TYPES.get(python_type, TEXT) for python_type in self.python_types}
        return found.pop() if len(found) == 1 else TEXT

    def fields(self, arrow: Any) -> Iterator[tuple[str, Any]]:
        """Its columns in the file: one, or a double and a text with all digits."""
        if self.type is None:
            yield self.name, arrow.float64()
        elif self.type is not AMOUNT:
            yield self.name, self.type.arrow(arrow)
        elif self.amounts == "text":
            yield self.name, arrow.string()
        elif self.amounts == "auto" and (scale := self._decimal_scale()) is not None:
            yield self.name, arrow.decimal128(ARROW_PRECISION, scale)
        else:
            yield self.name, arrow.float64()
            if self.amounts == "auto" or not self.is_double:
                yield self.exact_name, arrow.string()

    def arrays(self, texts: Any, arrow: Any) -> Iterator[Any]:
        """The values of each of them, from an array of their texts."""
        for _, arrow_type in self.fields(arrow):
            if arrow_type == arrow.string():
                yield texts
            elif arrow_type == arrow.float64():
                yield arrow.array(map(_as_double, texts.to_pylist()), arrow_type)
            else:
                yield texts.cast(arrow_type)

    def _decimal_scale(self) -> int | None:
        """The usual decimal type, so that files of a table agree, or one with enough room."""
        if not self.is_finite:
            return None
        if self.whole_digits <= ARROW_PRECISION - ARROW_SCALE and self.scale <= ARROW_SCALE:
            return ARROW_SCALE
        has_room = self.whole_digits + self.scale <= ARROW_PRECISION
        return self.scale if has_room else None


def _as_double(text: str | None) -> float | None:
    """Null if no double is close: 1e400 is not infinite."""
    if text is None:
        return None
    value = float(text)
    return None if math.isinf(value) and "inf" not in text.lower() else value
