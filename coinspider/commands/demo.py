"""``scrapy demo``: the whole thing once, offline."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from scrapy.commands import ScrapyCommand

from coinspider.crawl.program import program

TOP_TEN = """
SELECT market_cap_rank AS rank, symbol, trim(name) AS name, current_price, market_cap,
       price_change_percentage_24h AS "24h %", last_updated
FROM full_coin ORDER BY market_cap_rank NULLS LAST LIMIT 10
"""
SCRAPY = [sys.executable, "-m", "scrapy"]


class Command(ScrapyCommand):
    """Crawls the sandbox into the embedded PostgreSQL and shows what arrived."""

    requires_project = True
    requires_crawler_process = False

    def short_desc(self) -> str:
        return "Crawl the sandbox API into the embedded PostgreSQL, and show the top ten coins"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--coins", type=int, default=17_000, help="how many made-up coins (default: 17000)"
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        database_url = _demo_database()
        with _sandbox(opts.coins) as base_url:
            print(f"The sandbox serves {opts.coins} made-up coins at {base_url}")
            self.exitcode = _crawl(base_url, database_url)
        if self.exitcode == 0:
            print("\nThe top ten, read back from PostgreSQL:\n", flush=True)
            command = [*SCRAPY, "psql", "--demo", "-c", TOP_TEN]
            self.exitcode = subprocess.run(command, check=False).returncode
        print(f"More of them: {program()} coins --demo")


def _demo_database() -> str:
    """A database of its own: made-up coins must not get among real ones."""
    import psycopg
    from psycopg import sql

    from coinspider.store.connect import DEMO_DATABASE, embedded_url

    with psycopg.connect(embedded_url(), autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DEMO_DATABASE])
        if not found.rowcount:
            create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DEMO_DATABASE))
            connection.execute(create)
    return embedded_url(DEMO_DATABASE)


@contextmanager
def _sandbox(coins: int) -> Iterator[str]:
    command = [*SCRAPY, "sandbox", "--port", "0", "--coins", str(coins)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout
        try:
            yield sandbox.stdout.readline().strip()
        finally:
            sandbox.terminate()


def _crawl(base_url: str, database_url: str) -> int:
    print("scrapy crawl coins", flush=True)
    environment = os.environ | {
        "COINGECKO_BASE_URL": base_url,
        "COINGECKO_API_KEY": "",
        "COINGECKO_PLAN": "public",
        "COINGECKO_RATE_LIMIT": "0",
        "DATABASE_URL": database_url,
        "POSTGRES_ENABLED": "1",
    }
    command = [*SCRAPY, "crawl", "coins", "--loglevel", "WARNING"]
    return subprocess.run(command, env=environment, check=False).returncode
