"""coinspider beside other ways to load the same coins: time, CPU, memory, exactness.

Each loader runs as a process of its own against an API that costs next to nothing and a PostgreSQL
that all share: a first load, an identical repeat, and a repeat where a third of the coins has
changed. The loaders take turns, so that a machine whose speed drifts is unfair to none; figures
are medians over the rounds.

    python -m benchmarks.loads --coins 17000 --rounds 5
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from benchmarks.expected import inexact_rows, load_expected, write_rows
from benchmarks.pages import FOLDER, PER_PAGE, make_pages
from benchmarks.processes import CRAWL, Run, api, crawl_environment, run
from coinspider.store.embedded_server import bundled_program, start_embedded_server

LOADERS = Path(__file__).parent / "loaders"
DLT_PYTHON = FOLDER / "dlt/bin/python"
KEYS = {"coinspider": "coin_id"}
LOADS = ("first", "repeat", "changed")


def commands() -> dict[str, list[str]]:
    python = [sys.executable, "-m"]
    return {
        "floor (curl, COPY)": [str(LOADERS / "floor.sh")],
        "typed script": [*python, "benchmarks.loaders.typed_script"],
        "coinspider": [*CRAWL],
        "simple script": [*python, "benchmarks.loaders.simple_script"],
        "dlt merge": [str(DLT_PYTHON), str(LOADERS / "dlt_merge.py")],
        "naive Scrapy": [*python, "benchmarks.loaders.naive_spider"],
    }


def install_dlt() -> None:
    """Install dlt in a separate environment, because it has other requirements."""
    if not DLT_PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", DLT_PYTHON.parent.parent], check=True)
        pip = [DLT_PYTHON, "-m", "pip", "install", "--quiet", "dlt[postgres]>=1.5,<2"]
        subprocess.run(pip, check=True)


class Benchmark:
    """The runs of all loaders over ``coins`` coins, and the rows that they produced."""

    def __init__(self, server_url: str, coins: int):
        self.server_url = server_url
        self.coins = coins
        self.runs: dict[tuple[str, str], list[Run]] = {}
        self.inexact: dict[str, int] = {}
        first, changed = (make_pages(coins, tick) for tick in (0, 3))
        self.pages = {"first": first, "repeat": first, "changed": changed}
        self.rows = {name: write_rows(pages) for name, pages in self.pages.items()}

    def round(self, names: list[str]) -> None:
        for name in names:
            for load in LOADS:
                self.load(name, load)

    def load(self, name: str, load: str) -> None:
        database_url = self.database(new=load == "first")
        load_expected(database_url, self.rows[load])
        with api(self.pages[load]) as server:
            environment = crawl_environment(server.url, database_url) | {
                "API_URL": server.url,
                "DLT_FOLDER": str(FOLDER / "dlt-pipelines"),
                "RUNTIME__DLTHUB_TELEMETRY": "false",
                # Its default, orjson, fails for integers beyond 2^63, which meme coins have.
                "DLT_USE_JSON": "simplejson",
                "PSQL": str(bundled_program("psql")),
                "PAGES": str(self.coins // PER_PAGE),
                "ROWS": str(self.rows[load]),
            }
            done = run(commands()[name], environment)
        self.runs.setdefault((name, load), []).append(done)
        inexact = inexact_rows(database_url, KEYS.get(name, "id"))
        self.inexact[name] = max(self.inexact.get(name, 0), inexact)
        print(f"{name}, {load}: {done.wall:.2f} s, CPU {done.cpu:.2f} s, "
              f"{done.memory:.0f} MB, {inexact} rows inexact", file=sys.stderr)  # fmt: skip

    def database(self, new: bool) -> str:
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            if new:
                connection.execute("DROP DATABASE IF EXISTS benchmark")
                connection.execute("CREATE DATABASE benchmark")
            connection.execute("CHECKPOINT")
        return self.server_url.replace("/postgres?", "/benchmark?")

    def median(self, name: str, load: str, figure: str) -> float:
        return statistics.median(getattr(run, figure) for run in self.runs[name, load])


def report(benchmark: Benchmark, names: list[str]) -> str:
    lines = [
        f"{benchmark.coins} coins | first load, s | CPU s | repeat, s | changed, s | MB | coins/s"
        " | ratio | rows inexact",
        "--- | --- | --- | --- | --- | --- | --- | --- | ---",
    ]
    ours = benchmark.median("coinspider", "first", "wall")
    for name in names:
        wall, cpu, memory = (benchmark.median(name, "first", f) for f in Run._fields)
        repeat, changed = (benchmark.median(name, load, "wall") for load in LOADS[1:])
        lines.append(
            f"{name} | {wall:.2f} | {cpu:.2f} | {repeat:.2f} | {changed:.2f} | {memory:.0f}"
            f" | {benchmark.coins / wall:.0f} | {ours / wall:.2f} | {benchmark.inexact[name]}"
        )
    return "\n".join(f"| {line} |" for line in lines)


def measure(coins: int, rounds: int, names: list[str]) -> Benchmark:
    FOLDER.mkdir(parents=True, exist_ok=True)
    if "dlt merge" in names:
        install_dlt()
    with TemporaryDirectory(prefix="coinspider-") as directory:
        benchmark = Benchmark(start_embedded_server(Path(directory) / "postgresql"), coins)
        for _ in range(rounds):
            benchmark.round(names)
        return benchmark


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--coins", type=int, default=17_000, help="how many (default: %(default)s)")
    add("--rounds", type=int, default=3, help="runs of each load (default: %(default)s)")
    add("--only", nargs="+", choices=list(commands()), help="not all loaders")
    options = parser.parse_args()
    names = options.only or list(commands())
    print(report(measure(options.coins, options.rounds, names), names))


if __name__ == "__main__":
    main()
