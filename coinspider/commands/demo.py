"""``scrapy demo``: a whole crawl, offline; with ``--serve`` also the pages."""

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coinspider.crawl.command import INTERRUPTED, TERMINATED, PlainCommand, number, one_line_errors
from coinspider.installation import (
    SCRAPYD_CONF,
    SHIPPED_CONF,
    data_folder,
    program,
    project_folder,
)
from coinspider.text import counted

if TYPE_CHECKING:
    from coinspider.sandbox.plausible_coins import PlausibleCoin

SCRAPY = [sys.executable, "-m", "scrapy"]
TICK = 60  # seconds after which another third of the coins changes, while the pages are served
DAYS = 30
# Minutes. Of the last day there is a price every ten minutes; of the last week one every quarter of
# an hour for the coins of the first page; before that one an hour.
_LATEST, _WEEK = 24 * 60, 7 * 24 * 60
_FINE = 50  # coins
_DAYS_A_CALL = 7
_BEGUN = "SELECT EXISTS (SELECT FROM coin_candle_days)"
_COPY = """
COPY coin_history (coin_id, vs_currency, last_updated, recorded_at, current_price, market_cap,
                   total_volume)
FROM STDIN
"""
_NEXT = """
What to type next:
  {scrapy} demo --serve               pages at {address}
  {scrapy} history aurel --demo       a chart of 30 days
  {scrapy} coins --demo --search kes  by name, symbol or id
  {scrapy} psql --demo                SQL
  {scrapy} crawl coins                the real coins; no key is needed"""
# Fewer coins than last time are intended, not a fault of the API.
_UNCHECKED = ("DELISTING_CHECK_CALLS_MAX", "0")
_SCRAPY_CFG = "[settings]\ndefault = coinspider.settings\n"
_LOCAL_OPTIONS = """[schedule:coins]
setting.{} = {}
"""


class Command(PlainCommand):
    """Crawls the sandbox into the embedded PostgreSQL and shows what arrived."""

    summary = "Crawl the sandbox API into the embedded PostgreSQL, and show the top ten coins"
    examples = (
        "scrapy demo",
        "scrapy demo --serve",
    )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        add = parser.add_argument
        add(
            "--coins",
            type=number(int, 1),
            default=17_000,
            metavar="N",
            help="how many made-up coins (default: %(default)s)",
        )
        add("--seed", type=int, default=0, metavar="N", help="a number for other prices")
        add("--serve", action="store_true", help="scrapyd with the pages of the demo, until Ctrl-C")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        self.reject_arguments(args)
        # Unlike Ctrl-C, it is sent to this process alone, which then has to end the others.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
        with one_line_errors():
            if opts.serve:
                _check_port()
            database_url = _demo_database()
        try:
            self.exitcode = _demo(opts, database_url)
        except KeyboardInterrupt:
            # The other processes have got the signal as well.
            self.exitcode = INTERRUPTED


def _demo(opts: argparse.Namespace, database_url: str) -> int:
    with _sandbox(opts) as base_url:
        if not base_url:  # the sandbox has said why
            return 1
        environment = _environment(base_url, database_url)
        print(f"The sandbox serves {counted(opts.coins, 'made-up coin')} at {base_url}")
        print(f"{program()} crawl coins", flush=True)
        command = [*SCRAPY, "crawl", "coins", "--loglevel", "WARNING"]
        command += ["-s", "=".join(_UNCHECKED)]
        if status := _run(command, env=environment):
            return status
        fill_history(database_url, opts.coins, opts.seed)
        return _serve(environment) if opts.serve else _show()


def _show() -> int:
    print("\nThe top ten, read back from PostgreSQL:\n", flush=True)
    command = [*SCRAPY, "coins", "--demo", "--limit", "10", "--format", "table"]
    status = _run(command)
    print(_NEXT.format(scrapy=program(), address=_address()))
    return status


def _check_port() -> None:
    """Before the crawl, which takes some seconds. Raises :exc:`ConfigurationError`."""
    from coinspider.daemon.configuration import check_port, local_configuration

    check_port(local_configuration())


def _address() -> str:
    from coinspider.daemon.configuration import address, local_configuration

    return address(local_configuration())


def _demo_database() -> str:
    """A separate database, so that made-up coins never mix with real ones."""
    import psycopg
    from psycopg import sql

    from coinspider.store.connection import DEMO_DATABASE, embedded_url

    with psycopg.connect(embedded_url(), autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DEMO_DATABASE])
        if not found.rowcount:
            create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DEMO_DATABASE))
            connection.execute(create)
    return embedded_url(DEMO_DATABASE)


