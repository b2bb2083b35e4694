"""Stand-ins for documented APIs, crawled twice: whole and exact, then unchanged."""

import json
import os
import shlex
import subprocess
import sys
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.helpers.documented_apis import APIS, Api, serve
from tests.helpers.documented_apis.server import COUNT, price
from tests.helpers.postgres import new_database
from tests.helpers.processes import CLEAN, PROJECT

QUERY_KEY = "coinspider.http.handler.TokenParameterDownloadHandler"


def job(name: str, api: Api, url: str) -> dict[str, Any]:
    settings: dict[str, Any] = dict(api.settings)
    if "API_TOKEN_PARAMETER" in settings:
        settings["DOWNLOAD_HANDLERS"] = {"http": QUERY_KEY}
    arguments = {"url": url + api.path, "table": f"t_{name}", **api.arguments}
    return {"arguments": arguments, "settings": settings}


@pytest.fixture(scope="module")
def crawled(server_url: str) -> Any:
    """The outcomes of both crawls of each API, and its rows, by name."""
    database_url = new_database(server_url)
    environment = os.environ | CLEAN | {"DATABASE_URL": database_url}
    with serve() as url:
        jobs = [job(name, api, url) for name, api in APIS.items()]
        done = subprocess.run(
            [sys.executable, "-m", "tests.helpers.crawl_many"], cwd=PROJECT, env=environment,
            input=json.dumps(jobs + jobs), capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) == 2 * len(jobs), done.stderr[-3000:]
    found = dict(zip(APIS, zip(outcomes, outcomes[len(jobs) :], strict=False), strict=True))
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield found, connection


@pytest.mark.parametrize("name", APIS, ids=lambda name: APIS[name].name)
def test_documented_api_comes_whole_and_then_unchanged(crawled, name):
    outcomes, connection = crawled
    first, second = outcomes[name]
    assert first[0] == "complete", first[1]
    assert f"{COUNT} new" in first[1]
    assert second[0] == "complete", second[1]
    assert f"{COUNT} unchanged" in second[1]
    api = APIS[name]
    key = sql.Identifier(api.key)
    text = sql.SQL("SELECT {}::text, row_to_json(t)::text FROM {} AS t")
    stored = dict(connection.execute(text.format(key, sql.Identifier(f"t_{name}"))).fetchall())
    assert len(stored) == COUNT
    if api.price:
        # As text, because a float is not what was sent.
        prices = [price(number) for number in range(1, COUNT + 1)]
        assert [p for p in prices if any(p in row for row in stored.values())] == prices


def test_every_kind_of_credentials_was_sent_with_links_cursors_and_numbers():
    kinds = {
        frozenset(api.settings) - {"API_TOKEN"}
        for api in APIS.values()
        if api.settings
    }  # fmt: skip
    assert kinds == {frozenset({"API_TOKEN_SCHEME"}), frozenset({"API_TOKEN_HEADER"}),
                     frozenset({"API_TOKEN_PARAMETER"}), frozenset({"API_USERNAME"}),
                     frozenset()}  # fmt: skip


def told(api: Api) -> str:
    """The line in the docs about an API."""
    arguments = " ".join(f"`-a {shlex.quote(f'{k}={v}')}`" for k, v in api.arguments.items())
    variables = " ".join(
        f"`{k}={v if k != 'API_TOKEN' else '...'}`" for k, v in api.settings.items()
    )
    return f"| [{api.name}]({api.source}) | {arguments} | {variables} |"


def test_docs_name_each_api():
    lines = (PROJECT / "docs/other-apis.md").read_text().splitlines()
    assert [line for line in map(told, APIS.values()) if line not in lines] == []
