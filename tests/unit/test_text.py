"""Numbers for people, whose magnitude is never lost."""

import re
import shlex
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinspider.text import (
    in_shell,
    readable_number,
    readable_seconds,
    short,
    short_price,
    visible,
    without_formula,
)


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


@pytest.mark.parametrize(
    ("number", "amount", "price"),
    [
        ("2174000000000", "2.17 T", "2,174,000,000,000.00"),
        ("647900000000", "647.90 B", "647,900,000,000.00"),
        ("-118000000000.4", "-118.00 B", "-118,000,000,000.40"),
        ("999995000", "1.00 B", "999,995,000.00"),
        ("999999999999999", "1.00e15", "999,999,999,999,999.00"),
        ("999994000000000", "999.99 T", "999,994,000,000,000.00"),
        ("9.806e24", "9.81e24", "9.81e24"),
        ("1000000", "1.00 M", "1,000,000.00"),
        ("89636", "89,636", "89,636.00"),
        ("-5372.294", "-5,372.29", "-5,372.29"),
        ("0.99996", "1.00", "1.00"),
        ("0.217671", "0.2177", "0.2177"),
        ("0.5", "0.5000", "0.5000"),
        ("0.000253015", "0.0002530", "0.0002530"),
        ("0.00000012345678", "0.0₆1235", "0.0₆1235"),
        ("1e-18", "0.0₁₇1", "0.0₁₇1"),
        ("0.00", "0", "0.00"),
        ("NaN", "NaN", "NaN"),
    ],
)
def test_short_numbers_of_a_column_line_up(number, amount, price):
    assert (short(Decimal(number)), short_price(Decimal(number))) == (amount, price)


@given(st.decimals(-(10**30), 10**30, allow_nan=False, allow_infinity=False))
def test_text_stands_for_the_number_to_six_digits(number):
    def zeros(found):
        return "0" * int(found[1].translate(str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")))

    # The subscript counts the 0 before it, too.
    text = re.sub("0([₀-₉]+)", zeros, readable_number(number))
    assert abs(Decimal(text.replace(",", "")) - number) <= abs(number) * Decimal("0.00001")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain é 中 🪙", "plain é 中 🪙"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred\x9b0m\x7f", "\\x1b[31mred\\x9b0m\\x7f"),
        ("\u202edesrever\u2066\u200f", "\\u202edesrever\\u2066\\u200f"),
        ("a\0b", "a\\x00b"),
        ("\ud800", "\\ud800"),
        ("one\u2028two\x85", "one\\u2028two\\x85"),
        ("\U000e0041", "\\U000e0041"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("a\u00a0b", "a\u00a0b"),
    ],
)
def test_text_from_outside_has_nothing_hidden_in_it(text, seen):
    assert visible(text) == seen


@given(st.text(st.characters(codec=None)))
def test_any_text_can_be_written_on_one_line(text):
    assert len(visible(text).splitlines()) <= 1
    visible(text).encode()


@pytest.mark.parametrize("first", "=+-@\t\r\n＝＋－＠")
def test_spreadsheet_takes_a_formula_for_text(first):
    assert without_formula(f"{first}cmd|' /C calc'!A0") == f"'{first}cmd|' /C calc'!A0"
    assert without_formula(f"a{first}") == f"a{first}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"),
     (86_400, "1 d"), (2_592_000, "30 d"), (90_000, "1 d 1 h")],
)  # fmt: skip
def test_time_has_its_two_greatest_units(seconds, text):
    assert readable_seconds(seconds) == text


def test_arguments_to_be_typed_run_nothing_that_an_api_names():
    typed = in_shell(["key=id,name", "path=a[0].b", "key=$(touch /tmp/x);`y`'", "path=a\x1b[31m"])
    assert typed.startswith("-a key=id,name -a 'path=a[0].b' -a 'key=$(touch")
    assert shlex.split(typed)[5] == "key=$(touch /tmp/x);`y`'"
    assert "\x1b" not in typed
