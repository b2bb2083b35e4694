"""``scrapy crawl`` with an exit status that scripts can rely on."""

import argparse
import asyncio
import gc
import logging
import signal
import sys
from typing import Any

from scrapy import signals
from scrapy.commands.crawl import Command as CrawlCommand
from scrapy.crawler import Crawler

from coinspider.crawl.command import (
    WrongUsageError,
    check_options,
    masked_usage,
    reject_options,
    set_up,
)
from coinspider.crawl.log import (
    check_log_settings,
    log_to_file,
    show_messages,
    survive_full_disk,
)
from coinspider.crawl.outcome import Outcome, outcome_of, summary
from coinspider.errors import ConfigurationError
from coinspider.installation import program
from coinspider.text import say

logger = logging.getLogger(__name__)
SHEETS = "gsheets://"
EXAMPLES = (
    "scrapy crawl coins",
    "scrapy crawl coins -a vs_currency=eur -a pages=2 -O coins.csv",
    "scrapy crawl next -a url=https://api.example/things -a table=thing",
)
# So many objects more than before make the garbage collector look at those that are new.
NEW_OBJECTS = 20_000


def with_format(uri: str) -> str:
    """Scrapy takes the format from the end of a file's name, which a Google sheet doesn't have."""
    prefix, path = uri[: len(SHEETS)], uri[len(SHEETS) :]
    return f"{uri}:gsheets" if prefix == SHEETS and ":" not in path else uri


class Command(CrawlCommand):
    """Says in its last line how the crawl ended, and why; its exit status says it too.

    Scrapy's own exits with 0 whatever happened to the pages and the rows.
    """

    def long_desc(self) -> str:
        return (
            "Run a spider of the current project. Exit status: 0 all pages read and all rows"
            " stored, 1 failed, 2 wrong arguments or settings, 3 left to the same crawl that is"
            " running already, 4 no calls left in this month, 130 interrupted."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        set_up(parser, EXAMPLES)
        super().add_options(parser)
        parser.add_argument(
            "--log",
            action="store_true",
            help="the log on the terminal, as with -L; by default it goes to a file there",
        )
        self.parser = parser

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        reject_options(self.parser, args)
        if len(args) != 1:
            raise WrongUsageError(f"give the name of one spider: {program()} crawl coins")
        for outputs in (opts.output or [], opts.overwrite_output or []):
            outputs[:] = map(with_format, outputs)
        with masked_usage():
            super().process_options(args, opts)
        check_options(self.settings)
        assert self.settings
        if not opts.log:
            log_to_file(self.settings, args[0])
        try:
            check_log_settings(self.settings)
        except ConfigurationError as error:
            raise WrongUsageError(str(error)) from None
        # Scrapy logs its first lines before any handler could catch an error in them.
        logging.raiseExceptions = False
        _collect_rarely()

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.crawler_process
        if args[0] not in self.crawler_process.spider_loader.list():
            names = ", ".join(sorted(self.crawler_process.spider_loader.list()))
            raise WrongUsageError(f"no spider is named {args[0]}: there are {names}")
        # Scrapy opens the log again with the settings of the spider and its add-ons.
        survive_full_disk()
        crawler = self._create_crawler(args[0])
        survive_full_disk()
        crawler.signals.connect(survive_full_disk, signals.engine_started)
        self.log = crawler.settings.get("LOG_FILE")
        if self.log and sys.stderr.isatty():
            show_messages()
        _end_with_the_terminal()
        crawl = self.crawler_process.crawl(crawler, **opts.spargs)
        assert isinstance(crawl, asyncio.Task)
        _begin_in_order(crawler, crawl)
        self.crawler_process.start()
        error = crawl.exception() if crawl.done() and not crawl.cancelled() else None
        if error and not isinstance(error, ConfigurationError):
            raise error
        self._say_end(crawler, error)

    def _say_end(self, crawler: Crawler, error: BaseException | None) -> None:
        """``error`` is why the crawl did not begin: then it has no spider to sum up."""
        outcome = Outcome("misconfigured", str(error)) if error else outcome_of(crawler)
        if error and self.log:
            # On a terminal the last line says so; in scrapyd people look into the log.
            logger.error("The crawl did not begin: %s", error)
        for line in () if error else summary(crawler):
            say(line)
        if self.log and sys.stderr.isatty():
            say(f"  {'log':<9} {self.log}")
        say(f"coinspider: {outcome.message}")
        self.exitcode = outcome.status


def _collect_rarely() -> None:
    """Keep the garbage collector from what Scrapy consists of, which stays to the end.

    By default it begins at 700 new objects, and goes through all of them again and again while
    modules are imported: 5 % of a crawl's time. What a crawl leaves behind in circles is some
    hundred objects a page; of 20,000 the memory does not grow by more than a few megabytes.
    """
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)


def _begin_in_order(crawler: Crawler, crawl: "asyncio.Task[None]") -> None:
    """Let a crawl that is stopped before its first request come to its end and close its row.

    Scrapy waits for crawls that have started, and leaves others as they are.
    """
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    started = asyncio.Event()

    def note_start() -> None:
        started.set()

    def wait_for_end() -> Any:
        if started.is_set() or crawl.done():
            return None
        return Deferred.fromFuture(asyncio.ensure_future(asyncio.wait([crawl])))

    crawler.signals.connect(note_start, signals.engine_started, weak=False)
    process: Any = reactor
    process.addSystemEventTrigger("before", "shutdown", wait_for_end)


def _end_with_the_terminal() -> None:
    """Closing the terminal ends the crawl in order, unless it runs under nohup."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup and signal.getsignal(hangup) == signal.SIG_DFL:
        signal.signal(hangup, lambda *_: signal.raise_signal(signal.SIGTERM))
