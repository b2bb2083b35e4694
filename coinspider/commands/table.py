"""``scrapy table NAME``: the rows of a table that crawls have filled; or which tables there are."""

import argparse
from typing import TYPE_CHECKING

from coinspider.crawl.command import names_of, one_line_errors
from coinspider.export.listing_command import FOR_PEOPLE, ListingCommand, Rows, rows_of, total_of

if TYPE_CHECKING:
    from psycopg import Connection

    from coinspider.store.fetch import Listing
    from coinspider.store.tables import RowFilter


class Command(ListingCommand):
    """As ``scrapy coins``, for the table of another API, or for ``crawl`` itself."""

    summary = "Show a table of any API that the crawls stored, or which tables there are"
    usage = "[NAME] [options]"
    title = "Rows"
    examples = (
        "scrapy table",
        "scrapy table assets --search bitcoin",
        "scrapy table assets --where 'price_usd >= 1k, rank <= 50' --sort=-price_usd",
        "scrapy table assets > assets.csv",
    )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        self.add_choice("rows with this text in any column")
        text = "conditions, as in 'price >= 1M, active = true'"
        self.group.add_argument("--where", default="", metavar="A>=B,...", help=text)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        name, *others = names_of(self.parser, args) or [""]
        self.reject_arguments(others)
        if not name:
            self.exitcode = self.show(opts, Rows(_tables, "table", first=("table", "rows")))
            return
        with one_line_errors(), self.connected(opts) as connection:
            chosen = _chosen(connection, name, opts)
        for_people = self.output_format(opts) in FOR_PEOPLE
        rows = Rows(
            lambda connection: rows_of(connection, chosen, for_people),
            "row",
            first=chosen.columns,
            total=lambda connection: total_of(connection, chosen),
        )
        self.exitcode = self.show(opts, rows)


def _chosen(connection: "Connection", name: str, opts: argparse.Namespace) -> "RowFilter":
    from coinspider.store.bounds import read_where
    from coinspider.store.tables import RowFilter, find_table

    table = find_table(connection, name)
    # The key first: a narrow terminal shows the first columns.
    usual = sorted(table.types, key=lambda column: column not in table.primary_key)
    columns = usual if opts.columns in (None, "all") else opts.columns.split(",")
    sort, conditions = opts.sort or usual[0], read_where(table, opts.where)
    return RowFilter(
        table, {}, columns, sort, opts.search or None, opts.limit, conditions=conditions
    )


def _tables(connection: "Connection") -> "Listing":
    from coinspider.store.fetch import Listing
    from coinspider.store.tables import count_all, list_tables

    rows = [
        (
            table.name,
            count_all(connection, table.name),
            ", ".join(f"{name} {kind}" for name, kind in table.types.items()),
        )
        for table in list_tables(connection).values()
    ]
    return Listing(["table", "rows", "columns"], rows)
