"""What the commands that show rows have in common: their options, the database, the output."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from coinspider.crawl.command import PlainCommand, one_line_errors, quiet_pipe
from coinspider.text import let_go, say

if TYPE_CHECKING:
    from psycopg import Connection

    from coinspider.export.formats import Output
    from coinspider.store.fetch import Listing, RowStream
    from coinspider.store.tables import RowFilter

CHART = "chart"
# The formats for any listing; a chart needs times.
TABULAR = ("table", "list", "csv", "jsonl", "xlsx", "parquet")
FOR_PEOPLE = ("table", "list", CHART)


class Rows(NamedTuple):
    """What a command shows: how to read the rows, what one is called, which columns matter most."""

    read: Callable[["Connection"], "Listing | RowStream"]
    noun: str
    first: Sequence[str] = ()
    needed: int = 1
    empty: str = ""
    """What to say if there are no rows."""
    same: Sequence[str] = ()
    """Columns with the same value in each row: a table goes without them."""
    total: Callable[["Connection"], int] | None = None
    """How many rows there are without the limit."""


class ListingCommand(PlainCommand):
    """A command that shows rows; a subclass gives the title of its options, and its rows."""

    title = ""
    formats: Sequence[str] = TABULAR
    terminal_format = "table"
    limit: int | None = 20

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        # Before Scrapy's own options, which are the same for every command.
        self.group = parser.add_argument_group(self.title)
        super().add_options(parser)
        add = self.group.add_argument
        shown = "all" if self.limit is None else f"{self.limit} on a terminal, all elsewhere"
        add(
            "-n",
            "--limit",
            type=_limit,
            default=self.limit if is_terminal() else None,
            metavar="N",
            help=f"how many rows, or all (default: {shown})",
        )
        add(
            "--format",
            choices=self.formats,
            help=f"(default: {self.terminal_format} on a terminal, csv elsewhere)",
        )
        add("--exact", action="store_true", help="all digits, even in a table")
        add(
            "--no-color",
            dest="color",
            action="store_const",
            const=False,
            help="the same as NO_COLOR=1",
        )
        add("--demo", action="store_true", help="from the demo's database")

    def add_choice(self, found: str, sort: str = "") -> None:
        """The options that choose rows and columns; ``found`` says what a search finds."""
        add = self.group.add_argument
        add("--search", metavar="TEXT", help=found)
        text = "the column to sort by; --sort=-COLUMN for the largest first"
        add("--sort", default=sort, metavar="COLUMN", help=text)
        add("--columns", metavar="A,B,...", help="other columns, or all")

    def rows(self, opts: argparse.Namespace) -> Rows:
        raise NotImplementedError

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        self.reject_arguments(args)
        self.exitcode = self.show(opts, self.rows(opts))

    def output_format(self, opts: argparse.Namespace) -> str:
        """The format that was chosen, or the one that suits where the output goes."""
        return opts.format or (self.terminal_format if is_terminal() else "csv")

    def show(self, opts: argparse.Namespace, rows: Rows) -> int:
        """Write the rows to standard output; return the exit status."""
        # Scrapy imports all commands, whichever is to run.
        from coinspider.export.formats import Output
        from coinspider.export.terminal import terminal_style
        from coinspider.store.fetch import Listing

        assert self.settings
        if sys.stdout is None:
            say("the output could not be written: it is closed")
            return 1
        with one_line_errors():
            style = terminal_style(opts.color, opts.exact)
            style = style._replace(first=rows.first, needed=rows.needed)
            output = Output(
                style,
                rows.noun,
                self.settings.getbool("CSV_FORMULAS_ESCAPED", True),
                self.settings.get("PARQUET_AMOUNTS", "auto"),
                rows.same,
            )
            name = self.output_format(opts)
            # Written in the same transaction, because large listings are read meanwhile.
            with self.connected(opts) as connection:
                listing = rows.read(connection)
                if rows.empty and listing.is_empty and opts.limit != 0:
                    say(rows.empty)
                    if name in FOR_PEOPLE:
                        return 0
                if name in FOR_PEOPLE and isinstance(listing, Listing) and rows.total:
                    output = output._replace(total=rows.total(connection))
                return _write(listing, name, output)

    @contextmanager
    def connected(self, opts: argparse.Namespace) -> "Iterator[Connection]":
        """A connection to the database of the options, in a transaction."""
        from coinspider.store.connection import database_settings, plain_errors, transaction

        assert self.settings
        database = database_settings(self.settings, opts.demo)
        with plain_errors(), transaction(database) as connection:
            yield connection


def rows_of(
    connection: "Connection", chosen: "RowFilter", for_people: bool
) -> "Listing | RowStream":
    """All at once for people; for programs, who may want more than fits into memory, in parts."""
    from coinspider.store.tables import list_rows, stream_rows

    return (list_rows if for_people else stream_rows)(connection, chosen)


def total_of(connection: "Connection", chosen: "RowFilter") -> int:
    from coinspider.store.tables import count_rows

    return count_rows(connection, chosen)


def is_terminal() -> bool:
    """Whether standard output is one; it may also be closed."""
    return sys.stdout is not None and sys.stdout.isatty()


def _write(listing: "Listing | RowStream", name: str, output: "Output") -> int:
    from coinspider.export.formats import WRITERS

    write = WRITERS[name]
    try:
        with quiet_pipe():
            write(listing, output)
    except OSError as error:
        say(f"the output could not be written: {error.strerror}")
        let_go(sys.stdout)
        return 1
    return 0


def _limit(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is neither a number nor all")
    # PostgreSQL's limit is a bigint.
    return min(int(text), 2**63 - 1)
