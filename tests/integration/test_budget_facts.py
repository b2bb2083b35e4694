"""What a schedule with a budget may spend and on what, from a real database without a crawl."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from scrapy.exceptions import UsageError

from coinspider.commands.budget import _resume as resume
from coinspider.daemon import database
from coinspider.daemon.schedules.budget import Budget, next_run
from coinspider.daemon.schedules.budget_facts import (
    read_budgets,
    read_next_run,
    read_reads,
    read_usual_calls,
    read_warning,
    read_weights,
    settings_of,
)
from coinspider.daemon.schedules.forecast import read_forecasts
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.http.api_key import account_name
from coinspider.items import FullCoin
from coinspider.spiders.coins import CoinsArguments
from coinspider.store.account import MONTH
from coinspider.store.crawl import EARLIER, earlier_values
from coinspider.store.database_url import DatabaseSettings
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
                   outcome, page_count, record_count, call_count)
VALUES ('coins', '{}', 'u', 'usd', 'l', true, now() - %s, now(), %s, %s, 0, %s)
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

    def run(statement, *earlier_values):
        with psycopg.connect(database_url) as connection:
            connection.execute(statement, earlier_values)

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


@pytest.mark.usefixtures("add")
def test_budget_that_is_too_small_for_a_pass_over_all_pages_is_told():
    small = OWNED._replace(budget="50")
    assert read_warning(small, [small], MID_MONTH) == (
        "budget 50 gives it 50 calls a month, and a pass over all pages takes 71: it reads nothing"
    )
    greedy = OWNED._replace(budget="9900")
    assert "budget auto gives it 0 calls a month" in read_warning(AUTO, [greedy], MID_MONTH)
    for enough in (AUTO, OWNED, WRONG):
        assert read_warning(enough, [AUTO, enough], MID_MONTH) is None


def test_no_call_is_left_if_the_api_says_that_they_are_used_up(add):
    account = account_name(API, "CG-secret")
    state = json.dumps({"exhausted_until": 1e11, "exhausted_words": "no credits"})
    add("INSERT INTO api_account (name, state) VALUES (%s, %s::jsonb)", account, state)
    assert calls(AUTO) <= 0
    assert calls(OTHER) > 0
    assert read_next_run(AUTO, [AUTO], None).at > datetime.now(UTC)


def test_coins_count_by_their_volume_and_by_how_often_they_change(add):
    add(COINS)
    add(CRAWL, timedelta(0), "complete", 3, 4)
    often, seldom = read_weights("usd")
    assert often + seldom == pytest.approx(1)
    assert 0.02 < seldom / often < 0.05


@pytest.mark.parametrize(
    ("outcome", "pages", "calls", "minutes"),
    [
        ("failed", 0, 0, 2), ("failed", 40, 0, 86), ("failed", 1, 40, 86), ("died", 40, 40, 86),
        ("interrupted", 40, 40, 0),
    ],
)  # fmt: skip
def test_failed_whole_pass_waits_for_enough_calls(add, outcome, pages, calls, minutes):
    add(CRAWL, timedelta(seconds=1), outcome, pages, calls)
    now = datetime.now(UTC)
    budget = Budget(LEFT * 2, now + timedelta(days=30), [1 / 69] * 69)
    run = next_run(budget, read_reads("usd", None), now)
    assert run.part == budget.whole
    assert minutes <= (run.at - now) / timedelta(minutes=1) + 0.1 < minutes * 1.5 + 1.2


@pytest.mark.parametrize(("pages", "calls", "saved_up"), [(2, 0, 2), (2, 2, 2), (0, 7, 7)])
def test_retries_of_a_part_are_saved_up_too(add, pages, calls, saved_up):
    add(CRAWL.replace("true", "false"), timedelta(seconds=1), "failed", pages, calls)
    assert read_reads("usd", None).last_calls == saved_up


TOLD = f"INSERT INTO api_usage (account, month, credits, told_left) SELECT %s, {MONTH}, 20000, 7"
EARLIER_CRAWL = """
INSERT INTO crawl (spider, arguments, url, started_at, ended_at, outcome, page_count, record_count,
                   call_count, refused_count)
