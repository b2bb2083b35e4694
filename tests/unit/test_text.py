"""Numbers for people, with no magnitude lost."""

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinspider.text import readable_number


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"),
        ("0.00", "0"),
        ("1", "1"),
        ("70187.00", "70,187"),
        ("1234567.891", "1,234,568"),
        ("-98765.4321", "-98,765.4"),
        ("0.123456789", "0.123457"),
        ("0.0001", "0.0001"),
        ("0.00001234", "0.0₄1234"),
        ("0.0000000001234", "0.0₉1234"),
        ("-1e-18", "-0.0₁₇1"),
        ("0.00000999999999", "0.0₄1"),
        ("123456789012345678", "123,456,789,012,345,678"),
        ("1e24", "1.00000e24"),
        ("99999999999999999999", "1.00000e20"),
    ],
)
def test_number_is_short_and_shows_its_magnitude(number, text):
    assert readable_number(Decimal(number)) == text


@settings(deadline=None, database=None)
@given(st.decimals(-(10**30), 10**30, allow_nan=False, allow_infinity=False))
def test_text_stands_for_the_number_to_six_digits(number):
    def zeros(found):
        return "0" * int(found[1].translate(str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")))

    # The 0 before the subscript is the first of those that it counts.
    text = re.sub("0([₀-₉]+)", zeros, readable_number(number))
    assert abs(Decimal(text.replace(",", "")) - number) <= abs(number) * Decimal("0.00001")
