"""scrapyd for many short periods: ``python -m benchmarks.soak --runs 60 --every 2s --coins 2000``.

It crawls a sandbox whose prices change all the time. Fails if two crawls overlap, one is not
complete, scrapyd grows, or a row finally differs from what the sandbox says.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from configparser import ConfigParser
from contextlib import ExitStack
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import psutil
import psycopg

from coinspider.store.embedded_server import start_embedded_server, stop_embedded_servers

PROJECT = Path(__file__).parent.parent
PORT = "16800"
URL = f"http://127.0.0.1:{PORT}"
CHANGES = 20  # seconds between two changes of the sandbox's prices
CRAWLS = "SELECT started_at, ended_at, outcome FROM crawl ORDER BY id"
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL"


class Size(NamedTuple):
    """What scrapyd holds: memory in MB, open files, and connections of the database."""

    memory: float
    files: int
    connections: int


def start(stack: ExitStack, command: list[str], **options: Any) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, text=True, **options)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def call(path: str, body: bytes | None = None) -> Any:
    with urlopen(Request(f"{URL}/{path}", body)) as answer:
        return json.load(answer)


def write_configuration(directory: Path, every: str) -> None:
    parser = ConfigParser()
    parser.read(PROJECT / "scrapyd.conf")
    parser["scrapyd"]["poll_interval"] = "0.2"
    parser.set("schedule:coins", "every", every)
    with (directory / "scrapyd.conf").open("w") as file:
        parser.write(file)
    shutil.copy(PROJECT / "scrapy.cfg", directory)


def size(process: psutil.Process, connection: psycopg.Connection) -> Size:
    [connections] = connection.execute(CONNECTIONS).fetchone()
    return Size(process.memory_info().rss / 2**20, process.num_fds(), connections)


def schedule() -> dict[str, Any]:
    return call("schedules.json")["schedules"][0]


def soak(scrapyd: psutil.Process, connection: psycopg.Connection, runs: int) -> list[Size]:
    """Wait for ``runs`` runs, and measure after each."""
    sizes: list[Size] = []
    while len(sizes) < runs:
        done = connection.execute("SELECT count(*) FROM crawl WHERE outcome <> ''").fetchone()[0]
        if done > len(sizes):
            sizes.append(size(scrapyd, connection))
        time.sleep(0.1)
    call("pauseschedule.json", b"schedule=coins")
    while schedule()["active"]:
        time.sleep(0.1)
    return sizes


def inexact_coins(api: str, connection: psycopg.Connection, coins: int) -> int:
    """Make a last crawl between two changes, and return how many of its prices are wrong."""
    sent = ask(api, coins)
    while sent == (changed := ask(api, coins)):
        time.sleep(0.2)
    before = connection.execute("SELECT count(*) FROM crawl").fetchone()[0]
    call("runschedule.json", b"schedule=coins")
    while connection.execute("SELECT count(*) FILTER (WHERE outcome <> '') FROM crawl"
                             ).fetchone()[0] == before:  # fmt: skip
        time.sleep(0.1)
    rows = connection.execute("SELECT coin_id, current_price FROM full_coin").fetchall()
    stored = {name: price if price is None else format(price, "f") for name, price in rows}
    return len(changed.items() ^ stored.items())


def ask(api: str, coins: int) -> dict[str, str | None]:
    prices: dict[str, str | None] = {}
    for page in range(1, coins // 250 + 2):
        url = f"{api}/coins/markets?vs_currency=usd&order=id_asc&per_page=250&page={page}"
        with urlopen(url) as answer:
            for coin in json.load(answer, parse_float=Decimal, parse_int=Decimal):
                price = coin["current_price"]
                prices[coin["id"]] = None if price is None else format(price, "f")
    return prices


def report(sizes: list[Size], connection: psycopg.Connection, inexact: int) -> list[str]:
    """Print the figures, and return what is wrong."""
    crawls = connection.execute(CRAWLS).fetchall()
    overlaps = sum(second[0] < first[1] for first, second in pairwise(crawls))
    outcomes = {outcome for _, _, outcome in crawls}
    # During the first tenth of the runs everything is loaded.
    early, late = sizes[len(sizes) // 10], sizes[-1]
    print(f"runs {len(crawls)}, skipped {schedule()['skipped']}, overlapping {overlaps}")
    print(f"outcomes {outcomes}, coins not as the sandbox has them {inexact}")
    print(f"after run {len(sizes) // 10 + 1}: {early}\nafter run {len(sizes)}: {late}")
    return [
        problem
        for problem, found in {
            "runs overlap": overlaps,
            "runs are not complete": outcomes != {"complete"},
            "rows differ": inexact,
            "memory grows": late.memory > early.memory * 1.1,
            "open files grow": late.files > early.files + 2,
            "connections grow": late.connections > early.connections + 1,
        }.items()
        if found
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--every", default="2s", help="the period of the schedule (default: 2s)")
    parser.add_argument("--coins", type=int, default=2000)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="coinspider-") as directory, ExitStack() as stack:
        database = start_embedded_server(Path(directory) / "postgresql")
        stack.callback(stop_embedded_servers)
        write_configuration(Path(directory), options.every)
        command = [sys.executable, "-m", "scrapy", "sandbox", "--odd", "--port", "0"]
        command += ["--coins", str(options.coins), "--tick", str(CHANGES)]
        sandbox = start(stack, command, stdout=subprocess.PIPE, cwd=PROJECT)
        api = sandbox.stdout.readline().strip()
        environment = os.environ | {
            "COINGECKO_BASE_URL": api, "COINGECKO_RATE_LIMIT": "0", "DATABASE_URL": database,
            "PYTHONPATH": str(PROJECT), "SCRAPYD_HTTP_PORT": PORT,
        }  # fmt: skip
        log = stack.enter_context((Path(directory) / "log").open("w"))
        scrapyd = start(stack, [sys.executable, "-m", "scrapyd"], cwd=directory,
                        env=environment, stdout=log, stderr=log)  # fmt: skip
        connection = stack.enter_context(psycopg.connect(database, autocommit=True))
        while not connection.execute("SELECT to_regclass('crawl')").fetchone()[0]:
            time.sleep(0.2)
        sizes = soak(psutil.Process(scrapyd.pid), connection, options.runs)
        inexact = inexact_coins(api, connection, options.coins)
        if problems := report(sizes, connection, inexact):
            sys.exit("; ".join(problems))


if __name__ == "__main__":
    main()
