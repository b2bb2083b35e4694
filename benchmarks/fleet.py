"""A fleet of scrapyd nodes: ``python -m benchmarks.fleet --nodes 1 2 3 6 --sources 200``.

Each source is a currency of the sandbox, with a list of 20 coins. With ``--chaos SECONDS``, a node
is killed and another one added that often. Prints one table, also if ``--seconds`` have passed;
fails if a source is lost, still waits, or was read twice. Statements are counted if this machine
has a PostgreSQL with pg_stat_statements, such as Debian's; otherwise transactions are.
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
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import psutil
import psycopg

from coinspider.store.embedded_server import start_embedded_server, stop_embedded_servers
from tests.helpers.postgres_versions import VERSIONS, server_of_version
from tests.helpers.processes import CLEAN, start_sandbox

PROJECT = Path(__file__).parent.parent
CONF = """
[scrapyd]
max_proc = 2
finished_to_keep = 1000000
node_name = {name}
"""
RUNS = """
SELECT job, node, extract(epoch FROM started_at), extract(epoch FROM ended_at) FROM fleet_run
"""
COMPLETE = """
SELECT vs_currency, count(*) FROM crawl WHERE outcome = 'complete' GROUP BY vs_currency
"""
WAITING = "SELECT count(*) FROM procrastinate_jobs"
COUNTED = "pg_stat_statements"
STATEMENTS = "SELECT sum(calls) FROM pg_stat_statements"
TRANSACTIONS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
NODE_SECONDS = 120.0  # seconds for a node to start or to end


class Node:
    """A scrapyd in a separate folder."""

    def __init__(self, stack: ExitStack, number: int, environment: dict[str, str]):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="coinspider-")))
        shipped = (PROJECT / "scrapyd.conf").read_text().partition("[schedule:coins]")[0]
        (folder / "scrapyd.conf").write_text(shipped)
        (folder / "scrapyd.local.conf").write_text(CONF.format(name=f"node{number}"))
        shutil.copy(PROJECT / "scrapy.cfg", folder)
        self.log = folder / "scrapyd.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "coinspider.daemon"], cwd=folder, stdout=log, stderr=log,
                env=os.environ | environment | {"SCRAPYD_HTTP_PORT": str(port)},
            )  # fmt: skip
        stack.callback(self.end)

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(NODE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill it like a power cut: its crawls end with it."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        for process in (self.process, *children):
            with suppress(psutil.NoSuchProcess):
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
        with urlopen(
            Request(f"{self.url}/schedule.json", urlencode(body).encode()), timeout=60
        ) as answer:
            sent = json.load(answer)
        if sent["status"] != "ok":
            sys.exit(f"{job}: {sent}")


def wait_for(nodes: list[Node]) -> None:
    deadline = time.monotonic() + NODE_SECONDS
    while not all(node.is_up() for node in nodes):
        if time.monotonic() > deadline:
            logs = [node.log.read_text()[-2000:] for node in nodes if not node.is_up()]
            sys.exit("\n".join(["nodes did not start", *logs]))
        time.sleep(0.2)


def start_database(stack: ExitStack) -> str:
    for version in sorted(VERSIONS, key=int, reverse=True):
        with suppress(subprocess.CalledProcessError):  # it does not have the extension
            return stack.enter_context(server_of_version(version, shared_preload_libraries=COUNTED))
    directory = Path(stack.enter_context(TemporaryDirectory(prefix="coinspider-")))
    database = start_embedded_server(directory / "postgresql")
    stack.callback(stop_embedded_servers)
    return database


def counter(connection: psycopg.Connection) -> tuple[str, str]:
    """What is counted, and how."""
    try:
        connection.execute(f"CREATE EXTENSION {COUNTED}")
    except psycopg.Error:
        return "transactions", TRANSACTIONS
    return "statements", STATEMENTS


def run(nodes: int, options: Any) -> dict[str, Any]:
    """Send each source once to the first node, and wait until the queue is empty."""
    with ExitStack() as stack:
        database = start_database(stack)
        connection = stack.enter_context(psycopg.connect(database, autocommit=True))
        counted, count = counter(connection)
        api = start_sandbox(stack, "--coins", 20, odd=False)
        environment = CLEAN | {
            "COINGECKO_BASE_URL": api.url, "DATABASE_URL": database, "PYTHONPATH": str(PROJECT),
        }  # fmt: skip

        def add(number: int) -> Node:
            return Node(stack, number, environment)

        running = [add(number) for number in range(nodes)]
        wait_for(running)
        before = connection.execute(count).fetchone()[0]
        sent = {}
        for number in range(options.sources):
            running[0].schedule(f"c{number}")
            sent[f"c{number}"] = time.time()
        kills = work(connection, running, add, options)
        after = connection.execute(count).fetchone()[0]
        found = result(connection, sent)
        return found | {f"{counted} a job": round((after - before) / len(sent)), "kills": kills}


def work(
    connection: psycopg.Connection, running: list[Node], add: Callable[[int], Node], options: Any
) -> int:
    """Kill and add nodes until the queue is empty; return how many were killed."""
    dice, kills = random.Random(0), 0  # noqa: S311
    begun = told = time.monotonic()
    next_blow = begun + options.chaos
    while waiting := connection.execute(WAITING).fetchone()[0]:
        now = time.monotonic()
        if now > begun + options.seconds:
            print(f"{waiting} jobs were not done in time", file=sys.stderr)
            break
        if now > told + 30:
            print(f"{now - begun:.0f} s: {waiting} jobs to do, {kills} kills", file=sys.stderr)
            told = now
        if options.chaos and now > next_blow:
            # The first node stays, because the jobs were sent to it.
            running.pop(dice.randrange(1, len(running))).kill()
            running.append(add(options.first_number + kills))
            kills, next_blow = kills + 1, now + options.chaos
        time.sleep(0.5)
    return kills


def result(connection: psycopg.Connection, sent: dict[str, float]) -> dict[str, Any]:
    rows = [row for row in connection.execute(RUNS).fetchall() if row[3]]
    complete = dict(connection.execute(COMPLETE).fetchall())
    first = {job: float(start) for job, _, start, _ in sorted(rows, key=lambda row: -row[2])}
    waits = [start - sent[job] for job, start in first.items()]
    span = max(float(end) for *_, end in rows) - min(first.values())
    shares = Counter(node for _, node, *_ in rows)
    return {
        "jobs a minute": round(60 * len(complete) / span),
        "wait s, median": round(median(waits), 1),
        "wait s, 95 %": round(quantiles(waits, n=20)[-1], 1),
        "fewest and most of a node": f"{min(shares.values())} to {max(shares.values())}",
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
    add("--seconds", type=float, default=1800, help="how long at the most (default: %(default)s)")
    options = parser.parse_args()
    if options.chaos and min(options.nodes) < 2:
        parser.error("--chaos needs two nodes or more: the first is never killed")
    options.first_number = max(options.nodes)
    results = {nodes: run(nodes, options) for nodes in options.nodes}
    names = list(next(iter(results.values())))
    print(f"| nodes | {' | '.join(names)} |\n|{' --- |' * (len(names) + 1)}")
    for nodes, figures in results.items():
        print(f"| {nodes} | {' | '.join(str(figures[name]) for name in names)} |")
    if any(figures["lost"] or figures["doubled"] for figures in results.values()):
        sys.exit("sources were lost or read twice")


if __name__ == "__main__":
    main()
