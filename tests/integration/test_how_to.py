"""Each recipe of ``docs/how-to.md`` that needs nothing from elsewhere does what it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from openpyxl import load_workbook
from psycopg.conninfo import make_conninfo

from tests.helpers.needs import program
from tests.helpers.processes import CLEAN, PROJECT
from tests.helpers.receiver import start_receiver

PAGE = (PROJECT / "docs/how-to.md").read_text()
RECIPES = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```sh\n(.*?)^```", PAGE, re.M | re.S))
SHOWN = {
    "The top 100 in euro as CSV and for Excel": "",
    "The new coins of the week": "",
    "A crawl every five minutes, as a service": "coins: coins, every 5 min (scrapyd.local.conf)",
    "A PostgreSQL of your own": "300",
    "A column of your own": "(5 rows)",
    "A filter of your own": "",
    "Another API in five minutes": "(5 rows)",
    "In a Scrapy project of your own": "(5 rows)",
    "pandas, polars, DuckDB": "[(300, ",
    "Metabase, or any SQL client": "(5 rows)",
    "Alerts on the telephone": ": the alert was taken",
}
# Recipes that begin with the coins of a crawl.
CRAWLED = {
    "The new coins of the week", "A column of your own", "pandas, polars, DuckDB",
    "Metabase, or any SQL client",
}  # fmt: skip


@pytest.fixture
def endpoint():
    with start_receiver() as server:
        yield server


@pytest.fixture
def run(empty_project, sandbox, database_url, endpoint):
    """Run a recipe as it stands, with addresses of this machine in place of those of examples."""
    shutil.copy(PROJECT / "scrapyd.conf", empty_project.directory)
    api = sandbox("--coins", 300)
    folder = Path(sys.executable).parent
    variables = {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "COINGECKO_BASE_URL": api.url,
        "DATABASE_URL": database_url,
    }
    replaced = {
        "postgresql://me:secret@localhost/coins": f"'{database_url}'",
        "postgresql://reader:PASSWORD@localhost/coins": make_conninfo(database_url, user="reader"),
        "https://api.example/things": api.url.replace("/api/v3", "/others/drf"),
        # Apprise's service that is like Telegram, on this machine
        "tgram://BOT_TOKEN/CHAT_ID": endpoint.url.replace("http://", "json://"),
        "1_000_000": "9e24",  # the sandbox's coins are large
    }

    def run(text):
        for example, real in replaced.items():
            text = text.replace(example, real)
        return subprocess.run(
            [program("bash"), "-euo", "pipefail", "-c", text], cwd=empty_project.directory,
            env=os.environ | CLEAN | empty_project.environment | variables,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    run.directory = empty_project.directory
    return run


def test_recipes_are_found():
    assert SHOWN.keys() == RECIPES.keys()


@pytest.mark.parametrize("name", SHOWN)
def test_recipe(name, run, query):
    if name in CRAWLED:
        assert run("scrapy crawl coins").returncode == 0
    done = run(RECIPES[name])
    assert done.returncode == 0, done.stderr
    assert SHOWN[name] in done.stdout
    if name == "The top 100 in euro as CSV and for Excel":
        assert len((run.directory / "top100.csv").read_text().splitlines()) == 101
        assert load_workbook(run.directory / "top100.xlsx").active.max_row == 101
    if name == "A filter of your own":
        assert "dropped" in done.stderr
        least = query("SELECT min(market_cap) >= 9e24, count(*) BETWEEN 1 AND 299 FROM full_coin")
        assert least == [(True, True)]
