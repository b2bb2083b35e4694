"""Empty, repeated, short, shifted and broken pages: each crawl is complete and exact, or fails."""

import json
import os
import subprocess
import sys
from collections import Counter

import psycopg

from tests.helpers.processes import CLEAN, PROJECT
from tests.helpers.spoiled_api import Plan, SpoiledApi, serving

CRAWLS = 3
CHANGES = 2  # coins that come or go between two crawls
ROWS = "SELECT coin_id, delisted_at IS NOT NULL FROM full_coin WHERE vs_currency = %s"


def plan_of(seed):
    """One of four has a list that changes, and one may spoil any answer."""
    return Plan(seed, often=seed % 4 == 3, moves=seed % 4 == 2)


def job(url, name, plan):
    settings = {
        "COINGECKO_BASE_URL": f"{url}/{name}/api/v3", "RETRY_BACKOFF": 0.001,
        "DELISTED_SHARE_MAX": 0.6, "LOOKAHEAD_PAGES": plan.look_ahead, "LOOKAHEAD_LATENCY": 0,
        "PAGINATION_MISSING_MAX": plan.missing_max,
    }  # fmt: skip
    arguments = {"per_page": plan.per_page, "vs_currency": name}
    return {"spider": "coins", "arguments": arguments, "settings": settings}


def marked(rows):
    return {id_ for id_, is_marked in rows.items() if is_marked}


def problems(api, outcome, before, after):
    """What is wrong in the table after a crawl."""
    if new := (marked(after) - marked(before)) & api.always:
        yield f"marked, but listed: {new}"
    if outcome != "complete":
        if new := marked(after) - marked(before):
            yield f"marked by a crawl that failed: {new}"
        return
    if still := marked(after) & marked(before) & api.always:
        yield f"still marked: {still}"
    # No crawl can know of a new coin that moves between pages while it runs.
    missing = api.always - after.keys()
    if missing and not api.plan.moves:
        yield f"missing: {missing}"
    # If ids= is ignored, nothing shows which coins are gone.
    left = after.keys() - marked(after) - api.ever
    if left and api.plan.knows_ids:
        yield f"gone, but not marked: {left}"


def crawl(apis, database_url, crawls=CRAWLS):
    """For each crawl: API, number, outcome, message and problems."""
    command = [sys.executable, "-m", "tests.helpers.crawl_many"]
    environment = os.environ | CLEAN | {"DATABASE_URL": database_url}
    with (
        serving(apis) as url,
        psycopg.connect(database_url, autocommit=True) as connection,
        subprocess.Popen(
            command, cwd=PROJECT, env=environment, text=True, stderr=subprocess.DEVNULL,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as crawler,
    ):  # fmt: skip
        for name, api in apis.items():
            rows = {}
            for number in range(crawls):
                api.begin(CHANGES if number else 0)
                crawler.stdin.write(json.dumps([job(url, name, api.plan)]) + "\n")
                crawler.stdin.flush()
                outcome, message = json.loads(crawler.stdout.readline())
                before, rows = rows, dict(connection.execute(ROWS, [name]).fetchall())
                yield api, number, outcome, message, [*problems(api, outcome, before, rows)]
        crawler.stdin.close()


def scripted(script, missing_max=0, coins=35):
    """An API with pages of ten, spoiled as the script says, by the names of pages and kinds."""
    plan = Plan(0, script=script, missing_max=missing_max)
    plan.per_page, plan.sort, plan.total, plan.look_ahead = 10, "bytes", False, 1
    plan.knows_ids = True
    return SpoiledApi(plan, {f"coin-{number:03}" for number in range(coins)})


# What is spoiled, the outcome, a part of the message, and the pages requested again.
ONCE = ["5/10", "4/10"]
NEVER, GIVEN_UP = {"2/10": ["503"] * 99}, ["2/10"] * 6 + ONCE
CASES = {
    "nothing": ({}, "complete", "35 records", ONCE),
    "an empty page": ({"2/10": ["empty"]}, "complete", "4 pages, 35 records", ["2/10", *ONCE]),
    "a short page": ({"2/10": ["short"]}, "complete", "35 records", ["5/10", "2/10", "4/10"]),
    "a short last page": ({"4/10": ["short"]}, "complete", "35 records", [*ONCE, "4/10"]),
    "a page of another place": ({"3/10": ["first"]}, "complete", "35 records", ["3/10", *ONCE]),
    "the same twice": ({"3/10": ["first"] * 2}, "failed", "not on an earlier page", ["3/10"]),
    "a page in no order": ({"3/10": ["turned"]}, "complete", "35 records", ["3/10", *ONCE]),
    "in no order twice": ({"3/10": ["turned"] * 2}, "complete", "35 records", ["3/10", *ONCE]),
    "one that never comes": (NEVER, "failed", "the other pages are stored", GIVEN_UP),
    "one that never comes, accepted": (NEVER, "complete", "25 records", GIVEN_UP),
}


def test_doubtful_page_is_requested_again(database_url):
    apis = {
        f"s{number}": scripted(spoiled, missing_max=int(name.endswith("accepted")))
        for number, (name, (spoiled, *_)) in enumerate(CASES.items())
    }
    for (api, _, *done), (name, case) in zip(
        crawl(apis, database_url, 1), CASES.items(), strict=True
    ):
        _, outcome, said, again = case
        calls = [line.partition(" ")[0] for line in api.log if not line.startswith("-")]
        assert (done[0], said in done[1]) == (outcome, True), (name, done)
        assert [call for n, call in enumerate(calls) if call in calls[:n]] == again, name


def test_crawls_are_complete_and_exact_or_fail_and_delist_no_listed_coin(database_url):
    apis = {f"c{seed}": SpoiledApi(plan_of(seed)) for seed in range(12)}
    outcomes = Counter()
    for api, number, outcome, message, found in crawl(apis, database_url):
        assert not found, (api.plan, number, message, api.log)
        outcomes[outcome] += not (api.plan.often or api.plan.moves)
    assert outcomes["complete"] > len(apis), "what is spoiled once is repaired"
