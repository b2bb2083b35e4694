"""Where the calls of a month end: at any call of a crawl, whoever says so."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import psycopg

from coinspider.sources.coingecko import CURRENCIES
from tests.helpers.credit_api import USED_UP, Case, serving
from tests.helpers.processes import CLEAN, PROJECT

# A list of three pages without a total: its end is asked for twice, and its last page again.
CALLS = ["1", "2", "3", "4", "4", "3"]
ENDS = {
    "first page": 0, "second page": 1, "last page": 2, "empty page": 3,
    "empty page again": 4, "last page again": 5, "lookup": 6,
}  # fmt: skip
LOOKUP = "coin-00,coin-12,coin-11b"
STORED = "SELECT count(*), count(delisted_at) FROM full_coin WHERE vs_currency = %s"
GONE = """
INSERT INTO full_coin (coin_id, symbol, name, vs_currency, extra)
VALUES ('coin-11b', 's', 'n', %s, '{}') RETURNING 1
"""


class Runs:
    """The crawls of one process; each case has a key, a path and a currency of its own."""

    def __init__(self, process, address, connection):
        self.process, self.address, self.connection = process, address, connection
        self.codes = {}

    def code(self, name):
        """A currency that needs no call to be known."""
        return self.codes.setdefault(name, CURRENCIES[len(self.codes)])

    def crawl(self, name, spider="coins", arguments=None, **settings):
        own = {
            "COINGECKO_BASE_URL": f"{self.address}/{name}", "COINGECKO_API_KEY": f"CG-{name}",
            "COINGECKO_PLAN": "demo", "LOOKAHEAD_PAGES": 1, "COINGECKO_FIRST_COINS": 0, **settings,
        }  # fmt: skip
        every = {"vs_currency": self.code(name), "per_page": "10"}
        given = every if arguments is None else arguments
        job = {"spider": spider, "arguments": given, "settings": own}
        self.process.stdin.write(json.dumps([job]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def query(self, sql, *values):
        return self.connection.execute(sql, [*map(self.code, values)]).fetchall()


@contextmanager
def running(cases, database_url, log=None):
    with (
        serving(cases) as address,
        psycopg.connect(database_url, autocommit=True) as connection,
        subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.crawl_many"], cwd=PROJECT, text=True,
            env=os.environ | CLEAN | {"DATABASE_URL": database_url},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log or subprocess.DEVNULL,
        ) as process,
    ):  # fmt: skip
        yield Runs(process, address, connection)
        process.stdin.close()


# Calls that are allowed, arguments, settings; the outcome, and the calls that were made.
WITHOUT = {"POSTGRES_ENABLED": 0}
PRO, ANY = {"COINGECKO_PLAN": "pro"}, json.dumps({"current_remaining_monthly_calls": 3})
PART = {"vs_currency": "usd", "per_page": "10", "first_page": "2", "pages": "2"}
KINDS = {
    "no-database": (Case(2), {}, WITHOUT, "exhausted", CALLS[:3]),
    "own-count-without-database": (
        Case(), {}, WITHOUT | {"COINGECKO_MONTHLY_CREDITS": 2}, "exhausted", CALLS[:2],
    ),
    "part": (Case(1), PART, {}, "exhausted", ["2", "3"]),
    "part-that-needs-more": (Case(), PART, {"COINGECKO_MONTHLY_CREDITS": 1}, "exhausted", []),
    "part-that-needs-all": (Case(), PART, {"COINGECKO_MONTHLY_CREDITS": 2}, "complete", ["2", "3"]),
    "no-limit": (Case(), {}, {"COINGECKO_MONTHLY_CREDITS": 0}, "complete", CALLS),
    "key-says-less": (Case(key=(200, ANY)), {}, PRO, "exhausted", ["/key", *CALLS[:3]]),
    "key-says-more-than-the-setting": (
        Case(key=(200, ANY)), {}, PRO | {"COINGECKO_MONTHLY_CREDITS": 2}, "exhausted",
        ["/key", "1"],
    ),
    "key-is-not-asked": (
        Case(key=(200, ANY)), {}, PRO | {"COINGECKO_MONTHLY_CREDITS": 0}, "complete", CALLS,
    ),
    "key-says-used-up": (
        Case(key=(429, json.dumps(USED_UP))), {}, PRO, "exhausted", ["/key"],
    ),
}  # fmt: skip
# The spider next also looks at its URL itself, and where there is no total, at the end at the first
# page again: only that shows that the list stood still.
NEXT = ["1", "1", "2", "3", "4", "4", "1"]
ANY_API = [("any-limited", 2, NEXT[:2]), ("any-unlimited", 0, NEXT), ("any-unset", "", NEXT)]
NOT_SAID = {
    "key-fails": (500, "oh"), "key-is-not-there": (404, "{}"), "key-is-html": (200, "<html>"),
    "key-has-no-number": (200, '{"current_remaining_monthly_calls": null}'),
    "key-has-text": (200, '{"current_remaining_monthly_calls": "many"}'),
    "key-is-list": (200, "[]"),
}  # fmt: skip


def test_crawl_ends_where_the_calls_end_and_marks_nothing(database_url):
    cases = {"all-9": Case()}
    for calls in ENDS.values():
        cases |= {f"api-{calls}": Case(calls)} | ({f"own-{calls}": Case()} if calls else {})
    with running(cases, database_url) as crawls:
        assert crawls.crawl("all-9")[0] == "complete"  # which makes the tables
        for name in [*cases][1:]:
            who, _, allowed = name.partition("-")
            crawls.query(GONE, name)
            own = {"COINGECKO_MONTHLY_CREDITS": allowed} if who == "own" else {}
            outcome, message = crawls.crawl(name, **own)
            assert outcome == "exhausted", (name, message)
            why = "monthly call credits." if who == "api" else "used up until 1 "
            assert why in message, name
            calls = int(allowed)
            assert cases[name].calls == [*CALLS, LOOKUP][: calls + (who == "api")], name
            rows = [0, 10, 20, 25][min(calls, 3)] + 1
            assert crawls.query(STORED, name) == [(rows, 0)], name
        assert crawls.query("SELECT lock_name FROM crawl WHERE ended_at IS NULL") == []
        # The list takes three calls more than it has pages, as the last crawl has shown.
        outcome, message = crawls.crawl("all-9", COINGECKO_MONTHLY_CREDITS=2 * len(CALLS) - 1)
        assert (outcome, cases["all-9"].calls) == ("exhausted", CALLS)
        assert "this crawl needs 6 calls, 5 are left until 1 " in message
        assert crawls.crawl("all-9", COINGECKO_MONTHLY_CREDITS=12)[0] == "complete"


def test_calls_end_for_every_kind_of_crawl_and_whatever_the_api_says(database_url, tmp_path):
    cases = {name: kind[0] for name, kind in KINDS.items()}
    cases |= {name: Case(key=answer) for name, answer in NOT_SAID.items()}
    cases |= {name: Case() for name, _, _ in ANY_API}
    log = tmp_path / "log"
    with log.open("w") as file, running(cases, database_url, file) as crawls:
        for name, (case, arguments, settings, *expected) in KINDS.items():
            outcome, message = crawls.crawl(name, arguments=arguments or None, **settings)
            assert [outcome, case.calls] == expected, (name, message)
        for name in NOT_SAID:
            outcome, message = crawls.crawl(name, **PRO)
            assert (outcome, cases[name].calls) == ("complete", ["/key", *CALLS]), (name, message)
        for name, credits_set, calls in ANY_API:
            address = {"url": f"{crawls.address}/{name}/list", "pagination": "page"}
            outcome, message = crawls.crawl(
                name, "next", {**address, "table": "any_list"}, API_TOKEN=f"T-{name}",
                RATELIMIT_MONTHLY_CREDITS=credits_set,
            )  # fmt: skip
            assert (outcome, cases[name].calls) == (
                "exhausted" if credits_set else "complete", calls
            ), (name, message)  # fmt: skip
        again = cases["key-fails"]
        again.calls.clear()
        assert (crawls.crawl("key-fails", **PRO)[0], again.calls) == ("complete", CALLS)
    for name in NOT_SAID:
        assert log.read_text().count(f"/{name}/key does not say how many calls are left (") == 1
