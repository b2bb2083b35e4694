"""Feeds for Excel, read back with openpyxl and pandas."""

import os
import subprocess
from datetime import UTC, datetime
from decimal import Decimal

import openpyxl
import pandas
import pytest
from msgspec import Raw

from coinspider.export.xlsx import MARK, PERCENTAGE, XlsxItemExporter
from coinspider.items import FullCoin
from coinspider.records.table_item import columns
from tests.helpers.exports import coin, export
from tests.helpers.processes import CLEAN, PROJECT, SCRAPY

UPDATED = datetime(2025, 3, 4, 14, 45, 50, 155000, UTC)
NAMES = [column.name for column in columns(FullCoin)]


def cells(**fields):
    sheet = openpyxl.load_workbook(export(XlsxItemExporter, coin(**fields))).active
    header, row = sheet.iter_rows()
    assert sheet.freeze_panes == "A2"
    assert [cell.value for cell in header] == NAMES
    return dict(zip(NAMES, row, strict=True))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("70187", 70187),
        ("0.000000000123456789", 1.23456789e-10),
        ("-0.25", -0.25),
        ("123456789012345", 123456789012345),
        ("1234567890123456", "1234567890123456"),
        ("0.1234567890123456", "0.1234567890123456"),
        ("1e24", 1e24),
        ("1e400", "1" + "0" * 400),
    ],
)
def test_number_that_excel_would_round_is_text_and_marked(text, value):
    found = cells(current_price=Decimal(text))["current_price"]
    assert found.value == value
    assert found.data_type == ("s" if isinstance(value, str) else "n")
    assert (found.fill.fgColor.rgb[-6:] == MARK) == isinstance(value, str)
    assert cells(name=text)["name"].fill.fgColor.rgb[-6:] != MARK


@pytest.mark.parametrize(
    ("text", "column", "format_"),
    [
        ("70187", "ath", "#,##0"),
        ("70187.25", "ath", "#,##0.00"),
        ("1.5", "ath", "#,##0.00000"),
        ("0.000000123456789", "ath", "#,##0.000000000000"),
        ("1e-30", "ath", "0.00000E+00"),
        ("1e24", "ath", "0.00000E+00"),
        ("0", "ath", "#,##0"),
        ("-1.5", "ath_change_percentage", PERCENTAGE),
    ],
)
def test_number_has_the_format_of_its_size(text, column, format_):
    assert cells(**{column: Decimal(text)})[column].number_format == format_


def test_sheet_has_widths_a_filter_and_a_name():
    book = openpyxl.load_workbook(export(XlsxItemExporter, *[coin(name="n" * 30)] * 300))
    sheet = book["coins"]
    assert sheet.auto_filter.ref == f"A1:{sheet.cell(1, len(NAMES)).column_letter}301"
    assert int(sheet.column_dimensions["D"].width) == 32
    assert sheet["A1"].font.bold
    assert "Excel would keep 15" in book["notes"]["A1"].value


def test_rows_beyond_the_limit_go_to_another_sheet(monkeypatch):
    monkeypatch.setattr("coinspider.export.xlsx.ROWS_MAX", 251)
    items = [coin(coin_id=str(number), last_updated=UPDATED) for number in range(600)]
    book = openpyxl.load_workbook(export(XlsxItemExporter, *items))
    assert book.sheetnames == ["coins", "coins 2", "coins 3", "notes"]
    found = [row[0].value for name in book.sheetnames[:3] for row in list(book[name].rows)[1:]]
    assert found == [str(number) for number in range(600)]
    assert book["coins 3"].auto_filter.ref.endswith("101")


def test_text_too_long_for_a_cell_says_that_it_is_cut():
    value = cells(name="n" * 40_000)["name"].value
    assert len(value) == 32_767
    assert value.endswith("... (cut: 40000 characters)")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a\x00\x0b\ufffe\ud83d", r"a\x00\x0b\xfffe\xd83d"),
        ("_x0041_ _x000D_", "_x005F_x0041_ _x005F_x000D_"),
        ("snake_xcase_x12_", "snake_xcase_x12_"),
        ("two\nlines\t", "two\nlines\t"),
        ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
    ],
    ids=["not in XML", "would be read as other characters", "underscores", "spaces", "formula"],
)
def test_text_is_read_by_excel_as_it_is(text, written):
    cell = cells(name=text)["name"]
    assert (cell.value, cell.data_type) == (written, "s")


@pytest.mark.parametrize(
    "text",
    ["0001-01-01T00:00:00+00:00", "1899-12-31T00:00:00+00:00", "1900-02-28T00:00:00+00:00",
     "9999-12-31T23:59:59.999999+00:00"],
)  # fmt: skip
def test_time_that_excel_does_not_have_is_text(text):
    assert cells(last_updated=datetime.fromisoformat(text))["last_updated"].value == text


def test_pandas_reads_the_sheet():
    frame = pandas.read_excel(export(XlsxItemExporter, coin(ath=Decimal("1.5")), coin()))
    assert (len(frame), frame["ath"].sum()) == (2, 1.5)


def test_times_are_dates_and_texts_never_formulas():
    row = cells(last_updated=UPDATED, name="=1+1", symbol="a\x0bb", extra=Raw(b'{"x":1.50}'))
    assert row["last_updated"].value == UPDATED.replace(tzinfo=None)
    assert row["last_updated"].is_date
    assert (row["name"].value, row["name"].data_type) == ("=1+1", "s")
    assert row["symbol"].value == r"a\x0bb"
    assert row["extra"].value == '{"x":1.50}'
    assert row["ath"].value is None


def test_feed_without_items_has_the_columns_that_are_known():
    book = openpyxl.load_workbook(export(XlsxItemExporter, known={"a": None, "b": None}))
    assert list(book.active.values) == [("a", "b")]
    chosen = export(XlsxItemExporter, known={"a": None}, fields_to_export={"a": "Name"})
    assert list(openpyxl.load_workbook(chosen).active.values) == [("Name",)]


def test_feed_without_items_is_a_valid_file():
    assert openpyxl.load_workbook(export(XlsxItemExporter)).sheetnames == ["rows", "notes"]


def test_stored_coins_are_written_as_a_sheet(scrapy, sandbox, tmp_path):
    api = sandbox("--coins", 30)
    scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    file = tmp_path / "coins.xlsx"
    with file.open("wb") as out:
        command = [*SCRAPY, "coins", "--format", "xlsx", "--columns", "all", "-n", "all"]
        subprocess.run(command, cwd=PROJECT, stdout=out, check=True,
                       env=os.environ | CLEAN | scrapy.environment)  # fmt: skip
    names, *rows = openpyxl.load_workbook(file).active.iter_rows(values_only=True)
    assert len(rows) == 30
    assert {"coin_id", "current_price", "extra"} <= set(names)
