"""``scrapy history COIN``: the history of a coin's price, as a chart, a table, or for programs."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scrapy.exceptions import UsageError

from coinspider.export.listing_command import CHART, TABULAR, ListingCommand, Rows

if TYPE_CHECKING:
    from psycopg import Connection

    from coinspider.store.fetch import Listing

CHANGES = "changes"
# For more days than this, daily candles are enough.
DAYS_OF_HOURS = 92


class Command(ListingCommand):
    """Hourly or daily candles, or every change that is still kept, the oldest first."""

    title = "History"
    formats = (CHART, *TABULAR)
    terminal_format = CHART

    def syntax(self) -> str:
        return "COIN [options]"

    def short_desc(self) -> str:
        return "Show the history of a coin's price"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        add = self.group.add_argument
        parser.set_defaults(limit=None)
        add("--days", type=_days, default=30.0, metavar="N", help="the last N days, or all")
        add("--resolution", choices=("1h", "1d", CHANGES),
            help="candles of an hour or of a day, or each change"
                 f" (default: 1h up to {DAYS_OF_HOURS} days, else 1d)")  # fmt: skip
        add("--currency", default="usd", type=str.lower, help="(default: %(default)s)")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if not args or args[0].startswith("-"):
            self.reject_arguments(args)
            raise UsageError("name a coin: scrapy history bitcoin", print_help=False)
        self.reject_arguments(args[1:])
        rows = Rows(
            lambda connection: _history(connection, args[0], opts), "candle",
            first=("started_at", "recorded_at", "close", "current_price"),
            empty=f"nothing is kept of {args[0]} in that time: --days all shows what there is",
        )  # fmt: skip
        self.exitcode = self.show(opts, rows)


def _history(connection: "Connection", coin: str, opts: argparse.Namespace) -> "Listing":
    from coinspider.items import FullCoin
    from coinspider.store import series

    key = {"coin_id": _coin_id(connection, coin, opts.currency), "vs_currency": opts.currency}
    since = datetime.now(UTC) - timedelta(days=opts.days) if opts.days else None
    is_long = opts.days is None or opts.days > DAYS_OF_HOURS
    resolution = opts.resolution or ("1d" if is_long else "1h")
    span = series.Span(since)
    if resolution == CHANGES:
        listing = series.list_changes(connection, FullCoin, key, span)
    else:
        listing = series.list_candles(connection, FullCoin, key, resolution, span)
    first = 0 if opts.limit is None else max(len(listing.rows) - opts.limit, 0)
    return listing._replace(rows=listing.rows[first:])


def _coin_id(connection: "Connection", text: str, currency: str) -> str:
    """The id itself, or that of the only coin with this symbol."""
    from coinspider.errors import ConfigurationError
    from coinspider.items import FullCoin
    from coinspider.store import queries
    from coinspider.store.row_filter import RowFilter

    chosen = RowFilter(
        FullCoin, {"vs_currency": currency}, ["coin_id", "symbol", "name"], "market_cap_rank",
        text, None,
    )  # fmt: skip
    rows = queries.list_rows(connection, chosen).rows
    if any(coin_id == text.lower() for coin_id, *_ in rows):
        return text.lower()
    found = [coin_id for coin_id, symbol, _ in rows if symbol.lower() == text.lower()]
    if len(found) == 1:
        return str(found[0])
    near = found or [row[0] for row in rows] or queries.similar_keys(connection, chosen)
    hint = f": did you mean {', '.join(near[:5])}?" if near else ""
    problem = "several coins have the symbol" if found else f"no coin in {currency} has the id"
    raise ConfigurationError(f"{problem} {text}{hint}")


def _days(text: str) -> float | None:
    if text == "all":
        return None
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= 36_500:
        raise argparse.ArgumentTypeError(f"{text} is neither a number of days nor all")
    return days
