"""How near a crawl comes to the API's limit: time compared with the ideal, and refused calls.

The sandbox allows 30 calls in 6 seconds; a crawl needs 69 (68 pages and the empty one). Sent as
early as a fixed window allows, these take two windows: that is the ideal. The same run measures
Scrapy's own settings, and the effect of look-ahead with 200 ms of latency and no limit.

With a database, it measures what a first crawl learns and what a second one gains from it, and
three crawls at once. ``make bench`` runs it; it takes about seven minutes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.request import urlopen

from benchmarks import limit_simulation
from benchmarks.limit_simulation import SHARES
from coinspider.sandbox.behaviour import LIMITS
from coinspider.store.embedded_server import start_embedded_server, stop_embedded_servers

CALLS, PERIOD, PAGES, PER_PAGE = 30, 6, 68, 10
IDEAL = 2 * PERIOD
SCRAPY = [sys.executable, "-m", "scrapy"]
STOCK = {
    "DOWNLOADER_MIDDLEWARES": json.dumps(
        {
            "coinspider.http.ratelimit.RateLimitMiddleware": None,
            "coinspider.http.retry.BackoffRetryMiddleware": None,
            "scrapy.downloadermiddlewares.retry.RetryMiddleware": 550,
        }
    ),
    "AUTOTHROTTLE_ENABLED": "0",
    "DOWNLOAD_DELAY_JITTER": "0.5",
    "RETRY_HTTP_CODES": "500,502,503,504,522,524,408,429",
    "RETRY_TIMES": "2",
}


class Run(NamedTuple):
    """What a crawl did, as the API saw it."""

    seconds: float
    pages: int
    refused: int


@contextmanager
def sandbox(*options: object) -> Iterator[str]:
    command = [*SCRAPY, "sandbox", "--odd", "--port", "0", "--coins", PAGES * PER_PAGE, *options]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def crawl(url: str, limit: int, settings: dict[str, str]) -> Run:
    options = [f"{name}={value}" for name, value in settings.items()]
    command = [*SCRAPY, "crawl", "coins", "-L", "CRITICAL", "-a", f"per_page={PER_PAGE}"]
    subprocess.run(
        command + [word for option in options for word in ("-s", option)],
        env=os.environ
        | {"COINGECKO_BASE_URL": url, "COINGECKO_RATE_LIMIT": str(limit), "POSTGRES_ENABLED": "0"},
        stderr=subprocess.DEVNULL,
        check=False,
    )
    calls = calls_of(url)
    served = [moment for moment, status in calls if status == 200]
    return Run(served[-1] - served[0], len(served) - 1, len(calls) - len(served))


def under_a_limit() -> None:
    ours = {"RATELIMIT_PERIOD": str(PERIOD)}
    configured = {"right": CALLS, "half too high": CALLS * 3 // 2, "unset": 0}
    print("| API's limit | Retry-After | crawl | time / ideal | pages | refused |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, header in product(("fixed-window", "token-bucket"), ("seconds", "none")):
        crawls = {f"coinspider, limit {name}": (limit, ours) for name, limit in configured.items()}
        crawls["Scrapy's own settings"] = (0, STOCK)
        for name, (limit, settings) in crawls.items():
            options = ("--calls", CALLS, "--period", PERIOD, "--limit", kind)
            with sandbox(*options, "--retry-after", header) as url:
                run = crawl(url, limit, settings)
            ratio = f"{run.seconds / IDEAL:.2f}" if run.pages >= PAGES else "not all pages"
            print(f"| {kind} | {header} | {name} | {ratio} | {run.pages} | {run.refused} |")


def look_ahead() -> None:
    with sandbox("--latency", 0.2) as url:
        in_sequence = crawl(url, 0, {"LOOKAHEAD_PAGES": "1"})
    with sandbox("--latency", 0.2) as url:
        ahead = crawl(url, 0, {})
    ratio = ahead.seconds / in_sequence.seconds
    print(f"\n200 ms of latency, no limit: look-ahead takes {ratio:.2f} of the sequential time.")


def simulated() -> None:
    """What two crawls in a row learn of 30 calls in a period, on a simulated clock."""
    print("\n| API's limit | Retry-After | period | nothing told | half | double |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, says, period in product(LIMITS, ("seconds", "date", "none"), (1, 6, 60)):
        cells = [simulated_crawls(kind, period, share, says) for share in SHARES.values()]
        print(f"| {kind} | {says} | {period} s | {' | '.join(cells)} |")


def simulated_crawls(
    kind: str, period: float, share: float, says: str = "seconds", crawls: int = 1
) -> str:
    api = limit_simulation.api(kind, period, share, says=says)
    window = LIMITS["fixed-window"](CALLS, period)
    best = limit_simulation.ideal(window, limit_simulation.PAGES * crawls, crawls)
    cells = []
    for _ in range(2):
        run = api.crawl(crawls=crawls)
        cells.append(f"{run.seconds / best:.2f}, {run.refused}")
        api.pause(2 * period)
    return "; ".join(cells)


def simulated_at_once() -> None:
    """What three crawls at once learn together, and the next three, on a simulated clock."""
    shares = {**SHARES, "the right one": 1}
    print(f"\n| API's limit | period | {' | '.join(f'{name} told' for name in shares)} |")
    print(f"| --- | --- |{' --- |' * len(shares)}")
    for kind, period in product(LIMITS, (6, 60)):
        cells = [simulated_crawls(kind, period, share, crawls=3) for share in shares.values()]
        print(f"| {kind} | {period} s | {' | '.join(cells)} |")


def learned() -> None:
    """The first and the second crawl with one database, which know only CoinGecko's public 10."""
    print("\n| API's limit | period | first: time / ideal, refused | second |")
    print("| --- | --- | --- | --- |")
    for kind, period in product(LIMITS, (1, PERIOD)):
        with (
            database() as url,
            sandbox("--calls", CALLS, "--period", period, "--limit", kind) as api,
        ):
            runs = [crawls_together(api, url, "auto", period, ["usd"]) for _ in range(2)]
        cells = [f"{run.seconds / (2 * period):.2f}, {run.refused}" for run in runs]
        print(f"| {kind} | {period} s | {' | '.join(cells)} |", flush=True)


