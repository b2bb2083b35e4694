"""The options of ``scrapy sandbox`` and their allowed values."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from coinspider.sandbox.limit_headers import STYLES
from coinspider.sandbox.limits import LIMITS

if TYPE_CHECKING:
    from coinspider.sandbox.coins import FileCoins

A_DAY = 86_400.0  # seconds
SHORTEST = 0.001  # seconds
LARGEST = 10_000_000


def add_sandbox_options(parser: argparse.ArgumentParser) -> None:
    _add_coins(parser.add_argument_group("Coins"))
    _add_other_apis(parser.add_argument_group("Other lists"))
    _add_keys(parser.add_argument_group("Keys and credits"))
    _add_limit(parser.add_argument_group("Limit"))
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
        help="makes other prices, and spoils other responses (default: 0)")  # fmt: skip
    add("--odd", action="store_true",
        help="coins with awkward values instead of plausible ones")  # fmt: skip
    add("--tick", type=number(float, SHORTEST, A_DAY), metavar="SECONDS",
        help="how often a third of the made-up coins changes (default: never)")  # fmt: skip
    add("--moving-rank", action="store_true", help="change the ranking with each call")
    add("--churn", type=number(float, 0, 1), default=0.0, metavar="SHARE",
        help="share of the calls, 0 to 1, before which a coin is listed and another one taken out;"
        " /changes tells which (default: 0)")  # fmt: skip
    add("--no-total", action="store_false", dest="total",
        help="leave out the header total, which says how many coins there are")  # fmt: skip
    add("--data", type=_coins, metavar="FILE", help="serve the records of this JSON file instead")
    add("--body", type=_content, action="append", default=[], metavar="FILE",
        help="send this file as page 1, the next one as page 2, ...")  # fmt: skip
    add("--encoding", type=_header_value, metavar="NAME",
        help="the Content-Encoding of the --body files, such as gzip (default: none)")  # fmt: skip
    add("--short-page", type=number(int, 1), action="append", default=[], metavar="N",
        help="send only half of page N (may be repeated)")  # fmt: skip


def _add_other_apis(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--token",
        type=_header_value,
        help="the token that calls must carry (default: none is needed)",
    )
    add("--links-to", type=_address, metavar="URL",
        help="where the links of /others/drf and /others/link lead (default: here)")  # fmt: skip


def _add_keys(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--plan", choices=["public", "demo", "pro"], default="public",
        help="public takes no key, demo takes it in x-cg-demo-api-key, pro in x-cg-pro-api-key: a"
        " header, or a parameter with underscores (default: %(default)s)")  # fmt: skip
    add("--key", type=_header_value, action="append", default=[], metavar="KEY",
        help="a key that calls must carry; may be repeated. Each key has a limit and credits of its"
        " own, and so have all calls without a key (default: any key will do)")  # fmt: skip
    add("--credits", type=number(int, 0), metavar="N",
        help="calls that each key may make until the sandbox ends, refused ones included; with"
        " --plan pro, /key says how many are left, and costs none (default: no limit)")  # fmt: skip
    add("--exhausted-status", type=number(int, 400, 499), default=429, metavar="STATUS",
        help="status of a call without credits (default: %(default)s)")  # fmt: skip


def _add_limit(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--calls", type=number(int, 1), metavar="N",
        help="calls of a key to /coins/markets and /key that are allowed in a period; others are"
        " refused with status 429 (default: no limit)")  # fmt: skip
    add("--period", type=number(float, SHORTEST, A_DAY), default=60.0, metavar="SECONDS",
        help="length of a period (default: 60)")  # fmt: skip
    add("--limit", choices=list(LIMITS), default="fixed-window",
        help="how calls are counted: in fixed windows, the first of which begins with a call; in"
        " the last period, refused ones included; or by a bucket of N calls that fills up evenly"
        " within a period (default: %(default)s)")  # fmt: skip
    add("--limit-headers", choices=list(STYLES), default="none",
        help="headers that tell the limit: RateLimit and RateLimit-Policy (ietf), RateLimit-Limit,"
        " -Remaining and -Reset (ratelimit), or the same as X-RateLimit-..., with seconds or a Unix"
        " time in -Reset (x-seconds, x-epoch) (default: %(default)s)")  # fmt: skip
    add("--retry-after", choices=["seconds", "date", "none"], default="seconds",
        help="form of Retry-After in a refusal (default: %(default)s)")  # fmt: skip
    add("--disguise", action="store_true",
        help="refuse with status 200, and 429 only in the body")  # fmt: skip


def _add_trouble(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--latency", type=number(float, 0, A_DAY), default=0.0, metavar="SECONDS",
        help="how long each response is delayed (default: 0)")  # fmt: skip
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
        if number > LARGEST:
            raise argparse.ArgumentTypeError(f"{text} is more than {LARGEST:,}")
        return number

    return parse


def _header_value(text: str) -> str:
    """What may be the value of a header."""
    if not re.fullmatch("[!-~]+", text):
        raise argparse.ArgumentTypeError("only visible ASCII characters are allowed, at least one")
    return text


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text} does not start with http:// or https://")
    return text


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