@contextmanager
def _sandbox(opts: argparse.Namespace) -> Iterator[str]:
    command = [*SCRAPY, "sandbox", "--port", "0"]
    command += [f"--coins={opts.coins}", f"--seed={opts.seed}"]
    command += [f"--tick={TICK}"] if opts.serve else []
    # In a group of its own Ctrl-C does not reach it, which would show a traceback.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as sandbox:
        assert sandbox.stdout
        try:
            yield sandbox.stdout.readline().strip()
        finally:
            sandbox.terminate()


def _environment(base_url: str, database_url: str) -> dict[str, str]:
    return os.environ | {
        "COINGECKO_BASE_URL": base_url,
        "COINGECKO_API_KEY": "",
        "COINGECKO_PLAN": "public",
        "COINGECKO_RATE_LIMIT": "0",
        "COINGECKO_FIRST_COINS": "0",  # the demo makes a longer history itself
        "DATABASE_URL": database_url,
        "POSTGRES_ENABLED": "1",
        "HISTORY_ENABLED": "1",
    }


def _serve(environment: dict[str, str]) -> int:
    """scrapyd in a separate folder, so that its jobs don't mix with those of real crawls."""
    # It imports scrapyd, and Scrapy imports all commands.
    from coinspider.daemon.configuration import LOCAL_FILE

    project, folder = project_folder(), data_folder("demo")
    folder.mkdir(parents=True, exist_ok=True)
    cfg = (project / "scrapy.cfg").read_text() if project else _SCRAPY_CFG
    (folder / "scrapy.cfg").write_text(cfg)
    (folder / LOCAL_FILE).write_text(_LOCAL_OPTIONS.format(*_UNCHECKED))
    # What a project changes of it holds here too; an earlier version's is out of date.
    shutil.copy(own if (own := Path(SCRAPYD_CONF)).exists() else SHIPPED_CONF, folder)
    if project:
        paths = [str(project), *filter(None, [environment.get("PYTHONPATH")])]
        environment = environment | {"PYTHONPATH": os.pathsep.join(paths)}
    try:
        return _run([sys.executable, "-m", "coinspider.daemon"], cwd=folder, env=environment)
    except KeyboardInterrupt:
        return 0


def _run(command: list[str], **options: Any) -> int:
    """The status of a command. It is given the time to end in order, whatever ends the demo."""
    with subprocess.Popen(command, **options) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the command has got the signal as well
            process.wait()
            raise
        except SystemExit:
            process.terminate()
            process.wait()
            raise


def fill_history(database_url: str, coins: int, seed: int = 0) -> None:
    """Once, after the first crawl has made the tables."""
    import psycopg

    from coinspider.sandbox.plausible_coins import CHARTED, coin

    with psycopg.connect(database_url) as connection:
        begun = connection.execute(_BEGUN).fetchone()
    if not (begun and begun[0]):
        asyncio.run(
            _fill(database_url, [coin(number, seed) for number in range(min(coins, CHARTED))])
        )


async def _fill(database_url: str, coins: "list[PlausibleCoin]") -> None:
    import psycopg

    from coinspider.items import FullCoin
    from coinspider.store.candles import keep_history
    from coinspider.store.partitions import HistorySettings, keep_partitions

    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        table = FullCoin.history_table
        assert table
        now = datetime.now(UTC)
        for days in range(DAYS, 0, -_DAYS_A_CALL):
            await keep_partitions(connection, table, now=now - timedelta(days=days))
        async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for number, told in enumerate(coins):
                turnover = told.turnover_at(now.timestamp())
                for moment in _moments(now, is_fine=number < _FINE):
                    await copy.write_row(_change(told, moment, turnover))
        await keep_history(connection, FullCoin, HistorySettings(True, 2), now)


def _moments(now: datetime, is_fine: bool) -> list[datetime]:
    """The oldest first. Fine ones let each hour of the last week have a candle with a body."""
    week = 15 if is_fine else 60
    minutes = [
        *range(DAYS * 24 * 60, _WEEK, -60),
        *range(_WEEK, _LATEST, -week),
        *range(_LATEST, 5, -10),
    ]
    return [now - timedelta(minutes=n) for n in minutes]


def _change(told: "PlausibleCoin", moment: datetime, turnover: float) -> tuple[object, ...]:
    price = told.price_at(moment.timestamp())
    cap = round(price * told.circulating)
    return told.id, "usd", moment, moment, f"{price:.7g}", cap, round(cap * turnover)
