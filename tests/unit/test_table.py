"""A listing as a table: it fits the terminal, cuts no number, and says what is left out."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from coinspider.export.terminal import TableStyle, list_lines, table_lines
from coinspider.store.fetch import Listing
from coinspider.text import exact, readable, short

COINS = Listing(
    ["market_cap_rank", "name", "symbol", "current_price", "price_change_percentage_24h",
     "market_cap", "total_volume"],
    [
        [1, "Bitcoin", "btc", Decimal("64123.45"), Decimal("-1.2345"), Decimal(1265432109876),
         Decimal(108725617283)],
        [2, "漢字漢字漢字漢字漢字漢字", "x" * 46, Decimal("0.000000000123456789"), Decimal("0.5"),
         Decimal("1e24"), None],
    ],
)  # fmt: skip
CRAWLS = Listing(
    ["id", "spider", "started_at", "seconds", "outcome", "records", "message"],
    [[7, "coins", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 61.25, "failed", 17000,
      "the crawl failed: page 3 could not be fetched: status 503 (2 pages, 500 records)"]],
)  # fmt: skip
CRAWLS_STYLE = TableStyle(first=("id", "outcome", "message"), needed=3)


def words(lines):
    return " ".join(lines).split()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_table_is_no_wider_than_the_terminal_and_no_number_is_cut(width):
    lines = table_lines(COINS, TableStyle(width))
    assert max(map(cell_len, lines)) <= width
    note = " ".join(lines).partition("No room for ")[2].replace(",", "").replace(";", "").split()
    for number, name in enumerate(COINS.columns):
        value = COINS.rows[0][number]
        texts = {sign + as_text(value) for as_text in (readable, short) for sign in ("", "+")}
        shown = any(text in " ".join(lines) for text in texts)
        assert shown != (name in note), name


def test_nothing_is_left_out_if_the_width_is_unknown():
    lines = table_lines(COINS, TableStyle(None))
    assert "No room" not in lines[-1]
    assert {"108,725,617,283", "+0.50", "-1.23", "1.00000e24", "0.0₉123457"} <= set(words(lines))


def test_amounts_are_short_before_a_column_is_left_out():
    narrow = table_lines(COINS._replace(rows=COINS.rows[:1]), TableStyle(72))
    assert "1.27 T" in " ".join(narrow)
    assert "No room" not in narrow[-1]
    wider = table_lines(COINS._replace(rows=COINS.rows[:1]), TableStyle(80, first=["name"]))
    assert {"108.73", "1,265,432,109,876"} <= set(words(wider))  # the least important first


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_outcome_and_message_are_never_lost(width):
    lines = table_lines(CRAWLS, CRAWLS_STYLE._replace(width=width))
    found = "".join(words(lines))
    assert "failed" in found
    for word in CRAWLS.rows[0][-1].split():
        assert word in found.replace("─", "")
    if width >= 40:
        assert max(map(cell_len, lines)) <= width


def test_all_digits_are_shown_on_demand():
    lines = table_lines(COINS, TableStyle(None, all_digits=True))
    assert "0.000000000123456789" in words(lines)
    lines = table_lines(COINS, TableStyle(40, all_digits=True))
    assert "0.000000000123456789" not in words(lines)
    assert "current_price," in words(lines)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_line_can_be_written_in_the_encoding(encoding):
    for lines in (
        table_lines(COINS, TableStyle(100, encoding=encoding)),
        list_lines(COINS, TableStyle(encoding=encoding)),
    ):
        "\n".join(lines).encode(encoding)
        price = "0.0₉123457" if encoding == "utf-8" else "1.23457e-10"
        assert price in " ".join(lines) or "1.235e-10" in " ".join(lines)


def test_only_changes_and_outcomes_have_a_color():
    lines = table_lines(COINS, TableStyle(None, color=True))
    assert any("\x1b[31m-1.23%\x1b[0m" in line.replace(" ", "") for line in lines)
    assert any("\x1b[32m+0.50%\x1b[0m" in line.replace(" ", "") for line in lines)
    [failed] = [line for line in table_lines(CRAWLS, CRAWLS_STYLE._replace(color=True))
                if "\x1b[31mfailed" in line]  # fmt: skip
    assert failed.count("\x1b[31m") == 1
    for style in (TableStyle(None), TableStyle(80)):
        assert "\x1b" not in "".join(table_lines(COINS, style))


HOSTILE = "\x1b[31m[red]x[/]\n\u202e\r\x9b2J"


def test_control_characters_in_foreign_text_are_escaped():
    listing = Listing(["name", "message", HOSTILE], [[HOSTILE, HOSTILE, None]])
    for lines in (table_lines(listing, TableStyle(200)), list_lines(listing, TableStyle())):
        text = "".join(lines)
        assert text.count("\\x1b[31m[red]x[/]\\n\\u202e\\r\\x9b2J") == 3
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", text)


def test_list_has_all_columns_of_each_row():
    lines = list_lines(COINS, TableStyle(40, all_digits=True))
    assert len(lines) == len(COINS.rows) * (1 + len(COINS.columns))
    for row in COINS.rows:
        for name, value in zip(COINS.columns, row, strict=True):
            assert any(line.startswith(name) and line.endswith(exact(value)) for line in lines)


@pytest.mark.parametrize("rows", [[], [[None] * len(COINS.columns)]], ids=["no rows", "nulls"])
def test_table_without_values_has_its_header(rows):
    assert "symbol" in words(table_lines(COINS._replace(rows=rows), TableStyle(80)))


TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
AMOUNT = st.builds(
    lambda digits, power: Decimal(digits).scaleb(power),
    st.integers(-(10**20), 10**20),
    st.integers(-40, 40),
)
NAMES = [f"{kind}_{number}" for number in range(6) for kind in ("name", "amount")]


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(1, 12), st.integers(20, 200), st.integers(1, 3))
def test_any_columns_fit_the_width_unless_they_are_needed(data, count, width, needed):
    names = NAMES[:count]
    kinds = [AMOUNT if name.startswith("amount") else TEXT for name in names]
    rows = data.draw(st.lists(st.tuples(*kinds), min_size=1, max_size=4))
    style = TableStyle(width, first=names[:needed], needed=needed)
    lines = table_lines(Listing(names, rows), style)
    note = "".join(lines).partition("No room for")[2]
    left_out = [name for name in names if f"{name}," in f"{note.replace(';', ',')}"]
    assert left_out == names[len(names) - len(left_out) :]
    assert not {*left_out} & {*names[:needed]}
    if len(left_out) + needed < count:
        assert max(map(cell_len, lines)) <= width
    for name, (*_, value) in ((n, row[: i + 1]) for row in rows for i, n in enumerate(names)):
        if name.startswith("amount") and name not in left_out:
            assert readable(value) in " ".join(lines) or short(value) in " ".join(lines)
