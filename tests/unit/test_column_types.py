"""The table of types finds the same type by alias, by SQL name and by value."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import ClassVar

import msgspec
import pytest
from msgspec import Raw

from coinspider.errors import ConfigurationError
from coinspider.records.table_item import (
    COLUMN_TYPES,
    Key,
    TableItem,
    columns,
    inferred_type,
    stored_type,
)

VALUES = {
    "boolean": True,
    "bigint": 2**63 - 1,
    "numeric": Decimal("1e-18"),
    "timestamp with time zone": datetime(2025, 3, 4, tzinfo=UTC),
    "timestamp without time zone": datetime(2025, 3, 4),  # noqa: DTZ001
    "date": date(2025, 3, 4),
    "text": "a",
    "jsonb": Raw(b"[1.0]"),
}
each_type = pytest.mark.parametrize("column_type", COLUMN_TYPES, ids=lambda type_: type_.sql)


@each_type
def test_item_that_declares_the_alias_has_the_type(column_type):
    item_class = msgspec.defstruct(
        "Thing", [("value", column_type.alias)], bases=(TableItem,), kw_only=True
    )
    assert columns(item_class)[0].type is column_type
    optional = msgspec.defstruct(
        "Thing", [("value", column_type.alias | None, None)], bases=(TableItem,), kw_only=True
    )
    assert columns(optional)[0].type is column_type


@each_type
def test_stored_column_has_the_type(column_type):
    assert stored_type(column_type.sql) is column_type


@each_type
def test_arrow_holds_its_values(column_type):
    pyarrow = pytest.importorskip("pyarrow")
    value = VALUES[column_type.sql]
    sent = bytes(value).decode() if isinstance(value, Raw) else value
    sent = float(sent) if isinstance(sent, Decimal) else sent
    array = pyarrow.array([sent, None], column_type.arrow(pyarrow))
    assert array.to_pylist() == [sent, None]


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        (True, "boolean"),
        (1, "numeric"),
        (1.5, "numeric"),
        ("2025-03-04T11:02:03Z", "timestamp with time zone"),
        ("2025-03-04T11:02:03", "timestamp without time zone"),
        ("2025-03-04", "date"),
        ("", "text"),
        ([], "jsonb"),
        ({}, "jsonb"),
    ],
)
def test_value_has_the_first_type_that_matches(value, sql):
    assert inferred_type(value).sql == sql


def test_error_names_a_field_whose_type_no_column_has():
    class Thing(TableItem, kw_only=True):
        table: ClassVar[str] = "thing"

        key: Key
        price: float

    with pytest.raises(ConfigurationError, match=r"the field price .* declare it as Amount,"):
        columns(Thing)
