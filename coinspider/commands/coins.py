"""``scrapy coins``: the rows in the terminal, or for another program."""

import argparse
import sys
from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

from coinspider.export.terminal import WRITERS

if TYPE_CHECKING:
    from coinspider.store.queries import Listing


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

        from coinspider.errors import ConfigurationError, DatabaseUnreachableError
        from coinspider.store.connect import one_line

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
        try:
            write(listing, opts.exact)
        except ConfigurationError as error:
            raise UsageError(str(error), print_help=False) from None

    def _read(self, opts: argparse.Namespace) -> "Listing":
        import psycopg

        from coinspider.items import FullCoin
        from coinspider.store import queries
        from coinspider.store.connect import database_url, describe

        assert self.settings
        url = database_url(self.settings, opts.demo)
        describe(url)
        with psycopg.connect(url, connect_timeout=10) as connection:
            if opts.crawls:
                return queries.list_crawls(connection, opts.limit)
            if opts.rejected:
                return queries.list_rejected_records(connection, opts.limit)
            chosen = queries.RowFilter(
                FullCoin, {"vs_currency": opts.currency}, _columns(opts.columns), opts.sort,
                opts.search, opts.limit,
            )  # fmt: skip
            return queries.list_rows(connection, chosen)


def _limit(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is neither a number nor all")
    return int(text)


def _columns(text: str | None) -> list[str]:
    from coinspider.items import FullCoin
    from coinspider.records.table_item import stored_columns

    if text == "all":
        return stored_columns(FullCoin)
    return text.split(",") if text else list(FullCoin.shown)
