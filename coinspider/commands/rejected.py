"""``scrapy rejected``: the records that could not be stored, the newest first."""

import argparse

from coinspider.export.listing_command import ListingCommand, Rows


class Command(ListingCommand):
    """The table ``rejected_record``."""

    summary = "Show the records that could not be stored, each with its reason"
    title = "Rejected records"
    examples = (
        "scrapy rejected",
        "scrapy rejected > rejected.csv",
    )

    def rows(self, opts: argparse.Namespace) -> Rows:
        from coinspider.store import rejected, tables

        return Rows(
            lambda connection: rejected.list_rejected_records(connection, opts.limit),
            "record",
            first=("id", "reason", "text"),
            needed=2,
            total=lambda connection: tables.count_all(connection, "rejected_record"),
            empty="no record is kept as rejected",
        )
