"""Where the marks of charts are, and which labels they have."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from coinspider.daemon.views.cells import CHANGE_7D, direction
from coinspider.daemon.views.charts import (
    Bar,
    TimeScale,
    ValueScale,
    bar_chart,
    candle_chart,
    line_chart,
    sparkline,
)
from coinspider.daemon.views.coin import merged_candles
from coinspider.daemon.views.coins import row_sparkline
from coinspider.store.series import Point

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def points(*values, step=timedelta(hours=1)):
    return [Point(NOW + n * step, Decimal(value)) for n, value in enumerate(values)]


def numbers(line):
    return [tuple(map(float, pair.split(","))) for pair in line.split()]


VALUES = [
    pytest.param(["1", "2", "3"], id="few"),
    pytest.param(["5", "5", "5"], id="flat"),
    pytest.param(["0", "0"], id="nothing but zero"),
    pytest.param(["1e-18", "3e-18", "2e-18"], id="tiny"),
    pytest.param(["1e30", "2e30"], id="huge"),
    pytest.param(["1e-400", "2e-400"], id="below floats"),
    pytest.param(["1e400", "3e400"], id="beyond floats"),
    pytest.param(["-3", "4", "-1"], id="below zero"),
    pytest.param(["0.000012345678901234567", "0.000012345678901234568"], id="close together"),
    pytest.param(["1", "1e9"], id="far apart"),
]


@pytest.mark.parametrize("is_log", [False, True], ids=["linear", "log"])
@pytest.mark.parametrize("values", VALUES)
def test_every_value_is_inside_with_its_ticks(values, is_log):
    chart = line_chart({"a": points(*values)}, is_log)
    [line] = chart.lines
    assert len(numbers(line.points)) == len(values)
    assert all(0 <= x <= 1000 and 0 <= y <= 1000 for x, y in numbers(line.points))
    assert all(0 <= tick.share <= 1 for tick in chart.values)
    assert 1 <= len(chart.values) <= 11
    assert len({tick.label for tick in chart.values}) == len(chart.values)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        ("87000", "94300", ["88,000", "90,000", "92,000", "94,000"]),
        ("0.11", "0.19", ["0.12", "0.14", "0.16", "0.18"]),
        ("1", "5.2", ["1", "2", "3", "4", "5"]),
    ],
)
def test_ticks_are_round(low, high, labels):
    assert [tick.label for tick in ValueScale(Decimal(low), Decimal(high)).ticks()] == labels


def test_log_scale_shows_equal_factors_as_equal_distances():
    chart = line_chart({"a": points("1", "10", "100")}, is_log=True)
    (_, first), (_, second), (_, third) = numbers(chart.lines[0].points)
    assert first - second == pytest.approx(second - third, abs=0.2)
    assert {tick.label for tick in chart.values} >= {"1", "10", "100"}


def test_zero_has_no_logarithm_so_the_scale_stays_linear():
    assert not line_chart({"a": points("0", "10")}, is_log=True).is_log


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (timedelta(hours=5), ["13:00", "14:00", "15:00", "16:00"]),
        (timedelta(days=1), ["15:00", "18:00", "21:00", "5 Mar", "03:00", "06:00", "09:00"]),
        (timedelta(days=7), ["6 Mar", "8 Mar", "10 Mar"]),
        (timedelta(days=360), ["Apr 2026", "Jul 2026"]),
    ],
    ids=str,
)
def test_times_are_round(length, labels):
    found = [tick.label for tick in TimeScale(NOW, NOW + length).ticks()]
    assert set(found) <= set(labels) or length > timedelta(days=300)
    assert 2 <= len(found) <= 7
    shares = [tick.share for tick in TimeScale(NOW, NOW + length).ticks()]
    steps = [later - sooner for sooner, later in pairwise(shares)]
    assert max(steps) - min(steps) < 1e-6


def test_marks_are_where_the_line_is():
    chart = line_chart({"a": points("1", "4", "2")})
    for (x, y, time, text), (px, py), value in zip(
        chart.marks, numbers(chart.lines[0].points), ("1", "4", "2"), strict=True
    ):
        assert (x * 1000, y * 1000) == pytest.approx((px, py), abs=0.2)
        assert time.endswith(" UTC")
        assert text == value
    assert (chart.low, chart.high) == ("1", "4")


def test_compared_coins_are_shown_as_changes_in_per_cent():
    chart = line_chart({"a": points("100", "110"), "b": points("0.001", "0.0005")})
    assert [line.name for line in chart.lines] == ["a", "b"]
    assert [text for *_, text in chart.marks] == ["+0.00 %", "+10.00 %"]
    assert "-40" in {tick.label for tick in chart.values}


def test_candles_are_up_or_down_with_body_and_wick():
    rows = [
        {"started_at": NOW + timedelta(hours=n), "open": Decimal(o), "high": Decimal(h),
         "low": Decimal(low), "close": Decimal(c)}
        for n, (o, h, low, c) in enumerate([(10, 14, 9, 12), (12, 13, 6, 8), (8, 8, 8, 8)])
    ]  # fmt: skip
    chart = candle_chart(rows)
    assert [candle.kind for candle in chart.candles] == ["up", "down", "up"]
    for candle in chart.candles:
        assert candle.high <= candle.y < candle.y + candle.height <= candle.low + 2
    assert chart.marks[1][2:] == ("2026-03-04 13:00 UTC", "open 12, high 13, low 6, close 8")
    assert candle_chart(rows[:1]) is None


@pytest.mark.parametrize("values", [[], ["1"]], ids=["none", "one"])
def test_fewer_than_two_points_make_no_line(values):
    assert line_chart({"a": points(*values)}) is None
    assert sparkline(points(*values)) is None


@pytest.mark.parametrize(("values", "change"), [("12", 100), ("42", -50), ("22", 0), ("02", None)])
@pytest.mark.parametrize("exponent", ["", "e-400", "e30", "e400"])
def test_sparkline_says_whether_it_rose_or_fell(values, change, exponent):
    drawn, found = sparkline(points(*(f"{value}{exponent}" for value in values)))
    assert found == change
    assert all(0 <= x <= 100 and 0 <= y <= 30 for x, y in numbers(drawn))
    heights = [30 - y for _, y in numbers(drawn)]
    assert sorted(heights) == [heights[values.index(value)] for value in sorted(values)]


def test_one_slow_run_does_not_flatten_the_others():
    chart = bar_chart([Bar(10 + n % 3, "", "complete") for n in range(20)] + [Bar(900, "", "died")])
    assert [bar.is_cut for bar in chart.bars] == [False] * 20 + [True]
    assert min(bar.height for bar in chart.bars) > 300


def test_period_is_drawn_as_a_line_if_it_is_in_range():
    bars = [Bar(100, "", "complete")]
    assert [seconds for _, seconds in bar_chart(bars, 180).lines] == [180]
    assert not bar_chart(bars, 3600).lines
    assert bar_chart([], 180) is None


def test_a_few_bars_are_not_drawn_as_blocks():
    [bar] = bar_chart([Bar(3, "", "complete")]).bars
    assert bar.width <= 50


def test_candles_of_one_hour_are_merged_into_four_hours():
    rows = [
        {"started_at": NOW + timedelta(hours=n), "open": n, "high": n + 2, "low": n - 2, "close": n}
        for n in (-1, 0, 1, 3, 4)
    ]
    found = merged_candles(rows, timedelta(hours=4))
    assert [list(row.values())[1:] for row in found] == [[-1, 1, -3, -1], [0, 5, -2, 3],
                                                         [4, 6, 2, 4]]  # fmt: skip
    assert [row["started_at"].hour for row in found] == [8, 12, 16]


@pytest.mark.parametrize(
    ("line", "price", "change", "count", "kind"),
    [
        (["5", "6"], "4", "-20", 4, "down"),
        (["5", "6"], "4", "0.001", 4, ""),
        (["5", "6"], "7", None, 3, "up"),
        (["5", "6"], None, "3", 2, "up"),
        (["5"], "6", None, 2, "up"),
        ([], "6", "1", 2, "up"),
        (["5", "6"], "0", "-100", 3, "down"),
        ([], "6", None, 0, None),
        ([], None, None, 0, None),
    ],
)
def test_sparkline_goes_where_the_change_in_its_row_does(line, price, change, count, kind):
    row = {"current_price": price and Decimal(price), CHANGE_7D: change and Decimal(change)}
    drawn = row_sparkline(points(*line), row, NOW + timedelta(days=1))
    assert (len(drawn.points.split()) if drawn else 0) == count
    assert (direction(drawn.change) if drawn else None) == kind
    if kind == "down" and count == 4:
        assert drawn.change == row[CHANGE_7D]
        assert numbers(drawn.points)[-1][1] > numbers(drawn.points)[0][1]
