"""``scrapy coins``: the rows in the terminal, or for another program."""

import argparse
import csv
import json
import sys
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

if TYPE_CHECKING:
    from coinspider.listing import Listing

DEMO_DATABASE = "demo"


class Command(ScrapyCommand):
    """A table on a terminal, CSV with all digits where its output goes elsewhere."""

    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012 (Scrapy declares it)

    def short_desc(self) -> str:
        return "Show the coins that the crawls stored"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        add = parser.add_argument_group("Coins").add_argument
        add("-n", "--limit", type=_limit, default=20, metavar="N",
            help="how many rows, or all (default: %(default)s)")  # fmt: skip
        add("--search", metavar="TEXT", help="in the symbol or the name, or a coin's id")
        add("--sort", default="market_cap_rank", metavar="COLUMN",
            help="the column to sort by; --sort=-COLUMN for the greatest first")  # fmt: skip
        add("--columns", metavar="A,B,...", help="other columns, or all")
        add("--currency", default="usd", help="(default: %(default)s)")
        add("--crawls", action="store_true", help="the runs instead")
        add("--rejected", action="store_true", help="the records that were set aside instead")
        add("--format", choices=list(WRITERS),
            help="(default: table on a terminal, csv elsewhere)")  # fmt: skip
        add("--exact", action="store_true", help="all digits, in a table too")
        add("--demo", action="store_true", help="from the database of scrapy demo")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        import psycopg

        from coinspider.database import DatabaseUnreachableError, one_line
        from coinspider.failure import ConfigurationError

        if args:
            raise UsageError("it takes options only, as --search bitcoin", print_help=False)
        try:
            listing = self._read(opts)
        except (ConfigurationError, DatabaseUnreachableError) as error:
            raise UsageError(str(error), print_help=False) from None
        except psycopg.OperationalError as error:
            raise UsageError(
                f"the database can't be asked: {one_line(error)}", print_help=False
            ) from None
        write = WRITERS[opts.format or ("table" if sys.stdout.isatty() else "csv")]
        write(listing, opts.exact)

    def _read(self, opts: argparse.Namespace) -> "Listing":
        import psycopg

        from coinspider import listing
        from coinspider.database import describe, embedded_url

        assert self.settings
        url = None if opts.demo else self.settings.get("DATABASE_URL")
        url = url or embedded_url(DEMO_DATABASE if opts.demo else "postgres")
        describe(url)
        with psycopg.connect(url, connect_timeout=10) as connection:
            if opts.crawls:
                return listing.list_crawls(connection, opts.limit)
            if opts.rejected:
                return listing.list_rejected_records(connection, opts.limit)
            chosen = listing.CoinFilter(
                opts.currency, opts.search, opts.sort, _columns(opts.columns), opts.limit
            )
            return listing.list_coins(connection, chosen)


def _limit(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is neither a number nor all")
    return int(text)


def _columns(text: str | None) -> list[str]:
    from coinspider.listing import COIN_COLUMNS, SHOWN

    if text == "all":
        return list(COIN_COLUMNS)
    return text.split(",") if text else list(SHOWN)


def write_table(listing: "Listing", all_digits: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from coinspider.readable import exact, readable

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
    from coinspider.readable import exact

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(listing.columns)
    writer.writerows(map(exact, row) for row in listing.rows)


def write_json_lines(listing: "Listing", _: bool) -> None:
    for row in listing.rows:
        fields = (f"{json.dumps(name)}: {_json(value)}"
                  for name, value in zip(listing.columns, row, strict=True))  # fmt: skip
        print(f"{{{', '.join(fields)}}}")


def _json(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    return json.dumps(value.isoformat() if isinstance(value, datetime) else value,
                      ensure_ascii=False)  # fmt: skip


def write_xlsx(listing: "Listing", _: bool) -> None:
    from io import BytesIO

    from coinspider.readable import exact

    try:
        from coinspider.spreadsheet_exporter import XlsxItemExporter

        exporter = XlsxItemExporter(file := BytesIO())
    except ImportError:
        raise UsageError("for Excel: pip install openpyxl", print_help=False) from None
    if sys.stdout.isatty():
        raise UsageError("name a file: scrapy coins --format xlsx > coins.xlsx", print_help=False)
    for row in listing.rows:
        values = (exact(value) if isinstance(value, (dict, list)) else value for value in row)
        exporter.export_item(dict(zip(listing.columns, values, strict=True)))
    exporter.finish_exporting()
    sys.stdout.buffer.write(file.getvalue())


WRITERS = {
    "table": write_table,
    "csv": write_csv,
    "jsonl": write_json_lines,
    "xlsx": write_xlsx,
}
