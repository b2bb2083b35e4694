"""A value that does not fit costs only its field, if that may be null."""

import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from msgspec import Raw

from coinspider.errors import CoercionError
from coinspider.items import FullCoin
from coinspider.records.coercion import coerce
from coinspider.records.record import Record
from tests.helpers.coin_records import (
    AMOUNTS,
    NEVER_RIGHT,
    PROPERTY,
    REQUIRED,
    SOURCE,
    TIMES,
    TOO_LONG,
    as_read,
    exact,
    read_independently,
    record_text,
    records,
    wrong,
)

ASIDE = {"NaN": '"NaN"', "-Infinity": '"-Infinity"'}


def coerced_by_field(text: str | bytes) -> FullCoin:
    return coerce(Record(Raw(text.encode() if isinstance(text, str) else text), SOURCE), True)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *wrong(AMOUNTS[:2], word='"N/A"', empty='""', NaN="NaN", infinity="-Infinity",
               NaN_as_text='"NaN"', **NEVER_RIGHT),
        *wrong(["market_cap_rank"], word='"first"', fraction="1.5", too_large="1e20", NaN="NaN"),
        *wrong(TIMES, empty='""', number="1741082400", naive='"2025-03-04T14:45:50.155"'),
        *wrong(["image"], number="5", bool="false"),
    ],
)  # fmt: skip
def test_by_field_a_wrong_value_costs_only_its_field(key, text):
    item = coerced_by_field(record_text(**{key: text, "high_24h": "1.50", "new": "[1.0 ]"}))
    assert getattr(item, key) is None
    assert str(item.high_24h) == "1.50"
    assert bytes(item.extra) == f'{{"new":[1.0 ],"{key}":{ASIDE.get(text, text)}}}'.encode()
    [field] = item.set_aside
    assert (field.column, field.text) == (key, text.encode())
    assert field.reason.startswith(f"{key}: ")


def test_integers_are_repaired_beside_a_field_that_is_set_aside():
    item = coerced_by_field(record_text(market_cap_rank="7.0", ath_date='""', atl="NaN", roi="{}"))
    assert item.market_cap_rank == 7
    assert {field.column for field in item.set_aside} == {"ath_date", "atl"}
    assert json.loads(bytes(item.extra)) == {"roi": {}, "ath_date": "", "atl": "NaN"}


@pytest.mark.parametrize("key", REQUIRED)
def test_by_field_a_wrong_required_value_costs_the_record(key):
    with pytest.raises(CoercionError, match=rf"\b{key}\b"):
        coerced_by_field(record_text(**{key: "null", "ath_date": '""'}))


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "null", record_text(ath="nul"), record_text(ath='"\\u0000"'),
     record_text(ath="NaN", new="NaN"), record_text(ath="[" * 100_000),
     record_text(ath='""').replace('"ath"', '"a\ud800"', 1).encode("utf-8", "surrogatepass")],
)  # fmt: skip
def test_by_field_invalid_json_costs_the_record(text):
    with pytest.raises(CoercionError):
        coerced_by_field(text)


@PROPERTY
@given(records)
@example(record_text(current_price=TOO_LONG))
def test_by_field_any_record_is_exact_except_for_fields_set_aside(text):
    try:
        item = coerced_by_field(text)
    except CoercionError:
        return
    aside = {field.column for field in item.set_aside}
    if not aside:
        assert exact(as_read(item)) == exact(read_independently(text))
        return
    sent = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=str)
    extra = json.loads(bytes(item.extra), parse_float=Decimal, parse_int=Decimal)
    for key in aside:
        # A number with too many digits for PostgreSQL is kept as a string.
        is_number = isinstance(sent[key], Decimal)
        kept = Decimal(extra[key]) if is_number and key in AMOUNTS else extra[key]
        assert kept == sent[key]
    for key in [key for key in AMOUNTS if key not in aside and sent.get(key) is not None]:
        assert exact({key: getattr(item, key)}) == exact({key: Decimal(sent[key])})
