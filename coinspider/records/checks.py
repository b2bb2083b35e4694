"""What no item may hold, because PostgreSQL can't."""

import re
from decimal import Decimal

from coinspider.errors import CoercionError

DIGITS_MAX = 1000
_NUL = rb"(?<!\\)(?:\\\\)*\\u0000"
_adjusted = Decimal.adjusted


def check_text(text: bytes) -> None:
    """Raise :exc:`CoercionError` for bytes that are not UTF-8, and for a NUL character."""
    # The plain searches first: they are cheap, and hardly ever find anything.
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise CoercionError(str(error)) from None
    if b"\\" in text and b"\\u0000" in text and re.search(_NUL, text):
        raise CoercionError("a NUL character, which PostgreSQL can't store")


def is_too_long(size: int, amounts: list[Decimal], digits_max: int) -> bool:
    """Whether an amount in a text of this size has too many digits, or too large an exponent.

    A few characters, such as 1e131000, become 131,001 digits wherever they are shown.
    """
    if max(map(abs, set(map(_adjusted, amounts))), default=0) > digits_max:
        return True
    # The text of a number is at least as long as its digits, and much faster to get.
    return digits_max < size and any(
        len(amount.as_tuple().digits) > digits_max
        for amount in amounts
        if len(str(amount)) > digits_max
    )
