"""Feeds have every digit that the API sent."""

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from msgspec import Raw

from coinspider.export.feeds import (
    ExactCsvItemExporter,
    ExactJsonItemExporter,
    ExactJsonLinesItemExporter,
)
from coinspider.items import FullCoin
from coinspider.records.table_item import columns
from tests.helpers.exports import coin
from tests.helpers.exports import export as exported

EXTRA = b'{"roi":{"times":1.50,"currency":"usd"},"note":"a \\"b\\", c"}'
UPDATED = datetime(2025, 3, 4, 14, 45, 50, 155000, UTC)
NAME = ' "Zoë",\n漢字 🚀 '


def export(exporter_class: type, *items: FullCoin, **options: Any) -> str:
    return exported(exporter_class, *items, **options).read().decode()


def read(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def read_json(*items: FullCoin, **options: Any) -> list[dict[str, Any]]:
    return read(export(ExactJsonItemExporter, *items, **options))


def read_json_lines(*items: FullCoin, **options: Any) -> list[dict[str, Any]]:
    return [read(line) for line in export(ExactJsonLinesItemExporter, *items, **options).split("\n")
            if line]  # fmt: skip


def read_csv(*items: FullCoin, **options: Any) -> list[dict[str, str]]:
    text = export(ExactCsvItemExporter, *items, **options)
    return list(csv.DictReader(StringIO(text, newline="")))


FORMATS = pytest.mark.parametrize(
    "read_feed", [read_json, read_json_lines, read_csv], ids=["json", "jsonl", "csv"]
)
JSON_FORMATS = pytest.mark.parametrize(
    "read_feed", [read_json, read_json_lines], ids=["json", "jsonl"]
)


@FORMATS
@pytest.mark.parametrize(
    "amount",
    [
        "1e-12",
        "7.662e-05",
        "0.000000000123456789",
        "0.10",
        "0",
        "70187",
        "21000000.0",
        "-7128.754488713603",
        "1e24",
        "999999999999999999999999.000000000000000001",
    ],
)
def test_amounts_keep_their_digits(read_feed, amount):
    [row] = read_feed(coin(ath=Decimal(amount)))
    assert str(Decimal(row["ath"])) == str(Decimal(amount))


@JSON_FORMATS
def test_amounts_are_numbers_in_json(read_feed):
    [row] = read_feed(coin(ath=Decimal("1e-12"), max_supply=Decimal("21000000.0")))
    assert isinstance(row["ath"], Decimal)
    assert isinstance(row["max_supply"], Decimal)


@pytest.mark.parametrize(
    "exporter_class",
    [ExactJsonItemExporter, ExactJsonLinesItemExporter, ExactCsvItemExporter],
    ids=["json", "jsonl", "csv"],
)
def test_amounts_are_written_unchanged(exporter_class):
    text = export(exporter_class, coin(max_supply=Decimal("21000000.0")))
    assert "21000000.0," in text


@JSON_FORMATS
def test_extra_is_an_object_in_json(read_feed):
    [row] = read_feed(coin(extra=Raw(EXTRA)))
    assert row["extra"] == read(EXTRA)


@JSON_FORMATS
def test_extra_keeps_its_digits(read_feed):
    [row] = read_feed(coin(extra=Raw(b'{"a":1.50}')))
    assert str(row["extra"]["a"]) == "1.50"


@FORMATS
def test_line_breaks_in_extra_do_not_split_a_row(read_feed):
    rows = read_feed(coin(extra=Raw(b'{"roi": {\n  "times":\r\n1.50}}')), coin(coin_id="b"))
    assert [row["coin_id"] for row in rows] == ["a", "b"]
    extra = rows[0]["extra"]
    assert str(read(extra) if isinstance(extra, str) else extra) == (
        "{'roi': {'times': Decimal('1.50')}}"
    )


def test_extra_is_text_in_csv():
    [row] = read_csv(coin(extra=Raw(EXTRA)))
    assert row["extra"] == EXTRA.decode()


@FORMATS
def test_times_are_iso_8601(read_feed):
    [row] = read_feed(coin(last_updated=UPDATED))
    assert row["last_updated"].endswith("Z")
    assert datetime.fromisoformat(row["last_updated"]) == UPDATED


@FORMATS
def test_integers_stay_integers(read_feed):
    [row] = read_feed(coin(market_cap_rank=2**63 - 1))
    assert str(row["market_cap_rank"]) == "9223372036854775807"


@FORMATS
@pytest.mark.parametrize("name", [NAME, '"quoted"', "a\\b", "null", "1.50", "漢字"])
def test_text_is_unchanged(read_feed, name):
    [row] = read_feed(coin(name=name))
    assert row["name"] == name


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_has_no_formulas_unless_they_are_allowed(name):
    [row] = read_csv(coin(name=name, ath=Decimal("-1.5")))
    # An apostrophe also where a sheet may begin a cell: after a tab or a line's end.
    assert (row["name"][0], row["name"].replace("'", ""), row["ath"]) == (
        "'", name.replace("'", ""), "-1.5"
    )  # fmt: skip
    [row] = read_csv(coin(name=name), formulas_escaped=False)
    assert row["name"] == name


@JSON_FORMATS
def test_missing_value_is_null_in_json(read_feed):
    [row] = read_feed(coin())
    assert row["ath"] is row["ath_date"] is row["image"] is row["market_cap_rank"] is None


def test_missing_value_is_empty_in_csv():
    [row] = read_csv(coin())
    assert row["ath"] == row["ath_date"] == row["image"] == row["market_cap_rank"] == ""


@FORMATS
def test_all_columns_are_written_in_order(read_feed):
    [row] = read_feed(coin())
    assert list(row) == [column.name for column in columns(FullCoin)]


@FORMATS
def test_chosen_columns_are_written(read_feed):
    [row] = read_feed(coin(ath=Decimal("1e-12")), fields_to_export=["ath", "coin_id"])
    assert {name: str(value) for name, value in row.items()} == {"ath": "1E-12", "coin_id": "a"}


@FORMATS
def test_every_item_is_in_the_feed_once(read_feed):
    rows = read_feed(coin(coin_id="a"), coin(coin_id="b", name=NAME), coin(coin_id="c"))
    assert [row["coin_id"] for row in rows] == ["a", "b", "c"]


@FORMATS
def test_a_feed_without_items_has_no_rows(read_feed):
    assert read_feed() == []


def test_indented_json_has_the_same_digits():
    item = coin(ath=Decimal("1e-12"), max_supply=Decimal("21000000.0"), extra=Raw(b'{"a":1.50}'))
    lines = export(ExactJsonItemExporter, item, indent=3).split("\n")
    assert '   "max_supply": 21000000.0,' in lines
    assert '      "a": 1.50' in lines
    assert repr(read_json(item, indent=3)) == repr(read_json(item))


@pytest.mark.parametrize("options", [{}, {"indent": None}], ids=["default", "none"])
def test_json_without_indent_is_one_line(options):
    assert "\n" not in export(ExactJsonItemExporter, coin(name=NAME), **options)


def test_json_lines_ignore_the_indent():
    text = export(ExactJsonLinesItemExporter, coin(name=NAME), coin(), indent=4)
    assert text.count("\n") == 2
    assert len(read_json_lines(coin(name=NAME), coin(), indent=4)) == 2
