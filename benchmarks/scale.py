"""How a crawl grows, and how long it takes to start.

Speed and peak memory at 17,000, 100,000 and 1,000,000 coins, one page after the other; and the
time from ``scrapy crawl coins`` to its first request, compared with all of ``scrapy version`` and
with the time to connect.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from benchmarks.pages import FOLDER, make_pages
from benchmarks.processes import CRAWL, api, crawl_environment, run
from coinspider.store.embedded_server import start_embedded_server

SIZES = (17_000, 100_000, 1_000_000)
STARTS = 5


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="how many coins")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="coinspider-") as directory:
        database_url = start_embedded_server(Path(directory) / "postgresql")
        start_up(database_url)
        growth(database_url, options.sizes)


if __name__ == "__main__":
    main()
