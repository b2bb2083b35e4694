"""``scrapy crawls``: what became of each crawl, the newest first."""

import argparse

from coinspider.export.listing_command import FOR_PEOPLE, ListingCommand, Rows
from coinspider.installation import program


class Command(ListingCommand):
    """The table ``crawl``; what became of each is shown however narrow the terminal is."""

    summary = "Show what became of each crawl"
    title = "Crawls"
    examples = (
        "scrapy crawls",
        "scrapy crawls --limit 1 --format list",
    )

    def rows(self, opts: argparse.Namespace) -> Rows:
        from coinspider.store import crawl, tables

        for_people = self.output_format(opts) in FOR_PEOPLE
        return Rows(
            lambda connection: crawl.list_crawls(connection, opts.limit, short=for_people),
            "crawl",
            first=("id", "outcome", "spider", "currency", "given", "message", "started_at"),
            needed=6,
            total=lambda connection: tables.count_all(connection, "crawl"),
            empty=f"there is no crawl yet: {program()} crawl coins",
        )
