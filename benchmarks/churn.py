"""Whether the table ends with the API's coins if coins are listed and delisted during the crawls.

Crawls a sandbox that adds a coin and removes one before a share of its calls, and compares the
table after each crawl with the sandbox's record of its changes:

    python -m benchmarks.churn --crawls 50 --churn 0.29

*wrong* are coins that are marked as delisted but were listed throughout the crawl; *missing* are
those that were listed throughout it but have no row; *unmarked* are those that were gone before it
began but are not marked. Coins that changed during a crawl are left to the next one.

The first crawl is shown, but not counted: it knows no coins yet, so it can't look for one that was
on no page because another coin was removed at that moment. The second crawl finds those.
"""

import argparse
import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import psycopg

from benchmarks.processes import CRAWL
from coinspider.sandbox.served_coins import coin_id
from coinspider.store.embedded_server import start_embedded_server
from tests.helpers.processes import PROJECT, Sandbox, start_sandbox


def changes(api: Sandbox) -> list[tuple[int, str, bool]]:
    with urlopen(api.url.replace("/api/v3", "/changes")) as answer:
        return [(call, id_, listed) for call, id_, listed in json.load(answer)]


def listed_between(
    first: set[str], moves: list[tuple[int, str, bool]], start: int, end: int
) -> tuple[set[str], set[str]]:
    """The coins that were listed throughout these calls, and those that were listed at any time."""
    now = set(first)
    for call, id_, listed in moves:
        if call < start:
            (now.add if listed else now.discard)(id_)
    always, ever = set(now), set(now)
    for call, id_, listed in moves:
        if start <= call < end:
            ever.add(id_)
            if not listed:
                always.discard(id_)
    return always, ever


def compare(database_url: str, always: set[str], ever: set[str]) -> tuple[int, int, int]:
    """How many coins are marked wrongly, missing, or gone but not marked."""
    with psycopg.connect(database_url) as connection:
        rows = dict(
            connection.execute("SELECT coin_id, delisted_at IS NOT NULL FROM full_coin").fetchall()
        )
    wrong = sum(rows.get(id_, False) for id_ in always)
    missing = sum(id_ not in rows for id_ in always)
    unmarked = sum(not marked and id_ not in ever for id_, marked in rows.items())
    return wrong, missing, unmarked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--coins", type=int, default=17_000, help="how many (default: %(default)s)")
    add("--crawls", type=int, default=50, help="how many (default: %(default)s)")
    add("--churn", type=float, default=0.29, help="see scrapy sandbox (default: %(default)s)")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="coinspider-") as directory, ExitStack() as stack:
        url = start_embedded_server(Path(directory) / "postgresql")
        api = start_sandbox(stack, "--odd", "--coins", options.coins, "--churn", options.churn)
        first = {coin_id(number) for number in range(options.coins)}
        run(url, api, first, options.crawls)


def run(url: str, api: Sandbox, first: set[str], crawls: int) -> None:
    environment = os.environ | {
        "DATABASE_URL": url, "COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": "0",
    }  # fmt: skip
    print("| crawl | exit | calls | listed and delisted | wrong | missing | unmarked |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    sums = [0, 0, 0]
    for number in range(1, crawls + 2):
        start = len(api.calls())
        done = subprocess.run(CRAWL, cwd=PROJECT, env=environment, capture_output=True, check=False)
        end, moves = len(api.calls()), changes(api)
        found = compare(url, *listed_between(first, moves, start, end))
        if number > 1:
            sums = [total + count for total, count in zip(sums, found, strict=True)]
        moved = sum(start <= call < end for call, _, _ in moves)
        print(f"| {number} | {done.returncode} | {end - start} | {moved} |"
              f" {' | '.join(map(str, found))} |", flush=True)  # fmt: skip
        if done.returncode:
            print(done.stderr.decode().splitlines()[-1])
    wrong, missing, unmarked = sums
    print(
        f"\n{crawls} crawls after the first: {wrong} wrong, {missing} missing, {unmarked} unmarked"
    )


if __name__ == "__main__":
    main()
