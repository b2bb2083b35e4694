"""From a record's text to an item, digit for digit."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coinspider.errors import CoercionError
from tests.helpers.coin_records import (
    AMOUNTS,
    MOMENT,
    NULLABLE,
    PROPERTY,
    REAL_TEXTS,
    TIMES,
    TOO_LONG,
    as_read,
    assert_exact_or_refused,
    coerced,
    exact,
    is_too_long,
    numbers,
    read_independently,
    record_text,
    records,
)


def test_there_are_30_real_records():
    assert len(REAL_TEXTS) == 30


@pytest.mark.parametrize("text", REAL_TEXTS, ids=lambda text: json.loads(text)["id"])
def test_a_real_record_coerces_exactly(text):
    item, expected = as_read(coerced(text)), read_independently(text)
    assert exact(item) == exact(expected)
    assert item["extra"].keys() == {"roi"}


@pytest.mark.parametrize("key", AMOUNTS)
@pytest.mark.parametrize(
    "text",
    [
        "0",
        "70187",
        "21000000.0",
        "-7128.754488713603",
        "7.662e-05",
        "0.000000000123456789",
        "1e-12",
        "1e24",
        "1.2345E+24",
        "9223372036854775808",
        "123456789012345678901234567890.123456789012345678",
        "-0.10",
    ],
)
def test_an_amount_keeps_every_digit(key, text):
    item = coerced(record_text(**{key: text}))
    assert str(getattr(item, key)) == str(Decimal(text))


@pytest.mark.parametrize("text", ["104485184.0928", "21000000.0", "1e24", "0"])
def test_an_amount_may_be_a_string(text):
    item = coerced(record_text(circulating_supply=f'"{text}"'))
    assert str(item.circulating_supply) == str(Decimal(text))


@pytest.mark.parametrize("key", NULLABLE)
def test_nullable_field_may_be_missing(key):
    assert getattr(coerced(record_text(**{key: "null"})), key) is None
    assert getattr(coerced(record_text()), key) is None


@pytest.mark.parametrize(
    ("text", "rank"),
    [
        ("1", 1),
        ("7.0", 7),
        ('"7"', 7),
        ('"7.0"', 7),
        ("1e3", 1000),
        ("1e+3", 1000),
        ("70E-1", 7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775807.0", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_a_whole_number_in_any_notation_is_an_integer(text, rank):
    item = coerced(record_text(market_cap_rank=text))
    assert item.market_cap_rank == rank
    assert type(item.market_cap_rank) is int


def test_an_integer_in_another_notation_leaves_the_rest_exact():
    item = coerced(
        record_text(market_cap_rank='"7"', ath="1.50", max_supply="1e24", x="[1, 2.50 ]")
    )
    assert (str(item.ath), str(item.max_supply)) == ("1.50", "1E+24")
    assert bytes(item.extra) == b'{"x":[1, 2.50 ]}'


@pytest.mark.parametrize("key", TIMES)
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param(MOMENT, datetime(2025, 1, 20, 7, 16, 25, 271000, UTC), id="milliseconds"),
        pytest.param('"2013-07-05T00:00:00.000Z"', datetime(2013, 7, 5, tzinfo=UTC), id="zeros"),
        pytest.param('"2013-07-05T00:00:00Z"', datetime(2013, 7, 5, tzinfo=UTC), id="seconds"),
        pytest.param('"2013-07-05T02:00:00+02:00"', datetime(2013, 7, 5, tzinfo=UTC), id="offset"),
    ],
)
def test_a_time_is_the_moment_that_its_text_names(key, text, moment):
    time = getattr(coerced(record_text(**{key: text})), key)
    assert time == moment
    assert time.tzinfo is not None


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        pytest.param("symbol", f'"{"x" * 46}"', "x" * 46, id="46 characters"),
        pytest.param("symbol", '""', "", id="empty"),
        pytest.param("name", '" spaces "', " spaces ", id="spaces"),
        pytest.param("name", '"漢字 🚀"', "漢字 🚀", id="Unicode"),
        pytest.param("name", r'"\ud83d\ude80"', "🚀", id="surrogate pair"),
        pytest.param("name", r'"\"\\\/\n"', '"\\/\n', id="escapes"),
        pytest.param("name", r'"\\u0000"', r"\u0000", id="a backslash before u0000"),
        pytest.param("image", '"missing_large.png"', "missing_large.png", id="no image"),
    ],
)
def test_text_is_unchanged(key, text, value):
    assert getattr(coerced(record_text(**{key: text})), key) == value


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "1.50",
        "1e400",
        "9223372036854775808.10",
        "-0.0",
        '"a b"',
        r'"\u00e9\/"',
        "[1, 2.50 ]",
        '{"times": 1.50, "currency": "usd"}',
        '{"price": [9.1e-05, null]}',
    ],
)
def test_an_undeclared_field_keeps_its_text(text):
    assert bytes(coerced(record_text(new_field=text)).extra) == f'{{"new_field":{text}}}'.encode()


def test_every_undeclared_field_is_kept():
    item = coerced(
        record_text(roi="null", sparkline_in_7d='{"price":[1.0]}', x_in_currency="-1.10")
    )
    assert (
        bytes(item.extra) == b'{"roi":null,"sparkline_in_7d":{"price":[1.0]},"x_in_currency":-1.10}'
    )


@pytest.mark.parametrize("key", ["extra", "coin_id", 'qu\\"ote', "é", ""])
def test_an_undeclared_field_may_have_any_name(key):
    extra = json.loads(bytes(coerced(record_text(**{key: "1"})).extra))
    assert extra == {json.loads(f'"{key}"'): 1}


def test_extra_is_empty_without_undeclared_fields():
    assert bytes(coerced(record_text(ath="1")).extra) == b"{}"


def test_a_constant_is_part_of_the_item():
    assert coerced(record_text()).vs_currency == "eur"


def test_a_constant_overrules_a_field_of_the_same_name():
    item = coerced(record_text(vs_currency='"usd"'))
    assert item.vs_currency == "eur"
    assert bytes(item.extra) == b'{"vs_currency":"usd"}'


@PROPERTY
@given(key=st.sampled_from(AMOUNTS), text=numbers)
@example(key="current_price", text=TOO_LONG)
def test_an_amount_is_the_decimal_of_any_number(key, text):
    if is_too_long(text):
        with pytest.raises(CoercionError, match="digits"):
            coerced(record_text(**{key: text}))
        return
    value = getattr(coerced(record_text(**{key: text})), key)
    assert exact({key: value}) == exact({key: Decimal(text)})


@PROPERTY
@given(records)
def test_any_record_is_exact_or_refused(text):
    assert_exact_or_refused(text)


def test_number_after_a_time_of_microseconds_is_no_finer_time():
    text = record_text(last_updated='"2025-01-20T07:16:25.271001Z"', ath="14.5131937331755")
    assert coerced(text.replace(" ", "")).ath == Decimal("14.5131937331755")
