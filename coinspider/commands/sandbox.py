"""``scrapy sandbox``: the API's stand-in, on its own."""

import argparse
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

if TYPE_CHECKING:
    from coinspider.sandbox.server import Behaviour


class Command(ScrapyCommand):
    """Serves made-up coins, or those of a file, the way CoinGecko does."""

    requires_project = True
    requires_crawler_process = False

    def short_desc(self) -> str:
        return "Serve a local stand-in for CoinGecko's API"

    def long_desc(self) -> str:
        return (
            "Serve a local stand-in for CoinGecko's API until Ctrl-C, and print its address for"
            " COINGECKO_BASE_URL."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        add = parser.add_argument_group("Sandbox").add_argument
        add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        add("--port", type=int, default=8000, help="port, 0 for a free one (default: %(default)s)")
        add("--coins", type=int, default=17_000, help="how many made-up coins (default: 17000)")
        add("--data", type=Path, help="serve the records of this JSON file instead")
        add("--body", type=Path, action="append", default=[], metavar="FILE",
            help="send this file as page 1, the next one as page 2, ...")  # fmt: skip
        add("--tick", type=float, metavar="SECONDS", help="a third of the coins changes this often")
        add("--plan", choices=["public", "demo", "pro"], default="public", help="the host's plan")
        add("--key", help="the API key that calls must carry (with --plan demo or pro)")
        add("--calls", type=int, metavar="N", help="refuse more than N calls a period with 429")
        add("--period", type=float, default=60.0, help="seconds of a period (default: 60)")
        add("--limit", default="fixed-window", help="how calls are counted: fixed-window (default),"
            " sliding-window or token-bucket")  # fmt: skip
        add("--retry-after", choices=["seconds", "date", "none"], default="seconds",
            help="the header of a refusal (default: %(default)s)")  # fmt: skip
        add("--disguise", action="store_true", help="refuse with HTTP status 200")
        add("--latency", type=float, default=0.0, help="seconds until each answer (default: 0)")
        add("--faults", type=float, default=0.0, help="share of answers to spoil, 0 to 1")
        add("--seed", type=int, default=0, help="which answers to spoil (default: 0)")
        add("--short-page", type=int, action="append", default=[], metavar="N",
            help="send half of page N only (may be repeated)")  # fmt: skip
        add("--moving-rank", action="store_true", help="let the ranking move with each call")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from twisted.internet import reactor

        from coinspider.sandbox.coins import FileCoins, MadeUpCoins
        from coinspider.sandbox.server import listen

        tick = (lambda: int(time() / opts.tick)) if opts.tick else (lambda: 0)
        coins = FileCoins(opts.data) if opts.data else MadeUpCoins(opts.coins, tick)
        address = listen(opts.host, opts.port, coins, _behaviour(opts)).getHost()
        print(f"http://{address.host}:{address.port}/api/v3", flush=True)
        reactor.run()  # type: ignore[misc]


def _behaviour(opts: argparse.Namespace) -> "Behaviour":
    from coinspider.sandbox.faults import Faults
    from coinspider.sandbox.limits import LIMITS, NoLimit
    from coinspider.sandbox.server import Behaviour

    if opts.limit not in LIMITS:
        raise UsageError(f"--limit is one of {', '.join(LIMITS)}", print_help=False)
    return Behaviour(
        plan=opts.plan,
        key=opts.key,
        limit=LIMITS[opts.limit](opts.calls, opts.period) if opts.calls else NoLimit(),
        retry_after=opts.retry_after,
        disguise=opts.disguise,
        latency=opts.latency,
        short_pages=frozenset(opts.short_page),
        moving_rank=opts.moving_rank,
        faults=Faults(opts.faults, opts.seed),
        bodies=tuple(path.read_bytes() for path in opts.body),
    )
