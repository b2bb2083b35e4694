"""``scrapy rejected``: the records that were set aside, the newest first."""

import argparse

from scrapy.commands import ScrapyCommand

from coinspider.export.command_options import Rows, add_output_options, refuse_arguments, show


def rejected_rows(opts: argparse.Namespace) -> Rows:
    from coinspider.store import queries

    return Rows(
        lambda connection: queries.list_rejected_records(connection, opts.limit),
        "record", first=("id", "reason", "text"), needed=2,
    )  # fmt: skip


class Command(ScrapyCommand):
    """The table ``rejected_record``."""

    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012 (Scrapy declares it)

    def short_desc(self) -> str:
        return "Show the records that were set aside, each with its reason"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        self.parser = parser
        add_output_options(parser, "Rejected records")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.settings
        refuse_arguments(args, self.parser)
        self.exitcode = show(self.settings, opts, rejected_rows(opts))
