"""``scrapy crawls``: what became of each crawl, the newest first."""

import argparse

from coinspider.export.listing_command import ListingCommand, Rows
from coinspider.text import program


class Command(ListingCommand):
    """The table ``crawl``; its outcome and its message are shown however narrow the terminal is."""

    title = "Crawls"
    examples = (
        "scrapy crawls",
        "scrapy crawls --limit 1 --format list",
    )

    def short_desc(self) -> str:
        return "Show what became of each crawl"

    def rows(self, opts: argparse.Namespace) -> Rows:
        from coinspider.store import crawl, tables

        return Rows(
            lambda connection: crawl.list_crawls(connection, opts.limit),
            "crawl",
            first=("id", "outcome", "message", "started_at", "spider"),
            needed=3,
            total=lambda connection: tables.count_all(connection, "crawl"),
            empty=f"there is no crawl yet: {program()} crawl coins",
        )
