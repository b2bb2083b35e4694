"""``scrapy serve``: scrapyd with the schedules and the pages, until Ctrl-C."""

import argparse
import os
import sys

from coinspider.crawl.command import PlainCommand


class Command(PlainCommand):
    """Becomes scrapyd, so that signals and the exit status are its own."""

    summary = "Crawl on schedule, with pages in the browser and an HTTP API, until Ctrl-C"
    examples = ("scrapy serve", "SCRAPYD_HTTP_PORT=6801 scrapy serve")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        self.reject_arguments(args)
        os.execv(sys.executable, [sys.executable, "-m", "coinspider.daemon"])  # noqa: S606
