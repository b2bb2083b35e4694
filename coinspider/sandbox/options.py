"""The options of ``scrapy sandbox`` and their allowed values."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from coinspider.sandbox.limit_headers import STYLES
from coinspider.sandbox.limits import LIMITS

if TYPE_CHECKING:
    from coinspider.sandbox.coins import FileCoins

A_DAY = 86_400.0  # seconds
SHORTEST = 0.001  # seconds


def add_sandbox_options(parser: argparse.ArgumentParser) -> None:
    _add_coins(parser.add_argument_group("Coins"))
    _add_other_apis(parser.add_argument_group("Other APIs, below /others"))
    _add_refusals(parser.add_argument_group("Refusals"))
    _add_trouble(parser.add_argument_group("Trouble"))
    add = parser.add_argument_group("Address").add_argument
    add("--host", default="127.0.0.1", help="address (default: %(default)s)")
    add("--port", type=number(int, 0, 65_535), default=8000, metavar="N",
        help="0 for a free one (default: %(default)s)")  # fmt: skip


def _add_coins(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--coins", type=number(int, 0), default=17_000, metavar="N",
        help="how many made-up coins (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N",
        help="a number for other prices and other spoiled responses (default: 0)")  # fmt: skip
    add("--odd", action="store_true",
        help="coins with awkward values instead of plausible ones")  # fmt: skip
    add("--tick", type=number(float, SHORTEST, A_DAY), metavar="SECONDS",
        help="how often a third of the made-up coins changes (default: never)")  # fmt: skip
    add("--moving-rank", action="store_true", help="change the ranking with each call")
    add("--churn", type=number(float, 0, 1), default=0.0, metavar="SHARE",
        help="share of the calls, 0 to 1, before which a coin is listed and another one taken out;"
        " /changes tells which (default: 0)")  # fmt: skip
    add("--no-total", action="store_false", dest="total",
        help="do not tell in the header total how many coins there are")  # fmt: skip
    add("--data", type=_coins, metavar="FILE", help="serve the records of this JSON file instead")
    add("--body", type=_content, action="append", default=[], metavar="FILE",
        help="send this file as page 1, the next one as page 2, ...")  # fmt: skip
    add("--encoding", metavar="NAME",
        help="the Content-Encoding of the --body files, such as gzip (default: none)")  # fmt: skip
    add("--short-page", type=number(int, 1), action="append", default=[], metavar="N",
        help="send only half of page N (may be repeated)")  # fmt: skip


def _add_other_apis(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--token", help="the token that calls must carry (default: none is needed)")
    add("--links-to", metavar="URL",
        help="where the links of /others/drf and /others/link lead (default: here)")  # fmt: skip


def _add_refusals(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--plan", choices=["public", "demo", "pro"], default="public",
        help="the plan whose --key calls must carry")  # fmt: skip
    add("--key", action="append", default=[], metavar="KEY",
        help="that API key (default: none; if repeated, each has its own limit)")  # fmt: skip
    add("--calls", type=number(int, 1), metavar="N",
        help="refuse more than N calls per period with 429")  # fmt: skip
    add("--period", type=number(float, SHORTEST, A_DAY), default=60.0, metavar="SECONDS",
        help="the length of a period (default: 60)")  # fmt: skip
    add("--limit", choices=list(LIMITS), default="fixed-window",
        help="how calls are counted (default: %(default)s)")  # fmt: skip
    add("--limit-headers", choices=list(STYLES), default="none",
        help="the headers that state the limit (default: %(default)s)")  # fmt: skip
    add("--credits", type=number(int, 0), metavar="N",
        help="monthly calls of each key (default: no limit)")  # fmt: skip
    add("--exhausted-status", type=number(int, 400, 499), default=429, metavar="STATUS",
        help="the status without credits (default: %(default)s)")  # fmt: skip
    add("--retry-after", choices=["seconds", "date", "none"], default="seconds",
        help="the header of a refusal (default: %(default)s)")  # fmt: skip
    add("--disguise", action="store_true", help="refuse with HTTP status 200")


def _add_trouble(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--latency", type=number(float, 0, A_DAY), default=0.0, metavar="SECONDS",
        help="how long each response takes (default: 0)")  # fmt: skip
    add("--faults", type=number(float, 0, 1), default=0.0, metavar="SHARE",
        help="share of responses to spoil, 0 to 1: resets, truncated bodies, 503 and the CDN's"
        " 403 (default: 0)")  # fmt: skip


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
        return number

    return parse


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path} can't be read: {error.strerror}") from None


def _coins(path: str) -> "FileCoins":
    from coinspider.sandbox.coins import FileCoins

    try:
        return FileCoins(_content(path))
    except (ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"{path} holds no coins: {error}") from None
