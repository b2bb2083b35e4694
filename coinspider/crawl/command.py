"""What the project's own commands have in common."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

from coinspider.errors import CoinspiderError


class PlainCommand(ScrapyCommand):
    """A command that runs no spider in its own process."""

    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012 (Scrapy declares it)

    def syntax(self) -> str:
        return "[options]"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        self.parser = parser

    def reject_arguments(self, args: Sequence[str]) -> None:
        """Raise :exc:`UsageError` for any; Scrapy takes an unknown option for an argument."""
        import difflib
        import re

        for argument in args:
            if argument.startswith("-"):
                options = list(
                    dict.fromkeys(re.findall(r"--[a-z][\w-]*", self.parser.format_help()))
                )
                near = difflib.get_close_matches(argument, options, n=3) or options
                raise UsageError(
                    f"no option {argument}: there are {', '.join(near)}", print_help=False
                )
        if args:
            raise UsageError(f"it takes options only, not {' '.join(args)}", print_help=False)


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """End quietly if a reader such as ``head`` closes the pipe before the output ends."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn the project's own errors into one line and exit status 2."""
    try:
        with quiet_pipe():
            yield
    except CoinspiderError as error:
        raise UsageError(str(error), print_help=False) from None
