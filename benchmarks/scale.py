"""How a crawl grows, and how long it takes to start.

Speed and peak memory at 17,000, 100,000 and 1,000,000 coins, one page after the other; the time
from ``scrapy crawl coins`` to its first request, compared with all of ``scrapy version`` and with
the time to connect; and the time of a page if the API, the database or both are far away.
"""

import argparse
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from benchmarks.pages import FOLDER, make_pages
from benchmarks.processes import CRAWL, api, crawl_environment, run
from coinspider.store.embedded_server import start_embedded_server
from tests.helpers.postgres_proxy import PostgresProxy
from tests.helpers.processes import start_sandbox

SIZES = (17_000, 100_000, 1_000_000)
STARTS = 5
FAR, FAR_COINS = 0.3, 10_000  # seconds to and fro


def growth(database_url: str, sizes: list[int]) -> None:
    print("| coins | s | coins/s | CPU s | CPU s per 10,000 beyond the start | peak MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    start = load(database_url, 1)
    for size in sizes:
        done = load(database_url, size)
        beyond = (done.cpu - start.cpu) / size * 10_000
        print(f"| {size} | {done.wall:.1f} | {size / done.wall:.0f} | {done.cpu:.1f}"
              f" | {beyond:.2f} | {done.memory:.0f} |", flush=True)  # fmt: skip


def load(database_url: str, size: int):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS full_coin")
    with api(make_pages(size)) as server:
        command = [*CRAWL, "-s", "LOOKAHEAD_PAGES=1"]
        return run(command, crawl_environment(server.url, database_url))


def start_up(database_url: str) -> None:
    versions, connects, firsts = [], [], []
    for _ in range(STARTS):
        versions.append(run([sys.executable, "-m", "scrapy", "version"], {}).wall)
        started = time.monotonic()
        psycopg.connect(database_url).close()
        connects.append(time.monotonic() - started)
        with api(make_pages(1)) as server:
            started = time.monotonic()
            run(CRAWL, crawl_environment(server.url, database_url))
            firsts.append(server.first_request() - started)
    version, connect, first = map(statistics.median, (versions, connects, firsts))
    print(f"\nTo the first request {first:.2f} s; scrapy version {version:.2f} s, connecting"
          f" {connect:.3f} s: {(first - connect) / version:.2f} times scrapy version.")  # fmt: skip


def far_away(database_url: str) -> None:
    for pages in (1, 8):
        api_alone, database_alone, both = (
            seconds_a_page(database_url, *far, pages) for far in ((FAR, 0), (0, FAR), (FAR, FAR))
        )
        print(f"\n{FAR:g} s away, {pages} page{'s' * (pages > 1)} at once: {api_alone:.2f} s a page"
              f" for the API, {database_alone:.2f} for the database, {both:.2f} for both,"
              f" {both / max(api_alone, database_alone):.2f} times the slower.")  # fmt: skip


def seconds_a_page(database_url: str, api_away: float, database_away: float, pages: int) -> float:
    """From the second page to the last one."""
    with ExitStack() as stack, PostgresProxy(database_url, database_away) as network:
        api = start_sandbox(stack, "--coins", FAR_COINS, "--latency", api_away)
        command = [*CRAWL, "-s", f"LOOKAHEAD_PAGES={pages}"]
        run(command, crawl_environment(api.url, network.url))
        times = [moment for moment, _ in api.calls()]
    return (times[-2] - times[1]) / (len(times) - 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="how many coins")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="coinspider-") as directory:
        database_url = start_embedded_server(Path(directory) / "postgresql")
        start_up(database_url)
        far_away(database_url)
        growth(database_url, options.sizes)


if __name__ == "__main__":
    main()
