"""scrapyd for many short periods, with troubles: ``python -m benchmarks.soak --runs 60``.

It crawls a sandbox whose prices change all the time, whose answers are spoiled now and then, and
which only a forward proxy reaches. scrapyd is stopped or killed and started again, and its clock is
set, if libfaketime is there. Fails if two crawls overlap, a row does not say how its crawl ended, a
schedule is late by more than a period, scrapyd or a table grows, or a row finally differs from what
the sandbox says.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from configparser import ConfigParser
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.client import HTTPException
from itertools import cycle, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psutil
import psycopg

from benchmarks.pages import FOLDER
from coinspider.store.embedded_server import start_embedded_server, stop_embedded_servers

PROJECT = Path(__file__).parent.parent
PORT = "16800"
URL = f"http://127.0.0.1:{PORT}"
CHANGES = 60  # seconds between two changes of the sandbox's prices
# How far scrapyd's clock is from the right time: at a boot without NTP, after it, and so on.
CLOCKS = ("+3650d", "+0", "-1d", "+3h")
COINS = "vs_currency=usd&order=id_asc&per_page=250"
CRAWLS = "SELECT started_at, ended_at, outcome, message FROM crawl ORDER BY id"
DONE = "SELECT count(*) FROM crawl WHERE outcome <> ''"
RUNNING = "SELECT count(*) FROM crawl WHERE ended_at IS NULL AND batch_count > 0"
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL"
UNTRUE = """
SELECT count(*) FROM crawl WHERE ended_at IS NULL OR outcome = 'complete' AND record_count
    <> inserted_count + updated_count + unchanged_count + older_count + repeated_count
       + rejected_count + dropped_count
"""
# Those that get a row for each run or change are not here.
TABLES = """
SELECT relname, pg_total_relation_size(oid) / 1024 FROM pg_class
WHERE relname IN ('api_account', 'api_usage', 'full_coin', 'rejected_record', 'fleet_schedule',
                  'procrastinate_jobs', 'fleet_node')
