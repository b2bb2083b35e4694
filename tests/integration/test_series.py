"""What charts, sparklines and exports read from a history."""

import random
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import psycopg
import pytest

from coinspider.errors import ConfigurationError, NoHistoryError
from coinspider.items import FullCoin
from coinspider.store.series import (
    Charted,
    Span,
    chart_points,
    list_candles,
    list_changes,
    sparklines,
)
from tests.helpers.changes import NOW, History

KEY = {"coin_id": "a", "vs_currency": "usd"}
USD = {"vs_currency": "usd"}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def filled(database_url):
    """One change every ten minutes for some days, whose price is its age in minutes."""

    def fill(days, coin="a", rolled_up=True):
        history = History(database_url).make(days)
        history.run(lambda connection: connection.execute(
            "INSERT INTO coin_history (coin_id, vs_currency, recorded_at, current_price)"
            " SELECT %s, 'usd', %s - make_interval(mins => n), n"
            " FROM generate_series(0, %s, 10) AS n", [coin, NOW, days * 24 * 60]))  # fmt: skip
        if rolled_up:
            history.roll_up()

    return fill


@pytest.fixture
def connection(database_url):
    with psycopg.connect(database_url) as connected:
        yield connected


@pytest.mark.parametrize(
    ("days", "step", "count"),
    [(1, timedelta(minutes=10), 145), (7, HOUR, 168), (30, HOUR, 10 * 24 + 1),
     (365, HOUR, 10 * 24 + 1), (None, HOUR, 10 * 24 + 1)],
    ids=str,
)  # fmt: skip
def test_chart_has_points_that_suit_its_range(filled, connection, days, step, count):
    filled(10)
    points = chart_points(connection, FullCoin, KEY, Charted(days), NOW)
    assert abs(len(points) - count) <= 1
    assert points == sorted(points)
    assert {later.time - earlier.time for earlier, later in pairwise(points)} == {step}
    assert points[-1].value == 0


def test_history_that_has_just_begun_has_all_its_points(filled, connection):
    filled(0)
    assert [
        len(chart_points(connection, FullCoin, KEY, Charted(days), NOW)) for days in (1, 30, None)
    ] == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("rolled_up", [True, False], ids=["rolled up", "not rolled up"])
def test_sparkline_has_a_point_every_four_hours(filled, connection, rolled_up):
    filled(10, rolled_up=rolled_up)
    found = sparklines(connection, FullCoin, ["a", "nobody"], USD, NOW)
    assert found.keys() == {"a"}
    points = found["a"]
    if rolled_up:
        assert 41 <= len(points) <= 43
        assert points[0].time <= NOW - 7 * DAY + timedelta(hours=4)
    assert [p.value for p in points] == sorted((p.value for p in points), reverse=True)
    assert points[-1] == (NOW, 0)
    assert {b.time - a.time for a, b in pairwise(points)} == {timedelta(hours=4)}


@pytest.mark.parametrize(("coins", "hours"), [(1, 4), (101, 12)])
def test_sparkline_of_candles_has_the_last_price_of_each_step(
    database_url, connection, coins, hours
):
    chosen = random.Random(hours)
    minutes = chosen.sample(range(4 * 24 * 60, 11 * 24 * 60), 90)  # so that hours and days lack
    History(database_url).make(11).add(
        *(("a", "usd", Decimal(n), None, None, NOW - timedelta(minutes=n)) for n in minutes)
    )
    History(database_url).roll_up()
    now, step = NOW - timedelta(minutes=25), timedelta(hours=hours)
    candles = list_candles(connection, FullCoin, KEY, "1h").dicts()
    expected = []
    for number in range(1, 7 * 24 // hours + 1):
        end = now - 7 * DAY + number * step
        if inside := [c["close"] for c in candles if end - step <= c["started_at"] < end]:
            expected.append((end, inside[-1]))
    found = sparklines(connection, FullCoin, ["a"] * coins, USD, now)
    assert found["a"] == expected
    assert len(expected) > 5


def test_changes_and_candles_are_between_two_times(filled, connection):
    filled(5)
    hours = list_candles(
        connection, FullCoin, KEY, "1h", Span(NOW - 4 * DAY, NOW - 3 * DAY)
    ).dicts()
    assert (len(hours), hours[0]["started_at"]) == (24, NOW - 4 * DAY)
    assert [hours[0][name] for name in ("open", "high", "low", "close")] == [5760, 5760, 5710, 5710]
    changes = list_changes(connection, FullCoin, KEY, Span(NOW - HOUR, NOW)).dicts()
    assert [row["current_price"] for row in changes] == [60, 50, 40, 30, 20, 10]
    assert len(list_candles(connection, FullCoin, KEY, "1d").rows) == 6
    with pytest.raises(ConfigurationError, match="no candles of 4h: 1h, 1d"):
        list_candles(connection, FullCoin, KEY, "4h")


def test_no_digit_is_lost(database_url, connection):
    history = History(database_url).make(3)
    price = Decimal("0.42857142857142857143")
    history.add(("a", "usd", price, Decimal("1e25"), None, NOW - 3 * DAY))
    history.roll_up()
    [candle] = list_candles(connection, FullCoin, KEY, "1h").dicts()
    assert (candle["close"], candle["market_cap"]) == (price, Decimal("1e25"))


@pytest.mark.parametrize(
    "read",
    [lambda c: chart_points(c, FullCoin, KEY, Charted(7)), lambda c: list_changes(c, FullCoin, KEY),
     lambda c: sparklines(c, FullCoin, ["a"], USD)],
    ids=["points", "changes", "sparklines"],
)  # fmt: skip
def test_without_a_history_the_error_says_how_to_begin_one(connection, read):
    with pytest.raises(NoHistoryError, match="HISTORY_ENABLED=1"):
        read(connection)
