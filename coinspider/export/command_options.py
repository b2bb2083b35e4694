"""What the commands that show rows have in common: options, the database, the output."""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from scrapy.exceptions import UsageError
from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError, DatabaseUnreachableError
from coinspider.export.formats import TABULAR, WRITERS, Output
from coinspider.export.terminal import terminal_style

if TYPE_CHECKING:
    from psycopg import Connection

    from coinspider.store.queries import Listing


class Rows(NamedTuple):
    """What a command shows: how to read it, what a row is called, which columns matter most."""

    read: Callable[["Connection"], "Listing"]
    noun: str
    first: Sequence[str] = ()
    needed: int = 1
    default: str = "table"
    """The format where the output is a terminal."""


def add_output_options(
    parser: argparse.ArgumentParser, title: str, formats: Iterable[str] = TABULAR,
    default: str = "table",
) -> argparse._ArgumentGroup:  # fmt: skip
    group = parser.add_argument_group(title)
    add = group.add_argument
    add("-n", "--limit", type=_limit, default=20, metavar="N",
        help="how many rows, or all (default: %(default)s)")  # fmt: skip
    add("--format", choices=list(formats),
        help=f"(default: {default} on a terminal, csv elsewhere)")  # fmt: skip
    add("--exact", action="store_true", help="all digits, in a table too")
    add("--no-color", dest="color", action="store_const", const=False, help="as NO_COLOR=1")
    add("--demo", action="store_true", help="from the database of scrapy demo")
    return group


def refuse_arguments(args: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Raise :exc:`UsageError` for any: Scrapy leaves an unknown option among the arguments."""
    for argument in args:
        if argument.startswith("-"):
            options = list(dict.fromkeys(re.findall(r"--[a-z][\w-]*", parser.format_help())))
            near = difflib.get_close_matches(argument, options, n=3) or options
            raise UsageError(f"no option {argument}: there are {', '.join(near)}", print_help=False)
    if args:
        raise UsageError(f"it takes options only: no {' '.join(args)}", print_help=False)


def show(settings: BaseSettings, opts: argparse.Namespace, rows: Rows) -> int:
    """Write the rows to standard output; give the exit status."""
    try:
        listing = _read(settings, opts, rows)
        style = terminal_style(opts.color, opts.exact)
        style = style._replace(first=rows.first, needed=rows.needed)
        output = Output(
            style, rows.noun, settings.getbool("CSV_FORMULAS_ESCAPED", True),
            settings.get("PARQUET_AMOUNTS", "auto"),
        )  # fmt: skip
        name = opts.format or (rows.default if sys.stdout.isatty() else "csv")
        return _write(listing, name, output)
    except (ConfigurationError, DatabaseUnreachableError) as error:
        raise UsageError(str(error), print_help=False) from None


def _read(settings: BaseSettings, opts: argparse.Namespace, rows: Rows) -> "Listing":
    import psycopg

    from coinspider.store.connect import database_settings, one_line, transaction

    try:
        with transaction(database_settings(settings, opts.demo)) as connection:
            return rows.read(connection)
    except psycopg.Error as error:
        raise DatabaseUnreachableError(f"the database can't be asked: {one_line(error)}") from None


def _write(listing: "Listing", name: str, output: Output) -> int:
    write = WRITERS[name]
    try:
        write(listing, output)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has had enough, as head. Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        sys.stderr.write(f"the output could not be written: {error.strerror}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _limit(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is neither a number nor all")
    # PostgreSQL's limit is a bigint.
    return min(int(text), 2**63 - 1)
