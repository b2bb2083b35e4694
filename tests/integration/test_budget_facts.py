"""What a schedule with a budget may spend and on what, from a real database without a crawl."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from coinspider.daemon import database
from coinspider.daemon.schedules.budget import Budget, next_run
from coinspider.daemon.schedules.budget_facts import (
    read_budgets,
    read_next_run,
    read_reads,
)
from coinspider.daemon.schedules.page_weights import read_weights
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.http.account import account_name
from coinspider.items import FullCoin
from coinspider.store.database_settings import DatabaseSettings
from coinspider.store.migration import migrate

API = "https://api.example/v3"
LEFT, RESERVE = 10_000, 200
MID_MONTH = datetime(2026, 11, 16, tzinfo=UTC)
KEY = {"COINGECKO_API_KEY": "CG-secret", "COINGECKO_PLAN": "demo", "COINGECKO_BASE_URL": API}
AUTO = Schedule("usd", "coins", every=timedelta(minutes=3), budget="auto", settings=KEY)
EURO = AUTO._replace(name="eur", arguments={"vs_currency": "eur"})
OTHER = AUTO._replace(name="other", settings=KEY | {"COINGECKO_API_KEY": "CG-other"})
WRONG = AUTO._replace(name="wrong", settings=KEY | {"COINGECKO_PLAN": "public"})
OWNED = AUTO._replace(name="owned", budget="1000")
COINS = """
INSERT INTO full_coin (coin_id, symbol, name, vs_currency, market_cap, total_volume, extra,
                       last_updated)
SELECT 'coin-' || n, 's', 'n', 'usd', 1000 - n, 5, '{}',
       now() - CASE WHEN n <= 250 THEN interval '1 minute' ELSE interval '3 days' END
FROM generate_series(1, 500) AS n
"""
CRAWL = """
INSERT INTO crawl (spider, arguments, url, vs_currency, lock_name, whole, started_at, ended_at,
                   outcome, page_count, record_count)
VALUES ('coins', '{}', 'u', 'usd', 'l', true, now() - %s, now(), %s, %s, 0)
"""


@pytest.fixture
def add(database_url, monkeypatch):
    """Run a statement in a database that has the tables."""

    async def make_tables():
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as made:
            await migrate(made, FullCoin)

    asyncio.run(make_tables())
    settings = DatabaseSettings(database_url, None, 5, 10.0, 10.0)
    monkeypatch.setattr(database, "database", lambda: settings)

    def run(statement, *values):
        with psycopg.connect(database_url) as connection:
            connection.execute(statement, values)

    return run


def calls(schedule, *others):
    return budgets(schedule, *others)[0].calls


def budgets(schedule, *others):
    return read_budgets(schedule, [schedule, *others], MID_MONTH)


@pytest.mark.usefixtures("add")
def test_running_schedules_of_a_key_share_the_calls_that_are_left():
    assert calls(AUTO) == LEFT - RESERVE
    assert calls(AUTO, EURO) == calls(EURO, AUTO) == (LEFT - RESERVE) / 2
    assert calls(AUTO, OTHER, WRONG) == LEFT - RESERVE
    assert calls(OWNED, AUTO) == 500
    assert calls(AUTO, OWNED) == LEFT - RESERVE - 500
    assert calls(OWNED._replace(budget="1000000000")) == LEFT - RESERVE
    first, second = OWNED._replace(budget="30000"), OWNED._replace(name="second", budget="10000")
    assert calls(first, second) == 3 * calls(second, first) == (LEFT - RESERVE) * 0.75


@pytest.mark.usefixtures("add")
def test_next_month_has_its_credits_again():
    this, following = budgets(AUTO, EURO, OWNED)
    assert (this.month_end, following.month_end) == (
        datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    )  # fmt: skip
    assert this.calls == (LEFT - RESERVE - 500) / 2
    assert following.calls == (LEFT - RESERVE - 1000) / 2


def test_no_call_is_left_if_the_api_says_that_they_are_used_up(add):
    account = account_name(API, "CG-secret")
    state = json.dumps({"exhausted_until": 1e11, "exhausted_words": "no credits"})
    add("INSERT INTO api_account (name, state) VALUES (%s, %s::jsonb)", account, state)
    assert calls(AUTO) <= 0
    assert calls(OTHER) > 0
    assert read_next_run(AUTO, [AUTO], None).at > datetime.now(UTC)


def test_coins_count_by_their_volume_and_by_how_often_they_change(add):
    add(COINS)
    add(CRAWL, timedelta(0), "complete", 3)
    often, seldom = read_weights("usd")
    assert often + seldom == pytest.approx(1)
    assert 0.02 < seldom / often < 0.05


@pytest.mark.parametrize(
    ("outcome", "pages", "minutes"),
    [("failed", 0, 2), ("failed", 40, 86), ("died", 40, 86), ("interrupted", 40, 0)],
)
def test_failed_whole_pass_waits_for_enough_calls(add, outcome, pages, minutes):
    add(CRAWL, timedelta(seconds=1), outcome, pages)
    now = datetime.now(UTC)
    budget = Budget(LEFT * 2, now + timedelta(days=30), [1 / 69] * 69)
    run = next_run(budget, read_reads("usd", None), now)
    assert run.part == budget.whole
    assert minutes <= (run.at - now) / timedelta(minutes=1) + 0.1 < minutes * 1.5 + 1.2
