"""Listings on standard output: tables for people; CSV, JSON lines, Parquet, xlsx for programs."""

import sys
from collections.abc import Callable, Sequence
from io import BytesIO, TextIOWrapper
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Raw

from coinspider.errors import ConfigurationError
from coinspider.export.terminal import TableStyle, chart_lines, list_lines, table_lines
from coinspider.text import exact, exact_json_row

if TYPE_CHECKING:
    from coinspider.export.feeds import RowExporter
    from coinspider.records.table_item import ColumnType
    from coinspider.store.fetch import Listing, RowStream


class Output(NamedTuple):
    """How to write a listing.

    ``noun`` is what a row is called, such as ``coin``; tables go without the columns ``same``.
    """

    style: TableStyle
    noun: str = "row"
    formulas_escaped: bool = True
    parquet_amounts: str = "auto"
    same: Sequence[str] = ()
    total: int | None = None
    """How many rows there are, if not all are shown."""


def write_table(listing: "Listing", output: Output) -> None:
    title = [f"{output.style.shown(listing.title)}; times are UTC", ""] if listing.title else []
    lines = table_lines(listing.without(output.same), output.style)
    _write_lines([*title, *lines, *_foot(listing, output)])


def write_list(listing: "Listing", output: Output) -> None:
    _write_lines([*list_lines(listing, output.style), *_foot(listing, output)])


def _foot(listing: "Listing", output: Output) -> list[str]:
    shown = len(listing.rows)
    is_part = output.total is not None and shown < output.total
    return [f"{shown:,} of {output.total:,} (--limit all)"] if is_part else []


def write_chart(listing: "Listing", output: Output) -> None:
    """The price over time, from a listing of candles or changes."""
    price = "close" if "close" in listing.columns else "current_price"
    time = "started_at" if "started_at" in listing.columns else "recorded_at"
    points = [
        (row[time], row[price])
        for row in listing.dicts()
        if row[price] is not None and row[price].is_finite()
    ]
    _write_lines(chart_lines(points, output.style, listing.title))


def write_csv(listing: "Listing | RowStream", output: Output) -> None:
    """In UTF-8 whatever the locale, because programs read it."""
    _as_utf8()
    from coinspider.export.feeds import write_csv as write_rows

    write_rows(sys.stdout, listing.columns, listing.rows, output.formulas_escaped)


def write_json_lines(listing: "Listing | RowStream", _: Output) -> None:
    _as_utf8()
    for row in listing.each_dict():
        sys.stdout.write(f"{exact_json_row(row).decode()}\n")


def write_xlsx(listing: "Listing | RowStream", output: Output) -> None:
    _write_bytes(lambda: workbook(listing, output.noun))


def write_parquet(listing: "Listing | RowStream", output: Output) -> None:
    _write_bytes(lambda: parquet(listing, output.parquet_amounts))


def workbook(listing: "Listing | RowStream", noun: str) -> bytes:
    from coinspider.export.xlsx import XlsxItemExporter

    return _exported(
        listing, lambda file: XlsxItemExporter(file, sheet=f"{noun}s", known=_known(listing))
    )


def parquet(listing: "Listing | RowStream", amounts: str) -> bytes:
    from coinspider.export.parquet import ParquetItemExporter

    return _exported(
        listing, lambda file: ParquetItemExporter(file, amounts=amounts, known=_known(listing))
    )


WRITERS: "dict[str, Callable[[Any, Output], None]]" = {
    "table": write_table,
    "list": write_list,
    "csv": write_csv,
    "jsonl": write_json_lines,
    "xlsx": write_xlsx,
    "parquet": write_parquet,
    "chart": write_chart,
}


def _known(listing: "Listing | RowStream") -> "dict[str, ColumnType | None]":
    return {name: listing.types.get(name) for name in listing.columns}


def _as_utf8() -> None:
    assert isinstance(sys.stdout, TextIOWrapper)
    sys.stdout.reconfigure(encoding="utf-8")


def _write_lines(lines: list[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _write_bytes(make: Callable[[], bytes]) -> None:
    if sys.stdout.isatty():
        raise ConfigurationError("a terminal can't show that: append > FILE to the command")
    sys.stdout.buffer.write(make())


def _exported(listing: "Listing | RowStream", make: Callable[[BytesIO], "RowExporter"]) -> bytes:
    """A file of rows. Raises :exc:`ConfigurationError` if the package that makes it is missing."""
    exporter = make(file := BytesIO())
    exporter.begin(None, list(listing.columns))
    for row in listing.rows:
        exporter.write_row([exact(v) if isinstance(v, Raw) else v for v in row])
    exporter.finish_exporting()
    return file.getvalue()
