"""``scrapy inspect``: what an API's first page shows, and the command to crawl the rest."""

import argparse
import asyncio
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from scrapy.commands.crawl import Command as CrawlCommand
from scrapy.settings import SETTINGS_PRIORITIES

from coinspider.crawl.command import (
    WrongUsageError,
    check_options,
    masked_usage,
    quiet_pipe,
    reject_options,
    set_up,
)
from coinspider.installation import program
from coinspider.secrets import masked
from coinspider.text import say, visible

EXAMPLES = (
    "scrapy inspect https://api.example/things",
    "API_TOKEN=... scrapy inspect https://api.example/things -a records=data.items",
)
OWN_TABLES = ("asset", "full_coin")
# Somebody waits for the answer: an API that is away is said to be, instead of asked again for a
# minute. -s NAME=VALUE has priority.
SOON = {"RETRY_TIMES": 0, "DOWNLOAD_TIMEOUT": 20, "RATELIMIT_RETRY_TIMES": 0}


class Command(CrawlCommand):
    """Requests the first two pages, and prints what it found out."""

    requires_project = True

    def syntax(self) -> str:
        return "URL [-a NAME=VALUE ...]"

    def short_desc(self) -> str:
        return "Find out how an API's list is paged, and print the command to crawl it"

    def long_desc(self) -> str:
        return (
            "Ask for the first page of a list, a few times for the second, and print where the"
            " records are, what identifies one, how the list is paged, the command that crawls it"
            f" and a spider to begin with. -a takes what it takes of {program()} crawl next."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        set_up(parser, EXAMPLES)
        super().add_options(parser)
        self.parser = parser

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        reject_options(self.parser, args)
        if len(args) != 1 or not args[0].startswith(("http://", "https://")):
            raise WrongUsageError(f"give one URL: {program()} inspect https://api.example/things")
        if opts.output or opts.overwrite_output:
            raise WrongUsageError("it writes no feed: -O goes to the command that it prints")
        from coinspider.errors import ConfigurationError
        from coinspider.http.links import check_url

        try:
            check_url("url", args[0])
        except ConfigurationError as error:
            raise WrongUsageError(str(error)) from None
        with masked_usage():
            super().process_options(args, opts)
        check_options(self.settings)
        assert self.settings
        self.settings.set("POSTGRES_ENABLED", "0", priority="cmdline")
        self.settings.set("PROGRESS_ENABLED", "0", priority="cmdline")
        for name, value in SOON.items():
            if self.settings.getpriority(name) != SETTINGS_PRIORITIES["cmdline"]:
                self.settings.set(name, value, priority="cmdline")
        if not (opts.loglevel or opts.nolog):
            self.settings.set("LOG_LEVEL", "CRITICAL", priority="cmdline")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from coinspider.crawl.inspection import Inspection
        from coinspider.errors import ConfigurationError
        from coinspider.spiders.next import NextSpider
        from coinspider.stats import FAILURE_STAT

        class InspectionSpider(Inspection, NextSpider):
            name = "inspect"

        assert self.crawler_process
        crawler = self.crawler_process.create_crawler(InspectionSpider)
        arguments = {"table": table_name(args[0]), **opts.spargs, "url": args[0]}
        crawl = self.crawler_process.crawl(crawler, **arguments)
        self.crawler_process.start()
        assert isinstance(crawl, asyncio.Task)
        error = crawl.exception() if crawl.done() else None
        if error and not isinstance(error, ConfigurationError):
            raise error
        spider = crawler.spider
        lines = spider.report() if isinstance(spider, InspectionSpider) else []
        failure = str(error) if error else crawler.stats.get_value(FAILURE_STAT)
        if lines:
            with quiet_pipe():
                print("\n".join(visible(masked(line)) for line in lines))
        else:
            say(f"coinspider: {failure or 'the first page has no records'}")
        self.exitcode = 2 if error else 0 if lines else 1


def table_name(url: str) -> str:
    """A table name from the last word of a list's URL: ``/v1/assets/`` is ``asset``."""
    words = [part for part in PurePosixPath(urlsplit(url).path).parts if part.strip("/0123456789.")]
    name = "".join(c if c.isalnum() and c.isascii() else "_" for c in (words or ["record"])[-1])
    name = name.lower().strip("_") or "record"
    name = name.removesuffix("s") if not name.endswith("ss") and len(name) > 3 else name
    # Tables of the project's own have their own columns.
    is_free = name not in OWN_TABLES and name[0].isalpha()
    return name if is_free else f"t_{name}"
