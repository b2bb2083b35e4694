"""A chart of characters, as wide as the terminal and as high as the values require."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinspider.export.terminal import CHART_HEIGHT, TableStyle, chart_lines

START = datetime(2026, 1, 1, tzinfo=UTC)


def points(*values):
    return [(START + timedelta(hours=n), Decimal(value)) for n, value in enumerate(values)]


def test_rising_price_rises_from_the_least_to_the_greatest():
    lines = chart_lines(points(*range(1, 61)), TableStyle(60))
    _, *chart, times = lines
    assert len(chart) == CHART_HEIGHT
    assert chart[0].startswith("60 ")
    assert chart[-1].startswith(" 1 ▁")
    assert chart[0].endswith("█")
    heights = [
        sum(line[column : column + 1].strip() != "" for line in chart) for column in range(3, 60)
    ]
    assert heights == sorted(heights)
    assert times.split() == ["2026-01-01", "00:00", "2026-01-03", "11:00"]


def test_gap_is_drawn_with_the_value_before_it():
    sparse = [
        (START, Decimal(1)),
        (START + timedelta(days=9), Decimal(5)),
        (START + timedelta(days=10), Decimal(5)),
    ]
    last = chart_lines(sparse, TableStyle(40))[CHART_HEIGHT]
    assert set(last[2:36]) == {"▁"}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], "A: no price in this time"),
        (["1"], "A: 1 on 2026-01-01 00:00 UTC; a chart needs a second price"),
        (["2", "3"], "A: 3 (+50%)"),
        (["0", "3"], "A: 3"),
    ],
)
def test_first_line_tells_the_last_price_and_its_change(values, line):
    assert chart_lines(points(*values), TableStyle(80), "A")[0] == line


@given(st.lists(st.decimals(-(10**30), 10**30, allow_nan=False), min_size=2, max_size=90),
       st.integers(60, 200), st.sampled_from(["utf-8", "ascii"]))  # fmt: skip
def test_any_values_fit_the_width_and_the_encoding(values, width, encoding):
    lines = chart_lines(points(*values), TableStyle(width, encoding=encoding))
    assert len(lines) >= CHART_HEIGHT + 2
    assert max(map(len, lines)) <= width
    "\n".join(lines).encode(encoding)
