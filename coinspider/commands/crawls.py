"""``scrapy crawls``: what became of each crawl, the newest first."""

import argparse

from scrapy.commands import ScrapyCommand

from coinspider.export.command_options import Rows, add_output_options, refuse_arguments, show


def crawl_rows(opts: argparse.Namespace) -> Rows:
    from coinspider.store import queries

    return Rows(
        lambda connection: queries.list_crawls(connection, opts.limit),
        "crawl", first=("id", "outcome", "message", "started_at", "spider"), needed=3,
    )  # fmt: skip


class Command(ScrapyCommand):
    """The table ``crawl``; its outcome and its message are there however narrow the terminal."""

    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012 (Scrapy declares it)

    def short_desc(self) -> str:
        return "Show what became of each crawl"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        self.parser = parser
        add_output_options(parser, "Crawls")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.settings
        refuse_arguments(args, self.parser)
        self.exitcode = show(self.settings, opts, crawl_rows(opts))
