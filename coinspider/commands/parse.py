"""``scrapy parse``: the items that a spider makes from one page."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from scrapy.commands.parse import Command as ParseCommand
from scrapy.http import Response

from coinspider.crawl.command import WrongUsageError, check_options, reject_options, set_up
from coinspider.errors import CoercionError
from coinspider.installation import program
from coinspider.records.coercion import coerce
from coinspider.records.record import Page, Record

EXAMPLE = "scrapy parse --spider=coins URL"


class Command(ParseCommand):
    """Shows the items of a page's records, and stores nothing."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        set_up(parser, (EXAMPLE,))
        super().add_options(parser)
        self.parser = parser

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        reject_options(self.parser, args)
        if len(args) != 1:
            raise WrongUsageError(f"give one URL: {program()} parse --spider=coins URL")
        super().process_options(args, opts)
        check_options(self.settings)
        assert self.settings
        self.settings.set("POSTGRES_ENABLED", "0", priority="cmdline")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        super().run(args, opts)
        # Scrapy has logged that it knows no spider for the URL.
        self.exitcode = 0 if self.spidercls else 2

    def run_callback(
        self,
        response: Response,
        callback: Callable[..., object],
        cb_kwargs: dict[str, object] | None = None,
    ) -> Any:
        def items(response: Response, **named: object) -> object:
            found = callback(response, **named)
            return _items(found) if isinstance(found, Iterable) else found

        return super().run_callback(response, items, cb_kwargs)


def _items(found: Iterable[object]) -> Iterator[object]:
    """A callback's output, with each page replaced by its items."""
    for output in found:
        if not isinstance(output, Page):
            yield output
            continue
        for text in output.texts:
            try:
                yield coerce(Record(text, output.source), by_field=True)
            except CoercionError as error:
                yield {"rejected": str(error)}