def shared() -> None:
    """Three crawls at once under one limit, which they are told correctly, and have to learn."""
    calls = 3 * (PAGES + 1)
    ideal = (calls - 1) // CALLS * PERIOD
    for told in (str(CALLS), "auto"):
        with database() as url, sandbox("--calls", CALLS, "--period", PERIOD) as api:
            run = crawls_together(api, url, told, PERIOD, ["usd", "eur", "btc"])
        ratio = f"{run.seconds / ideal:.2f}"
        print(f"\nThree crawls at once, {told}: {ratio} of the ideal, {run.refused} refused.")


@contextmanager
def database() -> Iterator[str]:
    with TemporaryDirectory(prefix="coinspider-") as folder:
        yield start_embedded_server(Path(folder) / "postgresql")
        stop_embedded_servers()


def crawls_together(
    api: str, database_url: str, limit: str, period: int, currencies: list[str]
) -> Run:
    """The calls of crawls that began together, as the API saw them."""
    before = len(calls_of(api))
    command = [*SCRAPY, "crawl", "coins", "-L", "CRITICAL", "-a", f"per_page={PER_PAGE}"]
    processes = [
        subprocess.Popen(
            [*command, "-s", f"RATELIMIT_PERIOD={period}", "-a", f"vs_currency={currency}"],
            env=os.environ | {
                "COINGECKO_BASE_URL": api, "COINGECKO_RATE_LIMIT": limit,
                "DATABASE_URL": database_url,
            },
            stderr=subprocess.DEVNULL,
        )
        for currency in currencies
    ]  # fmt: skip
    for process in processes:
        process.wait()
    calls = calls_of(api)[before:]
    served = [moment for moment, status in calls if status == 200]
    return Run(served[-1] - served[0], len(served), len(calls) - len(served))


def calls_of(api: str) -> list[tuple[float, int]]:
    with urlopen(api.replace("/api/v3", "/calls")) as answer:
        found: list[tuple[float, int]] = json.load(answer)
    return found


if __name__ == "__main__":
    simulated()
    simulated_at_once()
    under_a_limit()
    learned()
    shared()
    look_ahead()