ORDER BY relname
"""


class Size(NamedTuple):
    """What scrapyd holds: memory in MB, open files, and connections of the database; and the kB of
    each table.
    """

    memory: float
    files: int
    connections: int
    tables: dict[str, int]


class ForwardProxy:
    """An HTTP proxy that sends everything to one API, whatever host is asked for."""

    def __init__(self, api: str):
        self.port, self.calls = urlsplit(api).port, 0
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), self.loop).result()
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._forward, "127.0.0.1", 0)

    async def _forward(self, asked: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):
            method, url, rest = (await asked.readuntil(b"\r\n\r\n")).split(b" ", 2)
            answer, api = await asyncio.open_connection("127.0.0.1", self.port)
            path = url.split(b"/", 3)[3]
            close = rest.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            api.write(b"%b /%b %b" % (method, path, close))
            self.calls += 1
            while data := await answer.read(1 << 16):
                client.write(data)
                await client.drain()
            api.close()
            client.close()
            return
        client.transport.abort()


class Daemon:
    """scrapyd in a folder: stopped, killed and started again."""

    def __init__(self, directory: Path, environment: dict[str, str]):
        self.directory, self.environment = directory, environment
        self.clock = directory / "clock"
        self.clock.write_text("+0")
        self.clocks, self.signals = cycle(CLOCKS), cycle(("terminate", "kill"))
        self.starts: list[datetime] = []
        library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
        if library:
            self.environment |= {
                "LD_PRELOAD": str(library), "FAKETIME_NO_CACHE": "1",
                "FAKETIME_TIMESTAMP_FILE": str(self.clock), "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }  # fmt: skip

    def start(self) -> Self:
        with (self.directory / "log").open("a") as log:
            self.process = psutil.Popen(
                [sys.executable, "-m", "scrapyd"], cwd=self.directory,
                env=os.environ | self.environment, stdout=log, stderr=log,
            )  # fmt: skip
        self.starts.append(datetime.now(UTC))
        while not self.answers():
            time.sleep(0.1)
        return self

    @staticmethod
    def answers() -> bool:
        with suppress(OSError):
            return bool(schedule())
        return False

    def end(self) -> None:
        getattr(self.process, next(self.signals))()
        self.process.wait()

    def set_clock(self) -> None:
        self.clock.write_text(next(self.clocks))


def start(stack: ExitStack, command: list[str], **options: Any) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, text=True, **options)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def call(path: str, body: bytes | None = None) -> Any:
    with urlopen(Request(f"{URL}/{path}", body)) as answer:
        return json.load(answer)


def write_configuration(directory: Path, every: int) -> None:
    parser = ConfigParser()
    parser.read(PROJECT / "scrapyd.conf")
    parser["scrapyd"]["poll_interval"] = "0.2"
    parser.set("schedule:coins", "every", f"{every}s")
    with (directory / "scrapyd.conf").open("w") as file:
        parser.write(file)
    shutil.copy(PROJECT / "scrapy.cfg", directory)


def size(process: psutil.Process, connection: psycopg.Connection) -> Size:
    [connections] = connection.execute(CONNECTIONS).fetchone()
    tables = dict(connection.execute(TABLES).fetchall())
    return Size(process.memory_info().rss / 2**20, process.num_fds(), connections, tables)


def schedule() -> dict[str, Any]:
    return call("schedules.json")["schedules"][0]


def soak(daemon: Daemon, connection: psycopg.Connection, options: argparse.Namespace) -> list[Size]:
    """Wait for some runs, measure after each, and make trouble after some.

    scrapyd is not restarted in the second half, so that what it holds has time to grow.
    """
    sizes: list[Size] = []
    while len(sizes) < options.runs:
        if connection.execute(DONE).fetchone()[0] > len(sizes):
            sizes.append(size(daemon.process, connection))
            print(f"after run {len(sizes)}: {sizes[-1]}", flush=True)
            if options.step and not len(sizes) % options.step:
                daemon.set_clock()
            may_restart = options.restart and len(sizes) <= options.runs // 2
            if may_restart and not len(sizes) % options.restart:
                while not connection.execute(RUNNING).fetchone()[0]:
                    time.sleep(0.1)
                daemon.end()
                daemon.start()
        time.sleep(0.1)
    call("pauseschedule.json", b"schedule=coins")
    while schedule()["active"]:
        time.sleep(0.1)
    return sizes


def inexact_coins(api: str, connection: psycopg.Connection, coins: int) -> int:
    """Make a last crawl between two changes, and return how many of its prices are wrong."""
    before_change = ask(api, coins)
    while before_change == ask(api, coins):
        time.sleep(0.2)
    # The last answers may be of before and after the change.
    sent = ask(api, coins)
    before = connection.execute(DONE).fetchone()[0]
    call("runschedule.json", b"schedule=coins")
    while connection.execute(DONE).fetchone()[0] == before:
        time.sleep(0.1)
    rows = connection.execute("SELECT coin_id, current_price FROM full_coin").fetchall()
    stored = {name: price if price is None else format(price, "f") for name, price in rows}
    return len(sent.items() ^ stored.items())


def ask(api: str, coins: int) -> dict[str, str | None]:
    prices: dict[str, str | None] = {}
    for page in range(1, coins // 250 + 2):
        for coin in ask_page(f"{api}/coins/markets?{COINS}&page={page}"):
            price = coin["current_price"]
            prices[coin["id"]] = None if price is None else format(price, "f")
    return prices


def ask_page(url: str) -> Any:
    """Its answer, as soon as it is none of the spoiled ones."""
    deadline = time.monotonic() + 120
    while True:
        try:
            with urlopen(url, timeout=10) as answer:
                return json.load(answer, parse_float=Decimal, parse_int=Decimal)
        except (OSError, HTTPException, ValueError):
            if time.monotonic() > deadline:
                raise


def late_runs(crawls: list[tuple[Any, ...]], starts: list[datetime], every: int) -> int:
    """How many runs began more than a period after they were due, or after scrapyd was there."""
    period = timedelta(seconds=every)
    late = 0
    for (began, ended, *_), (following, *_) in pairwise(crawls):
        there = [moment for moment in starts if began < moment < following]
        late += following > max([began + period, ended, *there]) + period
    return late


def largest(sizes: list[Size]) -> Size:
    """The most of each figure that scrapyd itself has."""
    memory, files, connections, _ = zip(*sizes, strict=True)
    return Size(max(memory), max(files), max(connections), {})


def report(
    daemon: Daemon, sizes: list[Size], connection: psycopg.Connection, every: int
) -> list[str]:
    """Print the figures, and return what is wrong."""
    crawls = connection.execute(CRAWLS).fetchall()
    overlaps = sum(second[0] < first[1] for first, second in pairwise(crawls))
    outcomes = Counter(outcome for _, _, outcome, _ in crawls)
    restarts = len(daemon.starts) - 1
    # In a fifth of the runs the tables are filled. After a run scrapyd may be in the middle of
    # something, so the most of many moments counts.
    filled, half = len(sizes) // 5, len(sizes) * 3 // 5
    before, after = largest(sizes[filled:half]), largest(sizes[half:])
    print(f"runs {len(crawls)}, skipped {schedule()['skipped']}, restarts {restarts}, {outcomes}")
    print(*(f"{began}: {message}" for began, _, name, message in crawls if name != "complete"),
          sep="\n")  # fmt: skip
    found = {
        "runs overlap": overlaps,
        "rows are not true": connection.execute(UNTRUE).fetchone()[0],
        "runs are late": late_runs(crawls[:-1], daemon.starts, every),  # the last one was asked for
        "runs were interrupted without a restart":
            outcomes["interrupted"] + outcomes["died"] > restarts,
        "runs failed": outcomes["failed"] > len(crawls) // 20,
        "memory grows": after.memory > before.memory * 1.1,
        "open files grow": after.files > before.files + 2,
        "connections grow": after.connections > before.connections + 1,
    } | {
        f"{name} grows": kilobytes > 1.5 * sizes[filled].tables.get(name, 0) + 128
        for name, kilobytes in sizes[-1].tables.items()
    }  # fmt: skip
    return [f"{problem}: {value}" for problem, value in found.items() if value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--runs", type=int, default=60)
    add("--every", type=int, default=20, help="the period of the schedule (default: 20 s)")
    add("--coins", type=int, default=2000)
    add("--faults", default="0.02", help="the share of spoiled answers (default: %(default)s)")
    add("--restart", type=int, default=10, help="stop or kill scrapyd after so many runs")
    add("--step", type=int, default=4, help="set its clock after so many runs")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="coinspider-") as folder, ExitStack() as stack:
        directory = Path(folder)
        database = start_embedded_server(directory / "postgresql")
        stack.callback(stop_embedded_servers)
        write_configuration(directory, options.every)
        command = [sys.executable, "-m", "scrapy", "sandbox", "--odd", "--port", "0"]
        command += ["--coins", str(options.coins), "--tick", str(CHANGES)]
        command += ["--faults", options.faults, "--latency", "0.3"]
        sandbox = start(stack, command, stdout=subprocess.PIPE, cwd=PROJECT)
        api = sandbox.stdout.readline().strip()
        proxy = ForwardProxy(api)
        daemon = Daemon(directory, {
            "COINGECKO_BASE_URL": "http://api.example/api/v3", "HTTP_PROXY": proxy.url,
            "COINGECKO_RATE_LIMIT": "0", "DATABASE_URL": database, "PYTHONPATH": str(PROJECT),
            "SCRAPYD_HTTP_PORT": PORT,
        }).start()  # fmt: skip
        stack.callback(daemon.end)
        connection = stack.enter_context(psycopg.connect(database, autocommit=True))
        while not connection.execute("SELECT to_regclass('crawl')").fetchone()[0]:
            time.sleep(0.2)
        sizes = soak(daemon, connection, options)
        inexact = inexact_coins(api, connection, options.coins)
        problems = report(daemon, sizes, connection, options.every)
        print(f"calls through the proxy {proxy.calls}, coins not as the sandbox has them {inexact}")
        if problems or inexact:
            FOLDER.mkdir(parents=True, exist_ok=True)
            shutil.copy(directory / "log", FOLDER / "soak.log")
            logs = directory / ".scrapy/scrapyd/logs"
            shutil.copytree(logs, FOLDER / "soak", dirs_exist_ok=True)
            sys.exit("; ".join(problems) or "rows differ")


if __name__ == "__main__":
    main()
