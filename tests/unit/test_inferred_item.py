"""Columns inferred from the first page."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec import Raw

from coinspider.errors import ConfigurationError
from coinspider.records.coercion import coerce
from coinspider.records.inferred_item import grown_item_class, infer_item_class, make_item_class
from coinspider.records.record import Record, Source
from coinspider.records.table_item import columns, primary_key, stored_type


def inferred(*texts: str) -> dict[str, str]:
    item_class = infer_item_class("things", ["id"], [Raw(text.encode()) for text in texts])
    return {column.name: column.type.sql for column in columns(item_class)}


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        pytest.param(["1", "2.5", "1e30"], "numeric", id="numbers"),
        pytest.param(["1", '"104485184.0928"'], "numeric", id="numbers, some as strings"),
        pytest.param(['"1"', '"2.5"', '"-1.2E-7"'], "numeric", id="numbers as strings"),
        pytest.param(['"1"', '"007"'], "text", id="codes of digits"),
        pytest.param(['"1e5"', '"4"'], "text", id="hashes"),
        pytest.param(['"1"', '"x"'], "text", id="strings"),
        pytest.param(["true", "false"], "boolean", id="booleans"),
        pytest.param(['"2025-03-04T11:02:03.5Z"'], "timestamp with time zone", id="times"),
        pytest.param(
            ['"2025-03-04T11:02:03"', '"2025-03-04 11:02:03.123456000"'],
            "timestamp without time zone",
            id="times without a zone",
        ),
        pytest.param(['"2025-03-04"'], "date", id="dates"),
        pytest.param(['"2025-03-04"', '"2025-03-04T11:02:03Z"'], "text", id="dates and times"),
        pytest.param(['"2025-03-04T11:02:03Z"', '"soon"'], "text", id="times and others"),
        pytest.param(['"2025-03-04T11:02:03.123456789Z"'], "text", id="nanoseconds"),
        pytest.param(["[1]", '{"a": 1}'], "jsonb", id="arrays and objects"),
        pytest.param(["1", "true"], "jsonb", id="mixed"),
        pytest.param(["null", "1"], "numeric", id="null first"),
    ],
)
def test_types(values, type_):
    assert inferred(*(f'{{"id": "a", "value": {value}}}' for value in values))["value"] == type_


@pytest.mark.parametrize(
    ("name", "values", "type_"),
    [
        ("rank", ["1", "2"], "bigint"),
        ("accountId", ["1", str(2**63 - 1)], "bigint"),
        ("tx_count", ["1", "2.5"], "numeric"),
        ("block_index", ["1", str(2**63)], "numeric"),
        ("price", ["1", "2"], "numeric"),
        ("grid", ["1"], "numeric"),
    ],
)
def test_whole_numbers_are_told_by_their_name(name, values, type_):
    page = (f'{{"id": "a", "{name}": {value}}}' for value in values)
    assert inferred(*page)[name] == type_


def test_class_grows_by_fields_that_are_new():
    old = infer_item_class("things", ["id"], [Raw(b'{"id": "a", "price": 1}')])
    assert grown_item_class(old, [Raw(b'{"id": "b", "price": "x"}')]) is old
    new = grown_item_class(old, [Raw(b'{"id": "b", "price": 2, "on": "2025-03-04", "a b": 1}')])
    assert {c.name: c.type.sql for c in columns(new)} == {
        "id": "text", "price": "numeric", "on": "date", "extra": "jsonb"
    }  # fmt: skip
    assert primary_key(new) == ["id"]


def test_time_that_would_be_rounded_is_set_aside():
    item_class = infer_item_class(
        "things", ["id"], [Raw(b'{"id": "a", "at": "2025-03-04T00:00:00Z"}')]
    )
    text = Raw(b'{"id": "b", "at": "2025-03-04T00:00:00.123456789Z"}')
    item = coerce(Record(text, Source("u", item_class, {})), by_field=True)
    assert item.at is None
    [field] = item.set_aside
    assert field.reason == "at: a time of more than microseconds"
    assert json.loads(bytes(item.extra)) == {"at": "2025-03-04T00:00:00.123456789Z"}
    exact = Raw(b'{"id": "b", "at": "2025-03-04T00:00:00.123456000Z"}')
    assert coerce(Record(exact, Source("u", item_class, {}))).at.microsecond == 123456


@pytest.mark.parametrize("name", ["a b", "1st", "from", "table", "extra", "x" * 64, "né-e"])
def test_field_that_can_not_name_a_column_goes_to_extra(name):
    assert list(inferred(f'{{"id": 7, "{name}": 1}}')) == ["id", "extra"]


def test_fields_beyond_the_column_limit_go_to_extra():
    fields = "".join(f'"c{number}": 1, ' for number in range(2000))
    names = list(inferred(f'{{{fields}"id": 7}}'))
    assert names == [*(f"c{number}" for number in range(550)), "id", "extra"]


def test_field_that_is_always_null_goes_to_extra():
    assert list(inferred('{"id": 7, "value": null}')) == ["id", "extra"]


def test_missing_key_is_an_error_that_says_how_to_name_it():
    with pytest.raises(ConfigurationError, match="no key id: name it with -a key=NAME"):
        inferred('{"uuid": "x"}')


def test_error_for_a_missing_key_suggests_a_pair_of_fields():
    page = [f'{{"base": "{b}", "quote": "{q}", "price": 1}}' for b in "ab" for q in "xy"]
    with pytest.raises(ConfigurationError, match="as -a key=base,quote"):
        inferred(*page)


def test_error_for_a_missing_key_suggests_the_value_of_an_array():
    page = [f'{{"f": [{{"v": {number}}}, {{"v": "x"}}]}}' for number in range(3)]
    with pytest.raises(ConfigurationError, match=re.escape("-a 'key=f[0].v'")):
        inferred(*page)


def test_records_become_items_of_the_inferred_class():
    page = [
        Raw(b'{"id":7,"at":"2025-03-04T00:00:00Z","price":1.50,"ok":true,"tags":[1.0]}'),
        Raw(b'{"id":8,"new":"x"}'),
    ]
    item_class = infer_item_class("things", ["id"], page)
    first, second = (coerce(Record(text, Source("u", item_class, {}))) for text in page)
    assert (first.id, first.price, first.ok) == (Decimal(7), Decimal("1.50"), True)
    assert first.at == datetime(2025, 3, 4, tzinfo=UTC)
    assert bytes(first.tags) == b"[1.0]"
    assert (second.id, second.new, second.price) == (Decimal(8), "x", None)


def test_columns_of_a_stored_table_make_the_same_class():
    stored = {"id": "numeric", "price": "numeric", "tags": "jsonb", "extra": "jsonb",
              "delisted_at": "timestamp with time zone",
              "first_crawled_at": "timestamp with time zone"}  # fmt: skip
    types = {name: stored_type(sql) for name, sql in stored.items()}
    item_class = make_item_class("things", ["id"], types)
    assert [c.name for c in columns(item_class)] == ["id", "price", "tags", "extra"]
    assert [c.required for c in columns(item_class)] == [True, False, False, True]
    assert primary_key(item_class) == ["id"]


@pytest.mark.parametrize(
    "name",
    ["table", "extra", "source", "delisted_at", "first_crawled_at", "ctid", "xmin", "__class__",
     "__dict__", "a b", "a.b", "@id", "1st", "", "x" * 64, "é" * 40, "\ufb01", "class", "shown"],
)  # fmt: skip
def test_reserved_name_goes_to_extra(name):
    text = Raw(json.dumps({"id": 1, name: "v"}).encode())
    item_class = infer_item_class("things", ["id"], [text])
    assert [column.name for column in columns(item_class)] == ["id", "extra"]
    item = coerce(Record(text, Source("", item_class, {})))
    assert json.loads(bytes(item.extra)) == {name: "v"}


@pytest.mark.parametrize("name", ["position", "user", "select", "UPPER", "ünïcode", "items", "_x"])
def test_any_other_name_is_a_column(name):
    text = Raw(json.dumps({"id": 1, name: "v"}).encode())
    assert name in [c.name for c in columns(infer_item_class("things", ["id"], [text]))]


def test_record_that_can_not_be_decoded_still_gives_some_types():
    types = inferred('{"id": 1, "big": 1e400, "name": "x"}', '{"id": 2, "deep": %s}' % ("[" * 3000))
    assert (types["big"], types["name"]) == ("numeric", "text")


def test_key_of_numbers_and_texts_is_a_text():
    assert inferred('{"id": "x3"}', '{"id": 1}')["id"] == "text"
