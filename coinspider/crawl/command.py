"""What the project's own commands have in common."""

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from scrapy.commands import ScrapyCommand, ScrapyHelpFormatter
from scrapy.exceptions import UsageError
from scrapy.settings import BaseSettings

from coinspider._compat import keep_dashes
from coinspider.errors import CoinspiderError
from coinspider.installation import program
from coinspider.secrets import masked
from coinspider.setting_kinds import check_settings
from coinspider.text import let_go, say

INTERRUPTED = 130  # the exit status after Ctrl-C, as of a shell
TERMINATED = 143  # after SIGTERM
_LARGEST = 10_000_000


class HelpFormatter(argparse.RawDescriptionHelpFormatter, ScrapyHelpFormatter):
    """Scrapy's, except that each example stays on its line."""


class PlainCommand(ScrapyCommand):
    """A command that runs no spider in its own process."""

    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012 (Scrapy declares it)
    summary = ""
    description = ""
    """The help's first lines, if they are more than the summary."""
    usage = "[options]"
    examples: Sequence[str] = ()
    """The commands that its help shows."""

    def short_desc(self) -> str:
        return self.summary

    def long_desc(self) -> str:
        return self.description or self.summary

    def syntax(self) -> str:
        return self.usage

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        set_up(parser, self.examples)
        super().add_options(parser)
        self.parser = parser

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        super().process_options(args, opts)
        check_options(self.settings)

    def reject_arguments(self, args: Sequence[str]) -> None:
        """Raise :exc:`UsageError` for any."""
        reject_options(self.parser, args)
        if args:
            raise WrongUsageError(f"it takes options only, not {' '.join(args)}")


def check_options(settings: BaseSettings | None) -> None:
    """Check all settings, also those of ``-s``: one line and exit status 2 if one is wrong.

    All files that the command writes are for this user alone: data, logs, a cache.
    """
    os.umask(0o077)
    assert settings
    with one_line_errors():
        check_settings(settings)


class WrongUsageError(UsageError):
    """What is wrong, in one line, without the help that Scrapy would add."""

    def __init__(self, problem: str):
        super().__init__(problem, print_help=False)


@contextmanager
def masked_usage() -> Iterator[None]:
    """Take secrets out of what Scrapy says about an option: it repeats a feed's address."""
    try:
        yield
    except UsageError as error:
        raise UsageError(masked(str(error)), print_help=error.print_help) from None


def set_up(parser: argparse.ArgumentParser, examples: Sequence[str]) -> None:
    """Add examples to the help of a command, as they can be typed here; let an option's value be
    two dashes, as the id of a coin may be.
    """
    keep_dashes(parser)
    here = [example.replace("scrapy ", f"{program()} ", 1) for example in examples]
    parser.formatter_class = HelpFormatter
    parser.usage = (parser.usage or "").replace("scrapy ", f"{program()} ", 1)
    # As wide as argparse makes all else.
    width = shutil.get_terminal_size().columns - 2
    parser.description = textwrap.fill(parser.description or "", width)
    parser.add_argument_group("Examples", "\n".join(here))


def names_of(parser: argparse.ArgumentParser, args: Sequence[str]) -> list[str]:
    """Arguments that may begin with a dash, such as the coin ``-11``: a number, or after ``--``.

    Raises :exc:`UsageError` for an unknown option.
    """
    before, after = list(args), []
    if "--" in before:
        place = before.index("--")
        before, after = before[:place], before[place + 1 :]
    reject_options(parser, [name for name in before if not name[1:2].isdecimal()])
    return [*before, *after]


def reject_options(parser: argparse.ArgumentParser, args: Sequence[str]) -> None:
    """Raise :exc:`UsageError` for an unknown option: Scrapy leaves it among the arguments."""
    import difflib
    import re

    for argument in args:
        if not argument.startswith("-"):
            continue
        name = argument.partition("=")[0]
        own, _, _ = parser.format_help().partition("\nGlobal Options\n")
        options = list(dict.fromkeys(re.findall(r"(?m)^  (?:-\w[^-]*, )?(--[a-z][\w-]*)", own)))
        near = difflib.get_close_matches(name, options, n=1)
        there = f"did you mean {near[0]}?" if near else f"there are {', '.join(options)}"
        raise WrongUsageError(f"no option {name}: {there}")


def number(
    kind: type[int] | type[float], least: float, most: float | None = None
) -> Callable[[str], float]:
    """An argparse type: a number within bounds, or a message that names them."""
    bounds = f"from {least:g}" if most is None else f"from {least:g} to {most:g}"
    whole = "whole " if kind is int else ""

    def parse(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = kind(least) - 1
        # Written so that NaN is rejected.
        if not (least <= number and (most is None or number <= most)):
            raise argparse.ArgumentTypeError(f"{text} is not a {whole}number {bounds}")
        if number > _LARGEST:
            raise argparse.ArgumentTypeError(f"{text} is more than {_LARGEST:,}")
        return number

    return parse


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """End quietly if a reader such as ``head`` closes the pipe before the output ends."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        let_go(sys.stdout)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn the project's own errors into one line and exit status 2, and Ctrl-C into 130."""
    try:
        with quiet_pipe():
            yield
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except CoinspiderError as error:
        # A UsageError would show the usage, too, which is seldom what is wrong.
        say(f"coinspider: {error}")
        raise SystemExit(2) from None
