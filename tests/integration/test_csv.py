"""CSV of ours is read back by other programs as it was written."""

import csv
import io
import re
import subprocess

import pytest
from msgspec import Raw

from coinspider.export.feeds import ExactCsvItemExporter, write_csv
from tests.helpers.exports import coin, export
from tests.helpers.needs import program

ROWS = [
    ["a", "plain"], ["b", "x;=1+1"], ["c", "x\r=1+1"], ["d", "x\r\n=1+1"], ["e", 'say "=1"'],
    ["f", "a,b"], ["g", "\t=1"], ["h", " x "], ["i", Raw(b'{"a":"x;=1,2"}')], ["j", "漢字 🚀"],
]  # fmt: skip
PLAIN = [[bytes(v).decode() if isinstance(v, Raw) else v for v in row] for row in ROWS]


def written(formulas_escaped: bool) -> str:
    stream = io.StringIO(newline="")
    write_csv(stream, ["id", "text"], ROWS, formulas_escaped)
    return stream.getvalue()


def read_python(file):
    return list(csv.reader(io.StringIO(file.read_bytes().decode(), newline="")))[1:]


def read_pandas(file):
    pandas = pytest.importorskip("pandas")
    return pandas.read_csv(file, dtype=str, keep_default_na=False).values.tolist()


def read_polars(file):
    polars = pytest.importorskip("polars")
    return [list(row) for row in polars.read_csv(file, infer_schema=False).rows()]


def read_duckdb(file):
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.read_csv(str(file), all_varchar=True, header=True)
    return [list(row) for row in found.fetchall()]


@pytest.mark.parametrize("read", [read_python, read_pandas, read_polars, read_duckdb])
def test_texts_come_back_as_they_were(read, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text(written(False), encoding="utf-8", newline="")
    assert read(file) == PLAIN


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_begins_with_a_formula_wherever_a_sheet_parts_them(delimiter):
    lines = written(True)
    cells = [cell for row in csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter)
             for cell in row]  # fmt: skip
    assert not [cell for cell in cells if cell.lstrip(' "').startswith("=")]
    assert not [line for line in lines.splitlines() if line.startswith("=")]


@pytest.mark.needs("soffice")
def test_libreoffice_reads_the_same_texts_and_no_formula(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    file = tmp_path / "rows.csv"
    file.write_text(written(True), encoding="utf-8", newline="")
    # Commas, double quotes, UTF-8, from the first line:
    # https://wiki.documentfoundation.org/Documentation/DevGuide/Spreadsheet_Documents
    command = [program("soffice"), f"-env:UserInstallation={(tmp_path / 'user').as_uri()}",
               "--headless", "--infilter=CSV:44,34,76,1", "--convert-to", "xlsx",
               "--outdir", tmp_path, file]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    _, *rows = openpyxl.load_workbook(tmp_path / "rows.xlsx").active.iter_rows()
    assert {cell.data_type for row in rows for cell in row} == {"s"}
    found = [[cell.value for cell in row] for row in rows]
    assert found == [[re.sub("\r\n?", "\n", cell) for cell in row] for row in read_python(file)]


def test_feed_has_the_same_escapes():
    text = export(ExactCsvItemExporter, coin(name="x;=1+1\r=2")).read().decode()
    assert "\"x;'=1+1\r'=2\"" in text
