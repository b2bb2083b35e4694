"""A crawl on a machine whose cable is pulled: no packet arrives, and neither side is told."""

import sys
from contextlib import ExitStack

import psycopg
import pytest

from tests.helpers.network import NEEDS_NAMESPACES, Machine
from tests.helpers.ports import free_port
from tests.helpers.postgres_versions import VERSIONS, server_of_version
from tests.helpers.processes import CLEAN, Scrapy, start_sandbox, wait_until

pytestmark = [
    NEEDS_NAMESPACES,
    pytest.mark.needs("another PostgreSQL"),  # one that listens on a network,
]
SETTINGS = ["-s", "POSTGRES_LEASE_TIMEOUT=3", "-s", "POSTGRES_STATEMENT_TIMEOUT=1",
            "-s", "LOOKAHEAD_PAGES=1"]  # fmt: skip
FIRST = "SELECT to_jsonb(crawl) FROM crawl WHERE id = 1"
ROWS = "SELECT xmin::text, * FROM full_coin ORDER BY coin_id"
IS_EXPIRED = "SELECT lease_until < clock_timestamp() FROM crawl WHERE id = 1"
SESSION = """
SELECT pid FROM pg_stat_activity, crawl
WHERE crawl.id = 1 AND pid = backend_pid AND backend_start < updated_at
"""


def test_crawl_that_is_cut_off_is_taken_over_and_writes_nothing_more():
    with ExitStack() as stack:
        machine = stack.enter_context(Machine())
        local = stack.enter_context(server_of_version(max(VERSIONS), machine.here))
        # The API is on both sides: only the database is cut off.
        port = free_port()
        api = start_sandbox(stack, "--port", port, "--coins", 6000)
        scrapy = [sys.executable, "-m", "scrapy"]
        machine.start(
            stack, *scrapy, "sandbox", "--port", port, "--coins", 6000, "--latency", "0.5", "--odd"
        )
        settings = {"DATABASE_URL": f"postgresql://postgres@{machine.here}/postgres",
                    "COINGECKO_BASE_URL": api.url}  # fmt: skip
        database = stack.enter_context(psycopg.connect(local, autocommit=True))

        def ask(sql):
            return database.execute(sql).fetchall()

        crawl = machine.start(stack, *scrapy, "crawl", "coins", *SETTINGS, **CLEAN | settings)
        wait_until(lambda: ask("SELECT to_regclass('full_coin')") != [(None,)], 60)
        wait_until(lambda: ask("SELECT count(*) FROM full_coin") > [(0,)], 60)
        machine.cut()
        [[session]] = ask(SESSION)
        wait_until(lambda: ask(IS_EXPIRED) == [(True,)], 60)
        done = Scrapy(settings)("crawl", "coins", *SETTINGS)
        assert done.returncode == 0, done.stderr
        assert ask("SELECT outcome FROM crawl ORDER BY id") == [("died",), ("complete",)]
        assert ask(f"SELECT pid FROM pg_stat_activity WHERE pid = {session}") == []  # noqa: S608
        found = ask(ROWS), ask(FIRST)
        machine.mend()
        _, err = crawl.communicate(timeout=120)
        assert crawl.returncode == 1
        assert "another crawl of the same list took over" in err.strip().splitlines()[-1]
        assert "Traceback" not in err
        assert (ask(ROWS), ask(FIRST)) == found
