"""Which records can't become an item, and the reason given."""

import json
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinspider.errors import CoercionError
from tests.helpers.coin_records import (
    AMOUNTS,
    NEVER_RIGHT,
    PROPERTY,
    REAL_TEXTS,
    REQUIRED,
    TIMES,
    assert_exact_or_refused,
    coerced,
    record_text,
    wrong,
)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *wrong(AMOUNTS, word='"dear"', empty='""', number_in_list="[1]", **NEVER_RIGHT),
        *wrong(
            ["market_cap_rank"],
            word='"first"',
            empty='""',
            fraction="1.5",
            fraction_as_text='"1.5"',
            too_large="9223372036854775808",
            too_small="-9223372036854775809",
            large_exponent="1e20",
            huge_exponent="1e999999999",
            NaN='"NaN"',
            **NEVER_RIGHT,
        ),
        *wrong(
            TIMES,
            number="1741082400",
            word='"yesterday"',
            empty='""',
            date='"2025-03-04"',
            naive='"2025-03-04T14:45:50.155"',
            no_such_day='"2025-02-30T14:45:50.155Z"',
            **NEVER_RIGHT,
        ),
        *wrong(list(REQUIRED), null="null", number="5", **NEVER_RIGHT),
        *wrong(["image"], number="5", **NEVER_RIGHT),
        *wrong(["id"], empty='""'),
    ],
)
def test_error_for_a_wrong_value_names_its_key(key, text):
    with pytest.raises(CoercionError, match=rf"\b{key}\b"):
        coerced(record_text(**{key: text}))


@pytest.mark.parametrize("key", REQUIRED)
def test_error_for_a_missing_field_names_its_key(key):
    text = json.dumps({other: "x" for other in REQUIRED if other != key})
    with pytest.raises(CoercionError, match=rf"\b{key}\b"):
        coerced(text)


@pytest.mark.parametrize("key", AMOUNTS)
@pytest.mark.parametrize("text", ["NaN", '"NaN"', '"nan"', '"sNaN"', '"Infinity"', '"-inf"'])
def test_an_amount_that_is_not_finite_is_refused(key, text):
    with pytest.raises(CoercionError):
        coerced(record_text(**{key: text}))


@pytest.mark.parametrize("key", ["id", "name", "market_cap_rank", "ath", "ath_date", "unnamed"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("NaN", id="NaN"),
        pytest.param("Infinity", id="Infinity"),
        pytest.param("-Infinity", id="minus Infinity"),
        pytest.param("01", id="leading zero"),
        pytest.param("tru", id="no such word"),
        pytest.param("[1,]", id="trailing comma"),
        pytest.param(r'"\u0000"', id="NUL"),
        pytest.param(r'"\\\u0000"', id="NUL after a backslash"),
        pytest.param('"\x00"', id="raw NUL"),
        pytest.param('"\n"', id="raw line break"),
        pytest.param(r'"\ud800"', id="half a surrogate pair"),
        pytest.param(r'"\x"', id="no such escape"),
        pytest.param(
            "[" * 100_000 + "]" * 100_000,
            id="deep nesting",
            marks=pytest.mark.skipif(
                sys.version_info >= (3, 14), reason="read there, and set aside by PostgreSQL"
            ),
        ),
    ],
)
def test_invalid_json_and_unstorable_text_are_refused_in_any_field(key, text):
    with pytest.raises(CoercionError):
        coerced(record_text(**{key: text}))


def test_nul_in_an_undeclared_key_is_refused():
    with pytest.raises(CoercionError, match="NUL"):
        coerced(record_text(**{r"a\u0000": "1"}))


@pytest.mark.parametrize("key", ["name", "unnamed"])
@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc3", b"\xed\xa0\x80"], ids=["FF", "cut", "surrogate"]
)
def test_bytes_that_are_not_utf_8_are_refused(key, text):
    with pytest.raises(CoercionError, match="utf-8"):
        coerced(record_text(**{key: '"?"'}).encode().replace(b"?", text))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "5", "null", '"x"', "NaN", "{", "{}", "<html>", record_text() + "x"],
    ids=["nothing", "array", "number", "null", "text", "NaN", "cut", "empty", "HTML", "trailing"],
)
def test_anything_but_an_object_is_refused(text):
    with pytest.raises(CoercionError, match=r"\w+ \w+"):
        coerced(text)


@PROPERTY
@given(st.sampled_from(REAL_TEXTS), st.data())
def test_a_damaged_record_is_exact_or_refused(text, data):
    place = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.sampled_from(b'"\\,:{}[]-+.eE0159 \x00\xff') | st.integers(0, 255))
    assert_exact_or_refused(text[:place] + bytes([byte]) + text[place + 1 :])


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("9" * 1000, True), ("9" * 1001, False), ("1e999", True), ("1e131000", False),
        ("-1e-1000", True), ("1e-1001", False), ("0." + "1" * 1000, True),
        ("0." + "1" * 1001, False), ("1e99999999999999", False), ("0e99999", True),
    ],
)  # fmt: skip
def test_a_number_has_a_limited_number_of_digits(text, fits):
    record = record_text(current_price=text, market_cap="1")
    if fits:
        assert coerced(record).current_price == Decimal(text)
    else:
        with pytest.raises(CoercionError, match=r"AMOUNT_DIGITS_MAX|not a finite number"):
            coerced(record)
