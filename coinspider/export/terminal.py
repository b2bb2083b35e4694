"""Rows for people and for programs: a table, CSV, JSON lines, a sheet."""

import csv
import sys
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING

from msgspec import Raw

from coinspider.errors import ConfigurationError
from coinspider.exact_json import encode
from coinspider.text import exact, readable

if TYPE_CHECKING:
    from coinspider.store.queries import Listing


def write_table(listing: "Listing", all_digits: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cell = exact if all_digits else readable
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0))
    cells = [[cell(value) for value in row] for row in listing.rows]
    for number, name in enumerate(listing.columns):
        if any(isinstance(row[number], (Decimal, int, float)) for row in listing.rows):
            # Never cut: what is missing at the end of a number is its size.
            width = max(len(row[number]) for row in cells)
            header = name.replace("_", "\n")
            table.add_column(header, justify="right", min_width=width, no_wrap=True)
        else:
            table.add_column(name, min_width=6, overflow="fold")
    for row in cells:
        # As text, not as markup: a coin's name may hold brackets.
        table.add_row(*map(Text, row))
    Console().print(table)


def write_csv(listing: "Listing", _: bool) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(listing.columns)
    writer.writerows(map(exact, row) for row in listing.rows)


def write_json_lines(listing: "Listing", _: bool) -> None:
    for row in listing.dicts():
        sys.stdout.write(f"{encode(row).decode()}\n")


def write_xlsx(listing: "Listing", _: bool) -> None:
    try:
        from coinspider.export.xlsx import XlsxItemExporter

        exporter = XlsxItemExporter(file := BytesIO())
    except ImportError:
        raise ConfigurationError("for Excel: pip install openpyxl") from None
    if sys.stdout.isatty():
        raise ConfigurationError("name a file: scrapy coins --format xlsx > coins.xlsx")
    for row in listing.rows:
        values = (exact(value) if isinstance(value, Raw) else value for value in row)
        exporter.export_item(dict(zip(listing.columns, values, strict=True)))
    exporter.finish_exporting()
    sys.stdout.buffer.write(file.getvalue())


WRITERS = {
    "table": write_table,
    "csv": write_csv,
    "jsonl": write_json_lines,
    "xlsx": write_xlsx,
}
