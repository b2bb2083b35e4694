"""Items written to each feed and read back: no digit is lost unless its cell is marked."""

import csv
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import openpyxl
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from pyarrow import parquet

from coinspider.export.feeds import ExactCsvItemExporter, ExactJsonItemExporter
from coinspider.export.parquet import ParquetItemExporter
from coinspider.export.xlsx import MARK, XlsxItemExporter, printable
from coinspider.items import FullCoin
from tests.helpers.exports import export

DECIMALS = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-(10**40), 10**40), st.integers(-60, 60),
)  # fmt: skip
# PostgreSQL has no NUL, and UTF-8 no lone surrogates.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
COINS = st.builds(
    FullCoin, coin_id=st.just("a"), symbol=TEXTS, name=TEXTS, ath=st.none() | DECIMALS,
    atl=st.none() | DECIMALS, market_cap_rank=st.none() | st.integers(-(2**63), 2**63 - 1),
    ath_date=st.none() | TIMES, extra=st.just(Raw(b'{"a":1.50}')),
)  # fmt: skip
LISTS = st.lists(COINS, min_size=1, max_size=5)
each_list = settings(max_examples=30)


@each_list
@given(LISTS)
def test_json(items):
    rows = json.load(export(ExactJsonItemExporter, *items), parse_float=Decimal, parse_int=Decimal)
    for item, row in zip(items, rows, strict=True):
        assert (row["ath"], row["atl"]) == (item.ath, item.atl)
        assert (row["name"], row["market_cap_rank"]) == (item.name, item.market_cap_rank)


@each_list
@given(LISTS)
def test_csv(items):
    text = export(ExactCsvItemExporter, *items).read().decode()
    for item, row in zip(items, csv.DictReader(StringIO(text, newline="")), strict=True):
        assert (row["ath"] and Decimal(row["ath"])) == ("" if item.ath is None else item.ath)
        assert row["name"] in (item.name, f"'{item.name}")
        assert (row["name"] == item.name) == (item.name[:1] not in tuple("=+-@\t\r\n＝＋－＠"))


@each_list
@given(LISTS)
def test_parquet(items):
    rows = parquet.read_table(export(ParquetItemExporter, *items)).to_pylist()
    for item, row in zip(items, rows, strict=True):
        for name in ("ath", "atl"):
            double, exact = row[name], row.get(f"{name}_exact")
            found = exact if exact is not None or double is None else repr(double)
            assert (found if found is None else Decimal(found)) == getattr(item, name)
        assert (row["name"], row["ath_date"]) == (item.name, item.ath_date)
        assert row["market_cap_rank"] == item.market_cap_rank


@each_list
@given(LISTS)
def test_xlsx(items):
    header, *rows = openpyxl.load_workbook(export(XlsxItemExporter, *items))["coins"].iter_rows()
    names = [cell.value for cell in header]
    for item, cells in zip(items, rows, strict=True):
        row = dict(zip(names, cells, strict=True))
        for name in ("ath", "atl", "market_cap_rank"):
            cell, value = row[name], getattr(item, name)
            is_text = isinstance(cell.value, str)
            assert (cell.fill.fgColor.rgb[-6:] == MARK) == is_text
            if value is None or is_text:
                assert (cell.value and Decimal(cell.value)) == value
            else:
                assert float(cell.value) == float(value)
        # As Excel reads it: https://learn.microsoft.com/openspecs/office_standards/ms-oi29500
        name = re.sub("_x([0-9A-F]{4})_", lambda m: chr(int(m[1], 16)), row["name"].value or "")
        assert name == printable(item.name)
