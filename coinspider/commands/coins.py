"""``scrapy coins``: the stored coins, in the terminal or for another program."""

import argparse
from typing import TYPE_CHECKING

from coinspider.crawl.command import WrongUsageError, one_line_errors
from coinspider.export.listing_command import FOR_PEOPLE, ListingCommand, Rows, rows_of, total_of
from coinspider.text import say

if TYPE_CHECKING:
    from psycopg import Connection

    from coinspider.store.fetch import Listing, RowStream
    from coinspider.store.tables import RowFilter

# The columns that stay longest as the terminal gets narrower.
FIRST = ("name", "current_price", "price_change_percentage_24h", "market_cap_rank", "market_cap")
# As in the address of the page /coins.
LISTED = ("listed", "delisted", "all")


class Command(ListingCommand):
    """A table on a terminal; CSV with all digits if the output goes elsewhere."""

    summary = "Show the coins that the crawls stored"
    title = "Coins"
    examples = (
        "scrapy coins",
        "scrapy coins --search doge --sort=-total_volume",
        "scrapy coins --cap-min 1B --change-min 5",
        "scrapy coins --search bitcoin --columns all --format list",
        "scrapy coins --watched",
        "scrapy coins --columns all > coins.csv",
    )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        found = "coins with this text in their symbol or name, or with this id"
        self.add_choice(found, "market_cap_rank")
        add = self.group.add_argument
        add(
            "--listed",
            choices=LISTED,
            default="listed",
            help="only coins that the API still lists, only others, or all (default: %(default)s)",
        )
        add(
            "--currency",
            default="usd",
            type=str.lower,
            help="of the amounts (default: %(default)s)",
        )

        from coinspider.store.bounds import BOUNDS

        for name, bound in BOUNDS.items():
            option = f"--{name.replace('_', '-')}"
            text = f"{bound.label.lower()}, as in {bound.example}".replace("%", "%%")
            add(option, metavar="NUMBER", help=text)
        add("--new", metavar="DAYS", help="crawled for the first time in these days")
        text = "on the watch list of an account of the pages, or of any"
        add("--watched", nargs="?", const="", metavar="ACCOUNT", help=text)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if args and not args[0].startswith("-"):
            raise WrongUsageError(f"no {args[0]}: for a coin --search {args[0]}")
        self.reject_arguments(args)
        columns = _columns(opts.columns, opts.listed)
        for_people = self.output_format(opts) in FOR_PEOPLE
        with one_line_errors():
            chosen = _chosen(opts, columns)
            if opts.watched is not None:
                chosen = self._watched(opts, chosen)
        rows = Rows(
            lambda connection: _coins(connection, chosen, for_people),
            "coin",
            first=columns if opts.columns not in (None, "all") else FIRST,
            total=lambda connection: total_of(connection, chosen),
        )
        self.exitcode = self.show(opts, rows)

    def _watched(self, opts: argparse.Namespace, chosen: "RowFilter") -> "RowFilter":
        """Those of them on a watch list in the database."""
        from coinspider.store.tables import Condition, list_watched

        with self.connected(opts) as connection:
            watched = list_watched(connection, opts.watched or None)
        if not watched:
            say("no coin is watched: the star beside one adds it, on pages with a log-in")
        on_list = Condition("coin_id", "IN", watched)
        return chosen._replace(conditions=[*chosen.conditions, on_list])


def _chosen(opts: argparse.Namespace, columns: list[str]) -> "RowFilter":
    from coinspider.items import FullCoin
    from coinspider.store.bounds import conditions
    from coinspider.store.tables import RowFilter, table_of

    constants = {"vs_currency": opts.currency}
    return RowFilter(
        table_of(FullCoin),
        constants,
        columns,
        opts.sort,
        opts.search,
        opts.limit,
        listed=opts.listed,
        conditions=conditions(vars(opts)),
    )


def _coins(
    connection: "Connection", chosen: "RowFilter", for_people: bool
) -> "Listing | RowStream":
    from coinspider.store.crawl import first_crawl

    listing = rows_of(connection, chosen, for_people)
    if listing.is_empty and chosen.limit != 0:
        _explain(connection, chosen)
    if for_people and (said := first_crawl(connection, chosen.constants["vs_currency"])):
        say(f"The other coins are still to come: {said}")
    return listing


def _explain(connection: "Connection", chosen: "RowFilter") -> None:
    """Say what there is, if nothing is found."""
    from coinspider.store import tables
    from coinspider.store.tables import check_constants

    check_constants(connection, chosen)
    if not chosen.search:
        return
    currency, everything = chosen.constants["vs_currency"], chosen._replace(listed="all")
    if others := tables.count_rows(connection, everything):
        hint = f"; {others} not in this list: --listed all"
    else:
        near = tables.similar_keys(connection, chosen)
        hint = f": did you mean {', '.join(near)}?" if near else ""
    say(f"no coin in {currency} has {chosen.search} in its symbol or name{hint}")


def _columns(text: str | None, listed: str) -> list[str]:
    from coinspider.items import FullCoin
    from coinspider.records.table_item import stored_columns

    if text == "all":
        return stored_columns(FullCoin)
    if text:
        return [name.strip() for name in text.split(",")]
    return [*FullCoin.shown, *([] if listed == "listed" else ["delisted_at"])]
