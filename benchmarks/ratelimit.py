"""How near a crawl comes to the API's limit: time against the ideal, and refused calls.

The sandbox allows 30 calls in 6 seconds; a crawl needs 69 (68 pages and the empty one). Sent as
early as a fixed window lets them, these take two windows: that is the ideal. Beside it, in the
same run, Scrapy's own settings, and what look-ahead is worth with 200 ms of latency and no limit.

Run by ``make bench``; takes about four minutes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import NamedTuple
from urllib.request import urlopen

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
    with urlopen(url.replace("/api/v3", "/calls")) as answer:
        calls = json.load(answer)
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


if __name__ == "__main__":
    under_a_limit()
    look_ahead()
