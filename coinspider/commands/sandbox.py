"""``scrapy sandbox``: runs the API's stand-in."""

import argparse
import re
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from coinspider.crawl.command import PlainCommand, WrongUsageError, number

if TYPE_CHECKING:
    from coinspider.sandbox.behaviour import Behaviour, Limit
    from coinspider.sandbox.served_coins import FileCoins, ServedCoins


class Command(PlainCommand):
    """Serves made-up coins, or those of a file, the way CoinGecko does."""

    summary = "Serve a local stand-in for CoinGecko's API"
    description = (
        "Serve a local stand-in for CoinGecko's API until Ctrl-C, and print its address for"
        " COINGECKO_BASE_URL. It answers /coins/markets, /coins/ID/market_chart,"
        " /coins/categories, /exchanges, /nfts/list, /simple/supported_vs_currencies and /key;"
        " /calls, /key-calls and /other-calls list the time and the status of each call. Below"
        " /others are lists that page in other ways: drf, cursor, link, offset, and CoinCap's"
        " assets."
    )
    examples = (
        "scrapy sandbox",
        "scrapy sandbox --coins 500 --calls 30",
        "COINGECKO_BASE_URL=http://127.0.0.1:8000/api/v3 scrapy crawl coins",
    )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        _add_options(parser)
        super().add_options(parser)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        self.reject_arguments(args)
        if opts.keys and opts.plan == "public":
            raise WrongUsageError("--key needs --plan demo or --plan pro")
        if opts.rehypothecated > opts.coins:
            raise WrongUsageError("--rehypothecated is one of --coins, or fewer")

        from twisted.internet import reactor
        from twisted.internet.error import CannotListenError

        from coinspider.sandbox.server import listen

        coins = opts.data or _made_up_coins(opts)
        try:
            address = listen(opts.host, opts.port, coins, _behaviour(opts)).getHost()
        except CannotListenError as error:
            where = f"{opts.host}:{opts.port}"
            raise WrongUsageError(f"can't listen on {where}: {error.socketError}") from None
        host = f"[{address.host}]" if ":" in address.host else address.host
        print(f"http://{host}:{address.port}/api/v3", flush=True)
        reactor.run()  # type: ignore[misc]


def _made_up_coins(opts: argparse.Namespace) -> "ServedCoins":
    from coinspider.sandbox.served_coins import START, OddCoins, PlausibleCoins

    begin, tick = time(), opts.tick

    def number() -> int:
        return int((time() - START.timestamp()) / tick) if tick else 0

    def moments() -> list[float]:
        """When each third of the coins changed last."""
        if not tick:
            return [begin]
        # Counted from the start, so that no coin is older than an earlier sandbox served it.
        now = int((time() - begin) / tick)
        return [begin + max(now - (now - third) % 3, 0) * tick for third in range(3)]

    if opts.odd:
        return OddCoins(opts.coins, number, opts.rehypothecated)
    return PlausibleCoins(opts.coins, moments, opts.seed, opts.rehypothecated)


def _behaviour(opts: argparse.Namespace) -> "Behaviour":
    from coinspider.sandbox.behaviour import LIMITS, Accounts, Behaviour, Faults, NoLimit

    def new_limit() -> "Limit":
        return LIMITS[opts.limit](opts.calls, opts.period) if opts.calls else NoLimit()

    options = {name: value for name, value in vars(opts).items() if hasattr(Behaviour, name)}
    made = {
        "accounts": Accounts(new_limit, opts.credits),
        "calls_per_minute": round(opts.calls * 60 / opts.period) if opts.calls else None,
        "churn_seed": opts.seed,
        "faults": Faults(opts.spoiled, opts.seed),
    }
    return Behaviour(**options, **made)


A_DAY = 86_400.0  # seconds
SHORTEST = 0.001  # seconds


def _add_options(parser: argparse.ArgumentParser) -> None:
    _add_coins(parser.add_argument_group("Coins"))
    _add_other_apis(parser.add_argument_group("Other lists"))
    _add_keys(parser.add_argument_group("Keys and credits"))
    _add_limit(parser.add_argument_group("Limit"))
    _add_trouble(parser.add_argument_group("Trouble"))
    add = parser.add_argument_group("Address").add_argument
    add("--host", default="127.0.0.1", help="address (default: %(default)s)")
    add(
        "--port",
        type=number(int, 0, 65_535),
        default=8000,
        metavar="N",
        help="0 for a free one (default: %(default)s)",
    )


