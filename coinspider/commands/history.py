"""``scrapy history COIN``: the history of a coin's price, as a chart, a table, or for programs."""

import argparse
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scrapy.cmdline import execute

from coinspider.crawl.command import WrongUsageError, names_of, number, one_line_errors
from coinspider.export.listing_command import CHART, TABULAR, ListingCommand, Rows
from coinspider.installation import program
from coinspider.text import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

    from coinspider.store.fetch import Listing
    from coinspider.store.series import Span

CHANGES = "changes"
# For more days than this, daily candles are enough.
DAYS_OF_HOURS = 92
DAYS, DAYS_MAX, ALL = 30, 36_500, math.inf
CANDLES_OF_CHART = 24  # with fewer, a chart of the changes may show more
OTHERS_MAX = 5


class Command(ListingCommand):
    """Hourly or daily candles, or every change that is still kept, the oldest first."""

    summary = "Show the history of a coin's price"
    usage = "COIN [options]"
    title = "History"
    formats = (CHART, *TABULAR)
    terminal_format = CHART
    examples = (
        "scrapy history bitcoin",
        "scrapy history btc --days 365 --format table",
        "scrapy history bitcoin --resolution changes > changes.csv",
        "scrapy history bitcoin --backfill 365",
        "scrapy history --backfill 90 --top 100",
    )
    limit = None

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        begin = self.group.add_mutually_exclusive_group()
        begin.add_argument(
            "--days", type=_days, metavar="N", help=f"the last N days, or all (default: {DAYS})"
        )
        begin.add_argument(
            "--since",
            type=_time,
            metavar="TIME",
            help="from this time, such as 2026-01-31 or 2026-01-31T14:30+02:00; UTC unless it has"
            " an offset",
        )
        add = self.group.add_argument
        add("--until", type=_time, metavar="TIME", help="to before this time")
        add(
            "--resolution",
            choices=("1h", "1d", CHANGES),
            help="candles of an hour or of a day, or each change"
            f" (default: 1h up to {DAYS_OF_HOURS} days, else 1d)",
        )
        add("--currency", default="usd", type=str.lower, help="(default: %(default)s)")
        load = parser.add_argument_group("Prices of the time before the first crawl")
        load.add_argument(
            "--backfill",
            type=number(int, 1, DAYS_MAX),
            metavar="DAYS",
            help="load them from CoinGecko, one call a coin: of one day every five minutes, up to"
            " 90 days hourly, else daily. It says first what it costs, and can be interrupted: the"
            " same command goes on where it was",
        )
        load.add_argument(
            "--top",
            type=number(int, 1),
            metavar="N",
            help="with --backfill: of the N largest coins instead of one",
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        names = names_of(self.parser, args)
        if opts.top and not opts.backfill:
            raise WrongUsageError("--top goes with --backfill DAYS")
        if len(names) + bool(opts.top) > 1:
            others = [*names, *([f"--top {opts.top}"] if opts.top else ())]
            raise WrongUsageError(f"name one coin, not {' '.join(others)}")
        if not (names or opts.top):
            raise WrongUsageError(f"name a coin: {program()} history bitcoin")
        if opts.backfill:
            self._backfill(names, opts)
            return
        [coin] = names
        may_refine = not opts.resolution and self.output_format(opts) == CHART
        rows = Rows(
            lambda connection: _history(connection, coin, opts, may_refine),
            "candle",
            first=("started_at", "recorded_at", "close", "current_price"),
            empty=f"nothing is kept of {coin} in that time: --days all shows what there is",
            same=("coin_id", "vs_currency"),
        )
        self.exitcode = self.show(opts, rows)

    def _backfill(self, names: list[str], opts: argparse.Namespace) -> None:
        """By a crawl like any other: with limit, credits, last line and exit status."""
        if opts.demo:
            raise WrongUsageError("CoinGecko has no prices of the demo's coins")
        arguments = {"days": opts.backfill, "vs_currency": opts.currency, "top": opts.top}
        with one_line_errors(), self.connected(opts) as connection:
            if names:
                arguments["ids"] = _coin(connection, names[0], opts.currency)["coin_id"]
        words = [f"{name}={value}" for name, value in arguments.items() if value is not None]
        execute(
            ["scrapy", "crawl", "market_chart"]
            + [part for word in words for part in ("-a", word)]
            + [part for word in opts.set for part in ("-s", word)]
        )


def _history(
    connection: "Connection", text: str, opts: argparse.Namespace, may_refine: bool
) -> "Listing":
    """``may_refine`` is whether changes are shown if there are too few candles for a chart."""
    from coinspider.items import FullCoin
    from coinspider.store import series

    coin = _coin(connection, text, opts.currency)
    key = {"coin_id": coin["coin_id"], "vs_currency": opts.currency}
    span, resolution = _span(opts), opts.resolution or _resolution(opts)
    if resolution == CHANGES:
        listing = series.list_changes(connection, FullCoin, key, span)
    else:
        listing = series.list_candles(connection, FullCoin, key, resolution, span)
        if may_refine and len(listing.rows) < CANDLES_OF_CHART:
            changes = series.list_changes(connection, FullCoin, key, span)
            listing = max(listing, changes, key=lambda each: len(each.rows))
    first = 0 if opts.limit is None else max(len(listing.rows) - opts.limit, 0)
    title = f"{coin['name']} ({coin['symbol']}) in {opts.currency}"
    return listing._replace(rows=listing.rows[first:], title=title)


def _coin(connection: "Connection", text: str, currency: str) -> "Mapping[str, object]":
    from coinspider.items import FullCoin
    from coinspider.store.tables import find_named_row

    found = find_named_row(connection, FullCoin, text, {"vs_currency": currency})
    if found.others:
        others = ", ".join(found.others[:OTHERS_MAX])
        say(
            f"{found.row['coin_id']} is the largest coin with the {found.by} {text};"
            f" others are {others}"
        )
    return found.row


def _span(opts: argparse.Namespace) -> "Span":
    from coinspider.store.series import Span

    days = opts.days or DAYS
    if opts.since or days == ALL:
        return Span(opts.since, opts.until)
    return Span((opts.until or datetime.now(UTC)) - timedelta(days=days), opts.until)


def _resolution(opts: argparse.Namespace) -> str:
    since, until = _span(opts)
    if since is None or (until or datetime.now(UTC)) - since > timedelta(
        days=DAYS_OF_HOURS, hours=1
    ):
        return "1d"
    return "1h"


def _days(text: str) -> float:
    try:
        days = ALL if text == "all" else float(text)
    except ValueError:
        days = 0.0
    if not (0 < days <= DAYS_MAX or days == ALL):
        raise argparse.ArgumentTypeError(
            f"{text} is neither a number of days up to {DAYS_MAX} nor all"
        )
    return days


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text} is not a time such as 2026-01-31 or 2026-01-31T14:30"
        ) from None
