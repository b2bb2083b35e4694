"""Feeds for Excel and in Parquet, read back by the libraries that people read them with."""

import os
import subprocess
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO

import openpyxl
import pytest
from msgspec import Raw
from pyarrow import parquet

from coinspider.export.parquet import ParquetItemExporter
from coinspider.export.xlsx import XlsxItemExporter
from coinspider.items import FullCoin
from coinspider.records.table_item import columns
from coinspider.sandbox.made_up_coins import coin_id, made_up_coin
from tests.helpers.processes import CLEAN, PROJECT, SCRAPY
from tests.helpers.stored import expected_row

UPDATED = datetime(2025, 3, 4, 14, 45, 50, 155000, UTC)
NAMES = [column.name for column in columns(FullCoin)]


def coin(**fields):
    return FullCoin(**{"coin_id": "a", "vs_currency": "eur", "symbol": "s", "name": "n"} | fields)


def export(exporter_class, *items):
    file = BytesIO()
    exporter = exporter_class(file)
    exporter.start_exporting()
    for item in items:
        exporter.export_item(item)
    exporter.finish_exporting()
    file.seek(0)
    return file


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
def test_number_that_excel_would_round_is_text(text, value):
    found = cells(current_price=Decimal(text))["current_price"]
    assert found.value == value
    assert found.data_type == ("s" if isinstance(value, str) else "n")


def test_times_are_dates_and_texts_never_formulas():
    row = cells(last_updated=UPDATED, name="=1+1", symbol="a\x0bb", extra=Raw(b'{"x":1.50}'))
    assert row["last_updated"].value == UPDATED.replace(tzinfo=None)
    assert row["last_updated"].is_date
    assert (row["name"].value, row["name"].data_type) == ("=1+1", "s")
    assert row["symbol"].value == r"a\x0bb"
    assert row["extra"].value == '{"x":1.50}'
    assert row["ath"].value is None


def test_parquet_keeps_digits_and_types():
    price = Decimal("9999999999999999999.000000000000000000123")
    item = coin(current_price=price, market_cap_rank=7, last_updated=UPDATED, extra=Raw(b"{}"))
    table = parquet.read_table(export(ParquetItemExporter, item, coin()))
    [first, second] = table.to_pylist()
    assert (first["current_price"], first["market_cap_rank"]) == (price, 7)
    assert (first["last_updated"], first["extra"]) == (UPDATED, "{}")
    assert second["current_price"] is None
    assert table.schema.names == NAMES
    assert str(table.schema.field("ath").type) == "decimal256(76, 38)"


@pytest.mark.parametrize("text", ["1e38", "1e-39"])
def test_amount_without_room_in_parquet_is_named(text):
    with pytest.raises(ValueError, match=r"ath .* has no room"):
        export(ParquetItemExporter, coin(ath=Decimal(text)))


@pytest.mark.parametrize("exporter_class", [XlsxItemExporter, ParquetItemExporter])
def test_empty_feed_is_a_file_all_the_same(exporter_class):
    assert export(exporter_class).getvalue()


def test_stored_coins_come_as_a_sheet(scrapy, sandbox, tmp_path):
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


def test_crawl_writes_both(scrapy, sandbox, tmp_path):
    api = sandbox("--coins", 300)
    done = scrapy("crawl", "coins", "-o", tmp_path / "coins.xlsx", "-o", tmp_path / "coins.parquet",
                  COINGECKO_BASE_URL=api.url, POSTGRES_ENABLED="0")  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = parquet.read_table(tmp_path / "coins.parquet").to_pylist()
    stored = {row["coin_id"]: row["current_price"] for row in rows}
    assert len(openpyxl.load_workbook(tmp_path / "coins.xlsx").active["A"]) == 301
    for number in range(300):
        expected = expected_row(made_up_coin(number), "usd")["current_price"]
        assert stored[coin_id(number)] == expected