def _add_coins(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--coins",
        type=number(int, 0),
        default=17_000,
        metavar="N",
        help="how many made-up coins (default: %(default)s)",
    )
    add(
        "--rehypothecated",
        type=number(int, 0),
        default=0,
        metavar="N",
        help="how many of them come only with include_rehypothecated=true (default: 0)",
    )
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="makes other prices, and spoils other responses (default: 0)",
    )
    add("--odd", action="store_true", help="coins with awkward values instead of plausible ones")
    add(
        "--tick",
        type=number(float, SHORTEST, A_DAY),
        metavar="SECONDS",
        help="how often a third of the made-up coins changes (default: never)",
    )
    add("--moving-rank", action="store_true", help="change the ranking with each call")
    add(
        "--churn",
        type=number(float, 0, 1),
        default=0.0,
        metavar="SHARE",
        help="share of the calls, 0 to 1, before which a coin is listed and another one taken out;"
        " /changes tells which (default: 0)",
    )
    add(
        "--no-total",
        action="store_false",
        dest="total",
        help="leave out the header total, which says how many coins there are",
    )
    add("--data", type=_coins, metavar="FILE", help="serve the records of this JSON file instead")
    add(
        "--body",
        dest="bodies",
        type=_content,
        action="append",
        default=[],
        metavar="FILE",
        help="send this file as page 1, the next one as page 2, ...",
    )
    add(
        "--encoding",
        type=_header_value,
        metavar="NAME",
        help="the Content-Encoding of the --body files, such as gzip (default: none)",
    )
    add(
        "--short-page",
        dest="short_pages",
        type=number(int, 1),
        action="append",
        default=[],
        metavar="N",
        help="send only half of page N (may be repeated)",
    )


def _add_other_apis(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--token",
        type=_header_value,
        help="the token that calls must carry (default: none is needed)",
    )
    add(
        "--links-to",
        type=_address,
        metavar="URL",
        help="where the links of /others/drf and /others/link lead (default: here)",
    )


def _add_keys(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--plan",
        choices=["public", "demo", "pro"],
        default="public",
        help="public takes no key, demo takes it in x-cg-demo-api-key, pro in x-cg-pro-api-key: a"
        " header, or a parameter with underscores (default: %(default)s)",
    )
    add(
        "--key",
        dest="keys",
        type=_header_value,
        action="append",
        default=[],
        metavar="KEY",
        help="a key that calls must carry; may be repeated. Each key has a limit and credits of its"
        " own, and so have all calls without a key (default: any key will do)",
    )
    add(
        "--credits",
        type=number(int, 0),
        metavar="N",
        help="calls that each key may make until the sandbox ends, refused ones included; with"
        " --plan pro, /key says how many are left, and costs none (default: no limit)",
    )
    add(
        "--exhausted-status",
        type=number(int, 400, 499),
        default=429,
        metavar="STATUS",
        help="status of a call without credits (default: %(default)s)",
    )


def _add_limit(group: argparse._ArgumentGroup) -> None:
    from coinspider.sandbox.behaviour import LIMITS, STYLES

    add = group.add_argument
    add(
        "--calls",
        type=number(int, 1),
        metavar="N",
        help="calls of a key to /coins/markets and /key that are allowed in a period; others are"
        " refused with status 429 (default: no limit)",
    )
    add(
        "--period",
        type=number(float, SHORTEST, A_DAY),
        default=60.0,
        metavar="SECONDS",
        help="length of a period (default: 60)",
    )
    add(
        "--limit",
        choices=list(LIMITS),
        default="fixed-window",
        help="how calls are counted: in fixed windows, the first of which begins with a call; in"
        " the last period, refused ones included; or by a bucket of N calls that fills up evenly"
        " within a period (default: %(default)s)",
    )
    add(
        "--limit-headers",
        choices=list(STYLES),
        default="none",
        help="headers that tell the limit: RateLimit and RateLimit-Policy (ietf), RateLimit-Limit,"
        " -Remaining and -Reset (ratelimit), or the same as X-RateLimit-..., with seconds or a Unix"
        " time in -Reset (x-seconds, x-epoch) (default: %(default)s)",
    )
    add(
        "--retry-after",
        choices=["seconds", "date", "none"],
        default="seconds",
        help="form of Retry-After in a refusal (default: %(default)s)",
    )
    add("--disguise", action="store_true", help="refuse with status 200, and 429 only in the body")


def _add_trouble(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--latency",
        type=number(float, 0, A_DAY),
        default=0.0,
        metavar="SECONDS",
        help="how long each response is delayed (default: 0)",
    )
    add(
        "--faults",
        dest="spoiled",
        type=number(float, 0, 1),
        default=0.0,
        metavar="SHARE",
        help="share of responses to spoil, 0 to 1: resets, truncated bodies, 503 and the CDN's"
        " 403 (default: 0)",
    )


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
    from coinspider.sandbox.served_coins import FileCoins

    try:
        return FileCoins(_content(path))
    except (ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"{path} holds no coins: {error}") from None
