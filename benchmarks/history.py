"""What the history costs: a crawl in which every coin has changed, with it and without.

Rows and bytes are for a crawl every three minutes that finds every coin changed, which is the most
there can be; indexes are counted in.
"""

import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from benchmarks.pages import FOLDER, make_pages
from benchmarks.processes import CRAWL, Run, api, crawl_environment, run
from coinspider.store.embedded_server import start_embedded_server

COINS = 17_000
ROUNDS = 5
CRAWLS_PER_DAY = 24 * 60 // 3
ALL_CHANGED = 3  # ticks, at each of which a third changes
SIZE = """
SELECT sum(pg_total_relation_size(inhrelid)), (SELECT count(*) FROM coin_history)
FROM pg_inherits WHERE inhparent = 'coin_history'::regclass
"""


def crawl(database_url: str, tick: int, history: str) -> Run:
    with api(make_pages(COINS, tick)) as server:
        environment = crawl_environment(server.url, database_url) | {"HISTORY_ENABLED": history}
        return run(CRAWL, environment)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[Run]] = {"0": [], "1": []}
    with TemporaryDirectory(prefix="coinspider-") as directory:
        server_url = start_embedded_server(Path(directory) / "postgresql")
        database_url = server_url.replace("/postgres?", "/benchmark?")
        for _ in range(ROUNDS):
            for history, done in runs.items():
                with psycopg.connect(server_url, autocommit=True) as connection:
                    connection.execute("DROP DATABASE IF EXISTS benchmark")
                    connection.execute("CREATE DATABASE benchmark")
                crawl(database_url, 0, history)
                done.append(crawl(database_url, ALL_CHANGED, history))
                print(f"history {history}: {done[-1].wall:.2f} s", file=sys.stderr)
        with psycopg.connect(database_url) as connection:
            size, rows = connection.execute(SIZE).fetchone()
    report(runs, float(size) / rows)


def report(runs: dict[str, list[Run]], row_size: float) -> None:
    without, kept = (
        [statistics.median(getattr(one, figure) for one in runs[history])
         for figure in ("wall", "cpu")]
        for history in runs
    )  # fmt: skip
    rows = COINS * CRAWLS_PER_DAY
    print("| history | s | CPU s | rows a day | bytes a row | GB a day |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(f"| off | {without[0]:.2f} | {without[1]:.2f} | 0 | | 0 |")
    print(f"| on | {kept[0]:.2f} | {kept[1]:.2f} | {rows} | {row_size:.0f}"
          f" | {rows * row_size / 1e9:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main()
