"""Parquet feeds, read by pyarrow, pandas, polars and DuckDB."""

import os
import subprocess
from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import pandas
import polars
import pytest
from msgspec import Raw
from pyarrow import parquet

from coinspider.errors import ConfigurationError
from coinspider.export.parquet import ParquetItemExporter
from coinspider.items import FullCoin
from coinspider.records.table_item import columns
from coinspider.sandbox.served_coins import coin_id, made_up_coin
from tests.helpers.exports import coin
from tests.helpers.exports import export as exported
from tests.helpers.processes import CLEAN, PROJECT, SCRAPY
from tests.helpers.stored import expected_row

UPDATED = datetime(2025, 3, 4, 14, 45, 50, 155000, UTC)
NAMES = [column.name for column in columns(FullCoin)]


def export(*items, **options):
    return exported(ParquetItemExporter, *items, **options)


def amounts(*texts, **options):
    """The columns of a feed whose ``ath`` has these amounts, as Arrow's types and as rows."""
    file = export(*(coin(ath=text and Decimal(text)) for text in texts), **options)
    table = parquet.read_table(file)
    names = [name for name in table.schema.names if name in ("ath", "ath_exact")]
    return {n: str(table.schema.field(n).type) for n in names}, table.select(names).to_pylist()


def test_types_and_values_are_those_of_the_item():
    price = Decimal("99999999999999999999.000000000000000123")
    item = coin(current_price=price, market_cap_rank=7, last_updated=UPDATED, extra=Raw(b"{}"))
    table = parquet.read_table(export(item, coin()))
    [first, second] = table.to_pylist()
    assert (first["current_price"], first["current_price_exact"]) == (1e20, str(price))
    assert (first["market_cap_rank"], first["last_updated"]) == (7, UPDATED)
    assert first["extra"] == "{}"
    assert (second["current_price"], second["current_price_exact"]) == (None, None)
    assert [name for name in table.schema.names if not name.endswith("_exact")] == NAMES


TEXTS = [
    ["1.5", None, "0"],
    [None],
    ["99999999999999999999", "1e-18"],
    ["0.10000000000000000000000"],
    ["1e24", "1.2e-21", "-12345678"],
    ["1e38", "1e400", "1e-400", "NaN", "0.1234567890123456789"],
]


@pytest.mark.parametrize("texts", TEXTS)
def test_amounts_are_doubles_with_the_text_of_those_that_have_other_digits(texts):
    types, rows = amounts(*texts)
    assert types == {"ath": "double", "ath_exact": "string"}
    for text, row in zip(texts, rows, strict=True):
        near = None if text is None else float(text)
        holds = text is None or Decimal(repr(near)) == Decimal(text)
        assert row["ath_exact"] == (None if holds else format(Decimal(text), "f"))
        is_close = near is None or text in ("NaN", "0") or 0 < abs(near) < float("inf")
        assert str(row["ath"]) == str(near if is_close else None)


def test_files_of_different_days_fit_together(tmp_path):
    for number, texts in enumerate(TEXTS):
        file = export(*(coin(ath=text and Decimal(text)) for text in texts))
        (tmp_path / f"{number}.parquet").write_bytes(file.getvalue())
    count, pattern = sum(map(len, TEXTS)), f"{tmp_path}/*.parquet"
    assert len(polars.read_parquet(pattern)) == parquet.read_table(tmp_path).num_rows == count
    small = f"SELECT count(*) FROM '{pattern}' WHERE ath = 1.2e-21"  # noqa: S608
    assert duckdb.sql(small).fetchall() == [(1,)]


def test_setting_decides_the_type_of_amounts():
    texts = ["0.1234567890123456789", "2"]
    assert amounts(*texts, amounts="double")[0] == {"ath": "double"}
    types, rows = amounts(*texts, amounts="text")
    assert (types, [row["ath"] for row in rows]) == ({"ath": "string"}, texts)
    with pytest.raises(ConfigurationError, match="PARQUET_AMOUNTS=float: one of auto, double"):
        export(amounts="float")


def test_column_named_like_the_text_of_an_amount_stays():
    rows = [{"a": Decimal("1.00000000000000000001"), "a_exact": "mine"}]
    assert parquet.read_table(export(*rows)).to_pylist() == [
        {"a": 1.0, "a_exact_": "1.00000000000000000001", "a_exact": "mine"}
    ]


