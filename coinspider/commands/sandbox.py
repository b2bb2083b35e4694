"""``scrapy sandbox``: runs the API's stand-in."""

import argparse
from time import time
from typing import TYPE_CHECKING

from scrapy.exceptions import UsageError

from coinspider.crawl.command import PlainCommand

if TYPE_CHECKING:
    from coinspider.sandbox.behaviour import Behaviour
    from coinspider.sandbox.coins import Coins
    from coinspider.sandbox.limits import Limit


class Command(PlainCommand):
    """Serves made-up coins, or those of a file, the way CoinGecko does."""

    examples = (
        "scrapy sandbox",
        "scrapy sandbox --coins 500 --calls 30",
        "COINGECKO_BASE_URL=http://127.0.0.1:8000/api/v3 scrapy crawl coins",
    )

    def short_desc(self) -> str:
        return "Serve a local stand-in for CoinGecko's API"

    def long_desc(self) -> str:
        return (
            "Serve a local stand-in for CoinGecko's API until Ctrl-C, and print its address for"
            " COINGECKO_BASE_URL. It answers /coins/markets and /key; /calls and /key-calls list"
            " the time and the status of each call to them. Below /others are lists that page in"
            " other ways: drf, cursor, link, offset, and CoinCap's assets."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        from coinspider.sandbox.options import add_sandbox_options

        add_sandbox_options(parser)
        super().add_options(parser)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        self.reject_arguments(args)
        if opts.key and opts.plan == "public":
            raise UsageError("--key needs --plan demo or --plan pro", print_help=False)

        from twisted.internet import reactor
        from twisted.internet.error import CannotListenError

        from coinspider.sandbox.server import listen

        coins = opts.data or _made_up_coins(opts)
        try:
            address = listen(opts.host, opts.port, coins, _behaviour(opts)).getHost()
        except CannotListenError as error:
            where = f"{opts.host}:{opts.port}"
            raise UsageError(
                f"can't listen on {where}: {error.socketError}", print_help=False
            ) from None
        host = f"[{address.host}]" if ":" in address.host else address.host
        print(f"http://{host}:{address.port}/api/v3", flush=True)
        reactor.run()  # type: ignore[misc]


def _made_up_coins(opts: argparse.Namespace) -> "Coins":
    from coinspider.sandbox.coins import MadeUpCoins, PlausibleCoins
    from coinspider.sandbox.made_up_coins import START

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
        return MadeUpCoins(opts.coins, number)
    return PlausibleCoins(opts.coins, moments, opts.seed)


def _behaviour(opts: argparse.Namespace) -> "Behaviour":
    from coinspider.sandbox.accounts import Accounts
    from coinspider.sandbox.behaviour import Behaviour
    from coinspider.sandbox.faults import Faults
    from coinspider.sandbox.limits import LIMITS, NoLimit

    def new_limit() -> "Limit":
        return LIMITS[opts.limit](opts.calls, opts.period) if opts.calls else NoLimit()

    return Behaviour(
        plan=opts.plan,
        keys=frozenset(opts.key),
        accounts=Accounts(new_limit, opts.credits),
        calls_per_minute=round(opts.calls * 60 / opts.period) if opts.calls else None,
        limit_headers=opts.limit_headers,
        exhausted_status=opts.exhausted_status,
        retry_after=opts.retry_after,
        disguise=opts.disguise,
        latency=opts.latency,
        short_pages=frozenset(opts.short_page),
        moving_rank=opts.moving_rank,
        churn=opts.churn,
        churn_seed=opts.seed,
        total=opts.total,
        faults=Faults(opts.faults, opts.seed),
        bodies=tuple(opts.body),
        token=opts.token,
        links_to=opts.links_to,
        encoding=opts.encoding,
    )
