"""What a schedule with a budget reads, by a simulated clock, and how fresh it keeps the coins."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest

from coinspider.daemon.schedules.budget import (
    Budget,
    Part,
    PlannedRun,
    Reads,
    freshness,
    next_run,
    plan,
    stale_share,
    volume_by_rank,
    whole_passes,
)
from coinspider.daemon.schedules.forecast import forecasts, with_others
from coinspider.daemon.schedules.schedule import Schedule

START = datetime(2026, 12, 1, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC)
WEIGHTS = volume_by_rank(17_250)
DEMO = 10_000


@pytest.fixture(scope="module")
def month():
    """A month of a Demo key that nobody else uses, with the default reserve."""
    return list(plan([Budget(DEMO * 0.98, END, WEIGHTS)], Reads(None), START, END))


def test_no_call_exceeds_the_budget(month):
    assert DEMO * 0.95 < sum(run.part.calls for run in month) <= DEMO * 0.98


def test_calls_are_spent_evenly_until_the_month_ends(month):
    for day in range(31):
        begun = START + timedelta(days=day)
        calls = sum(r.part.calls for r in month if begun <= r.at < begun + timedelta(days=1))
        assert calls == pytest.approx(DEMO * 0.98 / 31, rel=0.2)


def test_each_day_has_a_whole_pass(month):
    whole = [run.at for run in month if run.part.is_whole]
    assert whole[0] == START
    assert all(later - sooner <= timedelta(days=1, hours=1) for sooner, later in pairwise(whole))


def test_plan_goes_on_with_the_next_months_budget():
    begin = END - timedelta(hours=1)
    budgets = [Budget(0, END, WEIGHTS), Budget(DEMO, END + timedelta(days=31), WEIGHTS)]
    runs = list(plan(budgets, Reads(begin), begin, begin + timedelta(days=1)))
    assert runs[0].at == END + timedelta(minutes=1)
    assert 0 < sum(run.part.calls for run in runs) < DEMO / 31
    assert [run.at for run in plan(budgets, Reads(None), begin, begin + timedelta(hours=1))] == []


def test_every_page_has_its_turn(month):
    read = {page for run in month for page in run.part.numbers() if not run.part.is_whole}
    assert read == set(range(1, 70))


def test_coins_are_much_fresher_than_by_whole_passes(month):
    ours = freshness(month, WEIGHTS, START, END)
    naive = freshness(
        whole_passes(Part(1, 69, is_whole=True), DEMO, START, END), WEIGHTS, START, END
    )
    assert naive.median / 60 == pytest.approx(157, abs=1)
    assert naive.mean / 60 == pytest.approx(157, abs=1)
    assert ours.median <= naive.median / 5
    assert ours.mean <= naive.mean / 2
    assert ours.calls <= DEMO


def test_budget_of_many_calls_goes_into_whole_passes_only():
    runs = list(plan([Budget(16_000, START + timedelta(days=1), WEIGHTS)], Reads(None), START, END))
    assert {run.part.is_whole for run in runs} == {True}
    gaps = {later.at - sooner.at for sooner, later in pairwise(runs)}
    assert max(gaps) < timedelta(minutes=7)


EVERY = Schedule(
    "coins", "coins", every=timedelta(minutes=3), settings={"COINGECKO_MONTHLY_CREDITS": "10000"}
)


def warnings(*schedules, running=None):
    found = forecasts(schedules)
    running = schedules if running is None else running
    return [with_others(found, name, running).warning(START) for name in found]


def test_schedule_that_needs_too_many_calls_is_warned_of():
    assert warnings(EVERY) == [
        "every 3m needs 1,056,480 calls a month, the plan has 10,000: used up on the 1st at 07:02"
        " UTC. budget = auto makes them last (assuming 17,500 coins)"
    ]


def test_calls_cost_the_same_in_a_shorter_month():
    february = datetime(2027, 2, 5, tzinfo=UTC)
    [always] = forecasts([EVERY]).values()
    assert always.used_up_at(february).replace(second=0, microsecond=0) == datetime(
        2027, 2, 1, 7, 2, tzinfo=UTC
    )
    # 10,564 calls in 31 days are 9,542 calls in 28 days
    [nearly] = forecasts([EVERY._replace(every=timedelta(hours=5))]).values()
    assert "used up on the 30th at 08:1" in nearly.warning(START)
    assert nearly.warning(february) is None


def test_schedules_of_one_key_use_up_its_credits_together():
    half = EVERY._replace(every=timedelta(hours=6))
    assert warnings(half) == [None]
    [usd, eur] = warnings(half, half._replace(name="eur"))
    assert usd == eur
    assert "every 6h needs 8,804 calls a month, 17,608 with the other schedules of this key" in usd
    assert "used up on the 18th at" in usd
    key = {"COINGECKO_API_KEY": "CG-other", "COINGECKO_PLAN": "demo"}
    assert warnings(half, half._replace(name="eur", settings=key)) == [None, None]
    assert warnings(half, half._replace(name="eur"), running=[half]) == [None, usd]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"settings": {"COINGECKO_MONTHLY_CREDITS": "2000000"}}, id="enough credits"),
        pytest.param({"settings": {"COINGECKO_MONTHLY_CREDITS": "0"}}, id="none are counted"),
        pytest.param({"every": timedelta(hours=12)}, id="seldom"),
        pytest.param({"arguments": {"pages": "1"}, "every": timedelta(hours=1)}, id="a page"),
        pytest.param({"budget": "auto"}, id="budget"),
        pytest.param({"enabled": False}, id="off"),
        pytest.param({"spider": "next"}, id="another API"),
        pytest.param({"settings": {"COINGECKO_PLAN": "none"}}, id="wrong plan"),
    ],
)
def test_schedule_with_enough_calls_is_not_warned_of(changes):
    assert [text for text in warnings(EVERY._replace(**changes)) if text] == []


def test_first_run_is_a_whole_pass_at_once():
    run = next_run(Budget(1000, END, WEIGHTS), Reads(None), START)
    assert run == PlannedRun(START, Part(1, 69, is_whole=True))
    assert run.part.arguments() == {}


@pytest.mark.parametrize("calls", [0, -5, 0.5])
def test_nothing_is_read_once_all_is_spent(calls):
    assert next_run(Budget(calls, END, WEIGHTS), Reads(START), START).at == END


def test_calls_that_are_too_few_for_the_next_part_are_kept():
    runs = plan([Budget(69, END, WEIGHTS)], Reads(None), START, END)
    assert sum(run.part.calls for run in runs) <= 69


def test_page_that_was_crawled_by_hand_is_not_read_again_at_once():
    budget, hour = Budget(DEMO, END, WEIGHTS), timedelta(hours=1)
    assert next_run(budget, Reads(START), START + hour).part == Part(1, 1)
    by_hand = Reads(START, {1: START + hour}, START + hour, 1)
    assert next_run(budget, by_hand, START + hour).part == Part(2, 1)


def test_part_is_requested_by_its_pages():
    part = Part(5, 2)
    assert part.arguments() == {"first_page": "5", "pages": "2"}
    assert str(part) == "pages 5 to 6"
    assert str(Part(1, 1)) == "page 1"


@pytest.mark.parametrize("coins", [1, 250, 251, 600])
def test_few_coins_have_a_plan_too(coins):
    weights = volume_by_rank(coins)
    runs = list(plan([Budget(300, END, weights)], Reads(None), START, START + timedelta(days=3)))
    assert runs
    assert {page for run in runs for page in run.part.numbers()} == set(range(1, len(weights) + 1))


@pytest.mark.parametrize("hours", [0.01, 1, 6, 72, 10_000])
def test_a_coin_is_stale_from_its_first_change(hours):
    random, every = Random(1), hours
    stale = 0.0
    for _ in range(20_000):
        since = 6 - random.expovariate(1 / every)
        stale += max(0.0, since) ** 2 / 2
    assert stale_share(6, hours) == pytest.approx(stale / 20_000 / 18, rel=0.1, abs=1e-3)


def test_ages_of_a_page_are_uniform_between_its_reads():
    runs = [
        PlannedRun(START + timedelta(hours=hour), Part(1, 1, is_whole=True)) for hour in range(24)
    ]
    found = freshness(runs, [1.0], START, START + timedelta(days=1))
    assert found.mean == pytest.approx(1800)
    assert found.median == pytest.approx(1800)