def test_rows_of_a_query_have_the_types_of_their_values():
    rows = [
        {"a": None, "b": 1, "c": 0.5, "d": True, "e": UPDATED, "f": "x", "g": 1},
        {"a": None, "b": 2**62, "c": 1, "d": None, "e": None, "f": None, "g": "x"},
    ]
    schema = parquet.read_table(export(*rows)).schema
    types = ["string", "int64", "double", "bool", "timestamp[us, tz=UTC]", "string", "string"]
    assert [str(field.type) for field in schema] == types


READERS = {
    "pandas": lambda file: pandas.read_parquet(file, dtype_backend="pyarrow"),
    "polars": polars.read_parquet,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("setting", ["auto", "double"])
def test_sums_are_numbers(read, setting):
    items = [coin(ath=Decimal("0.5"), max_supply=Decimal("1e50")), coin(ath=Decimal("0.25"))]
    frame = read(export(*items, amounts=setting))
    assert float(frame["ath"].sum()) == 0.75
    assert frame["max_supply"].sum() == 1e50
    assert float(frame["ath"].mean()) == 0.375


KNOWN = {column.name: column.type for column in columns(FullCoin)}


@pytest.mark.parametrize("rows", [[], [dict.fromkeys(NAMES)]], ids=["no rows", "no values"])
def test_file_without_values_has_the_same_types_as_others(rows, tmp_path):
    file = export(*rows, known=KNOWN)
    schema = parquet.read_table(file).schema
    assert schema == parquet.read_table(export(coin())).schema
    path = tmp_path / "coins.parquet"
    path.write_bytes(file.getvalue())
    assert len(pandas.read_parquet(path)) == len(polars.read_parquet(path)) == len(rows)
    assert duckdb.sql(f"SELECT sum(ath) FROM '{path}'").fetchall() == [(None,)]  # noqa: S608


def test_empty_feed_is_a_valid_file():
    assert parquet.read_table(export()).num_rows == 0


@pytest.fixture
def api(sandbox):
    return sandbox("--coins", 300)


def check_all_rows(path):
    [(count, kind)] = duckdb.sql(
        f"SELECT count(*), any_value(typeof(current_price)) FROM '{path}'"  # noqa: S608
    ).fetchall()
    assert (count, kind) == (300, "DOUBLE")
    stored = {row["coin_id"]: row for row in polars.read_parquet(path).to_dicts()}
    for number in range(300):
        expected = expected_row(made_up_coin(number), "usd")["current_price"]
        price, exact = (stored[coin_id(number)][f"current_price{end}"] for end in ("", "_exact"))
        digits = exact or (None if price is None else repr(price))
        assert (digits and Decimal(digits)) == expected


def test_crawl_writes_several_feeds_at_once(scrapy, api, tmp_path):
    names = ["coins.parquet", "coins.xlsx", "coins.csv"]
    feeds = [part for name in names for part in ("-o", tmp_path / name)]
    done = scrapy("crawl", "coins", *feeds, COINGECKO_BASE_URL=api.url, POSTGRES_ENABLED="0")
    assert done.returncode == 0, done.stderr
    check_all_rows(tmp_path / "coins.parquet")
    assert len(pandas.read_excel(tmp_path / "coins.xlsx")) == 300
    assert len(pandas.read_csv(tmp_path / "coins.csv")) == 300


def test_stored_rows_are_written_as_parquet(scrapy, api, tmp_path):
    scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    all_columns = ["coins", "--columns", "all"]
    for name, command in (
        ("coins", all_columns), ("none", [*all_columns, "--listed", "delisted"]),
        ("crawls", ["crawls"]),
    ):  # fmt: skip
        path = tmp_path / f"{name}.parquet"
        with path.open("wb") as out:
            subprocess.run([*SCRAPY, *command, "--format", "parquet", "-n", "all"], cwd=PROJECT,
                           stdout=out, check=True,
                           env=os.environ | CLEAN | scrapy.environment)  # fmt: skip
    check_all_rows(tmp_path / "coins.parquet")
    names = parquet.read_schema(tmp_path / "coins.parquet").names
    assert parquet.read_schema(tmp_path / "none.parquet").names == names
    [crawl] = polars.read_parquet(tmp_path / "crawls.parquet").to_dicts()
    assert (crawl["records"], crawl["outcome"]) == (300, "complete")
    assert isinstance(crawl["seconds"], float)
