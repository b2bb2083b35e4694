"""A fleet of scrapyd nodes: ``python -m benchmarks.fleet --nodes 1 2 3 6 --sources 200``.

Each source is a currency of the sandbox, with a list of 20 coins. With ``--chaos SECONDS`` a node
is killed, and another one added, that often; fails where a source is lost or read twice.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import psutil
import psycopg

from coinspider.store.embedded_server import start_embedded_server, stop_embedded_servers

PROJECT = Path(__file__).parent.parent
CONF = """
[scrapyd]
queue = postgres
node_timeout = 5
max_proc = 2
node_name = {name}
"""
RUNS = """
SELECT job, node, extract(epoch FROM started_at), extract(epoch FROM ended_at) FROM fleet_run
"""
COMPLETE = """
SELECT vs_currency, count(*) FROM crawl WHERE outcome = 'complete' GROUP BY vs_currency
"""
STATEMENTS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"


class Node:
    """A scrapyd in a folder of its own."""

    def __init__(self, stack: ExitStack, number: int, environment: dict[str, str]):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="coinspider-")))
        shipped = (PROJECT / "scrapyd.conf").read_text().partition("[schedule:coins]")[0]
        options = CONF.format(name=f"node{number}").strip()
        (folder / "scrapyd.conf").write_text(shipped.replace("[scrapyd]", options, 1))
        shutil.copy(PROJECT / "scrapy.cfg", folder)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scrapyd"], cwd=folder, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | environment | {"SCRAPYD_HTTP_PORT": str(port)},
        )  # fmt: skip
        stack.callback(self.end)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)

    def kill(self) -> None:
        """As a machine that loses its power: its crawls end with it."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        for process in (self.process, *children):
            process.send_signal(signal.SIGKILL)
        self.process.wait()

    def is_up(self) -> bool:
        try:
            urlopen(f"{self.url}/daemonstatus.json", timeout=5).close()
        except OSError:
            return False
        return True

    def schedule(self, job: str) -> None:
        body = {"project": "coinspider", "spider": "coins", "jobid": job, "vs_currency": job}
        with urlopen(Request(f"{self.url}/schedule.json", urlencode(body).encode())) as answer:
            sent = json.load(answer)
        if sent["status"] != "ok":
            sys.exit(f"{job}: {sent}")


def wait_for(nodes: list[Node]) -> None:
    deadline = time.monotonic() + 60
    while not all(node.is_up() for node in nodes):
        if time.monotonic() > deadline:
            sys.exit("a node did not start")
        time.sleep(0.2)


def run(nodes: int, options: Any) -> dict[str, Any]:
    """Send each source once to the first node, and wait until the queue is empty."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="coinspider-")))
        database = start_embedded_server(directory / "postgresql")
        stack.callback(stop_embedded_servers)
        api = subprocess.Popen(
            [sys.executable, "-m", "scrapy", "sandbox", "--port", "0", "--coins", "20"],
            cwd=PROJECT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        stack.callback(api.terminate)
        assert api.stdout
        environment = {
            "COINGECKO_BASE_URL": api.stdout.readline().strip(), "COINGECKO_RATE_LIMIT": "0",
            "DATABASE_URL": database, "PYTHONPATH": str(PROJECT),
        }  # fmt: skip

        def add(number: int) -> Node:
            return Node(stack, number, environment)

        running = [add(number) for number in range(nodes)]
        wait_for(running)
        connection = stack.enter_context(psycopg.connect(database, autocommit=True))
        before = connection.execute(STATEMENTS).fetchone()[0]
        sent = {}
        for number in range(options.sources):
            running[0].schedule(f"c{number}")
            sent[f"c{number}"] = time.time()
        work(connection, running, add, options)
        after = connection.execute(STATEMENTS).fetchone()[0]
        return result(connection, sent, after - before)


def work(
    connection: psycopg.Connection, running: list[Node], add: Callable[[int], Node], options: Any
) -> None:
    """Wait until the queue is empty; kill and add nodes meanwhile."""
    dice, number = random.Random(0), len(running)  # noqa: S311
    deadline = time.monotonic() + options.seconds
    next_blow = time.monotonic() + options.chaos
    while connection.execute("SELECT id FROM procrastinate_jobs LIMIT 1").fetchone():
        if time.monotonic() > deadline:
            sys.exit("the queue was not empty in time")
        if options.chaos and time.monotonic() > next_blow:
            # The first stays: the jobs were sent to it.
            running.pop(dice.randrange(1, len(running))).kill()
            running.append(add(number))
            number, next_blow = number + 1, time.monotonic() + options.chaos
        time.sleep(0.5)


def result(
    connection: psycopg.Connection, sent: dict[str, float], statements: int
) -> dict[str, Any]:
    rows = connection.execute(RUNS).fetchall()
    complete = dict(connection.execute(COMPLETE).fetchall())
    waits = [float(start) - sent[job] for job, _, start, _ in rows]
    span = max(float(end) for *_, end in rows) - min(float(start) for *_, start, _ in rows)
    shares = Counter(node for _, node, *_ in rows)
    return {
        "jobs a minute": round(60 * len(sent) / span),
        "wait s, median": round(median(waits), 1),
        "wait s, 95 %": round(quantiles(waits, n=20)[-1], 1),
        "fewest and most of a node": f"{min(shares.values())} to {max(shares.values())}",
        "transactions a job": round(statements / len(sent)),
        "runs": len(rows),
        "lost": len(sent.keys() - complete.keys()),
        "doubled": sum(count > 1 for count in complete.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--nodes", type=int, nargs="+", default=[1, 2, 3, 6], help="how many nodes")
    add("--sources", type=int, default=200, help="how many sources (default: %(default)s)")
    add("--chaos", type=float, default=0, metavar="SECONDS", help="kill a node and add one")
    add("--seconds", type=float, default=1200, help="how long at the most (default: %(default)s)")
    options = parser.parse_args()
    results = {nodes: run(nodes, options) for nodes in options.nodes}
    names = list(next(iter(results.values())))
    print(f"| nodes | {' | '.join(names)} |\n|{' --- |' * (len(names) + 1)}")
    for nodes, figures in results.items():
        print(f"| {nodes} | {' | '.join(str(figures[name]) for name in names)} |")
    if any(figures["lost"] or figures["doubled"] for figures in results.values()):
        sys.exit("sources were lost or read twice")


if __name__ == "__main__":
    main()