VALUES ('coins', %s, %s, now(), now() - %s * interval '1 hour', %s, %s, 0, %s, %s)
"""


@pytest.mark.parametrize(
    ("rows", "earlier"),
    [
        pytest.param([], (None, None), id="none"),
        pytest.param([("complete", 69, 72, 0)], (69, 72), id="one"),
        pytest.param([("complete", 69, 75, 3)], (69, 72), id="refused calls"),
        pytest.param([("complete", 69, 0, 0)], (69, 70), id="calls not counted"),
        pytest.param([("failed", 20, 90, 0), ("complete", 69, 72, 0)], (69, 72), id="failed"),
        pytest.param(
            [("complete", 70, 180, 0), ("complete", 69, 72, 0), ("complete", 69, 71, 0)], (70, 72),
            id="outage",
        ),
        pytest.param([("complete", 70, 73, 0)] * 5 + [("complete", 9, 9, 0)] * 9, (70, 73),
                     id="long ago"),
    ],
)  # fmt: skip
def test_calls_are_those_that_earlier_crawls_took(add, rows, earlier):
    url = CoinsArguments().url(API)
    for hours, (outcome, pages, calls, refused) in enumerate(rows):
        add(EARLIER_CRAWL, "{}", url, hours, outcome, pages, calls, refused)
        for other, place in (('{"pages": "4"}', url), ("{}", url + "&x")):
            add(EARLIER_CRAWL, other, place, 0, "complete", 4, 4, 0)
    [row] = database.query(EARLIER, earlier_values("coins", url, {}))
    assert (row["pages"], row["calls"]) == earlier
    assert read_usual_calls(settings_of(AUTO), {}) == earlier[1]
    assert budgets(AUTO)[0].end_calls == max(1, (earlier[1] or 0) - 70)


def test_forecast_goes_by_what_a_crawl_took_and_by_the_credits_that_the_api_told(add):
    every = AUTO._replace(budget=None)
    url = CoinsArguments().url(API)
    assert "needs 1,056,480 calls a month, the plan has 10,000" in warning(every)
    assert "assuming 17,500 coins" in warning(every)
    add(EARLIER_CRAWL, "{}", url, 0, "complete", 69, 72, 0)
    account = account_name(API, "CG-secret")
    add(TOLD, account)
    assert warning(every) == (
        "every 3m needs 1,071,360 calls a month, the plan has 20,000: used up on the 1st at 13:53"
        " UTC. budget = auto makes them last"
    )
    category = every._replace(name="category", arguments={"category": "layer-1"})
    assert read_forecasts([category]) == {}
    [found] = read_forecasts([every._replace(arguments={"ids": "bitcoin,ethereum"})]).values()
    assert (found.needed, found.is_assumed) == (14_880, True)


def warning(schedule):
    [found] = read_forecasts([schedule]).values()
    return found.warning(MID_MONTH)


USED = f"""
INSERT INTO api_usage (account, month, calls, credits, told_left, told_calls, told_at)
VALUES (%s, {MONTH}, 50, %s, %s, %s, now())
"""  # noqa: S608
HELD = "INSERT INTO api_account (name, state) VALUES (%s, %s::jsonb)"
RESUMED = "{}: calls are made again"
NOTHING = "{}: nothing to resume, its credits are not used up"


@pytest.mark.parametrize(
    ("exhausted", "usage", "lines"),
    [
        pytest.param(True, (100, None, None), [RESUMED, NOTHING], id="the API said so"),
        pytest.param(False, (100, 0, 50), [RESUMED, NOTHING], id="/key said so"),
        pytest.param(False, (100, 9, 41), [RESUMED, NOTHING], id="made since /key was asked"),
        pytest.param(True, (100, 0, 50), [RESUMED, NOTHING], id="both said so"),
        pytest.param(False, (100, 20, 50), [NOTHING], id="some are left"),
        pytest.param(False, (None, None, None), [NOTHING], id="no limit"),
        pytest.param(False, (50, None, None), ["by the count of 50 calls they are"], id="counted"),
    ],
)
def test_resume_says_what_it_did(add, exhausted, usage, lines):
    account = account_name(API, "CG-secret")
    add(HELD, account, json.dumps({"exhausted_until": 1e10, "exhausted_words": "x"} if exhausted
                                  else {}))  # fmt: skip
    add(USED, account, *usage)
    for line in lines:
        assert line.format(account) in resume(account)
    with pytest.raises(UsageError, match=f"no account nobody is known: there are {account}"):
        resume("nobody")


def test_schedule_of_another_api_is_forecast_from_its_crawls(add):
    address = "https://other.example/list"
    limited = {"RATELIMIT_MONTHLY_CREDITS": "1000", "API_TOKEN": "T"}
    every = Schedule("other", "next", every=timedelta(hours=1), arguments={"url": address},
                     settings=limited)  # fmt: skip
    assert read_forecasts([every]) == {}
    row = EARLIER_CRAWL.replace("'coins'", "'next'")
    add(row, json.dumps({"url": address}), address, 0, "complete", 3, 5, 0)
    assert warning(every) == (
        "every 1h needs 3,720 calls a month, the plan has 1,000: used up on the 9th at 08:00 UTC"
    )
    for schedule in (
        every._replace(settings={"API_TOKEN": "T"}),
        every._replace(settings=limited | {"RATELIMIT_MONTHLY_CREDITS": "0"}),
        every._replace(settings=limited | {"RATELIMIT_MONTHLY_CREDITS": "x"}),
        every._replace(arguments={"url": address + "s"}),
        every._replace(enabled=False),
    ):
        assert read_forecasts([schedule]) == {}
