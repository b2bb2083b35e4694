"""What people type into the fields of /coins, and links that keep the rest of the view."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from coinspider.daemon.views import any_table
from coinspider.daemon.views.choice import WATCH_MAX, read_choice
from coinspider.errors import ConfigurationError
from coinspider.store.bounds import BOUNDS, FieldsError, amount, conditions, read_where
from coinspider.store.tables import Condition, StoredTable


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1000000", "1e6"),
        ("1,000,000.5", "1000000.5"),
        ("1 000 000", "1e6"),
        ("1_000", "1000"),
        ("1e9", "1e9"),
        ("1E9", "1e9"),
        ("2.5B", "2.5e9"),
        ("2.5 bn", "2.5e9"),
        ("$1M", "1e6"),
        ("3k", "3000"),
        ("1t", "1e12"),
        (" 7 ", "7"),
        ("-.5", "-0.5"),
        ("\u22125", "-5"),
        ("+5", "5"),
        ("0", "0"),
    ],
)
def test_number_is_read_as_people_write_it(text, number):
    assert amount(text, BOUNDS["cap_min"]) == Decimal(number)


@pytest.mark.parametrize(("text", "number"), [("5%", "5"), ("-2.5 %", "-2.5"), ("5", "5")])
def test_change_may_have_its_sign_of_per_cent(text, number):
    assert amount(text, BOUNDS["change_min"]) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    ["x", "1,5", "1,00,000", "NaN", "Infinity", "1e", "e9", ".", "-", "%", "1e101", "1e999999",
     "1x", "1 2", "--1", "\u0661", "5%", "1" * 200, "1e9e9", "<b>", "1B%", "0x10"],
)  # fmt: skip
def test_error_for_a_wrong_number_gives_an_example(text):
    with pytest.raises(ValueError, match="not a number, such as 1M"):
        amount(text, BOUNDS["cap_min"])


def test_error_names_all_unreadable_fields_at_once():
    with pytest.raises(FieldsError) as caught:
        conditions({"cap_min": "x", "change_max": "5%", "new": "0", "rank_min": "1,5"})
    assert set(caught.value.problems) == {"cap_min", "new", "rank_min"}
    assert "cap_min=x is not a number" in str(caught.value)


def test_filter_is_left_out_of_a_query():
    query = read_choice({"rank_max": "9", "cap_min": "1B", "watch": "a,b", "watched": "1"})
    assert query.conditions == ["rank_max", "cap_min", "watched"]
    assert [each.column for each in query.chosen.conditions] == [
        "market_cap_rank", "market_cap", "coin_id",
    ]  # fmt: skip
    assert list(query.filters) == ["watched", "rank_max", "cap_min"]
    assert "rank_max" not in query.without("rank_max").filters
    assert query.without("rank_max").filters.keys() == {"watched", "cap_min"}
    assert query.without("listed").chosen.listed == "all"
    assert query.without("watched").watch == ["a", "b"]


def test_star_adds_a_coin_to_a_list_that_is_not_full():
    ids = [f"coin-{number}" for number in range(WATCH_MAX)]
    query = read_choice({"watch": ",".join(ids)})
    assert query.star_link("one-more") is None
    assert query.star_link("coin-7").endswith("&unstar=coin-7")
    kept = read_choice({"page": "2"}, watched=["a"])
    assert kept.star_link("b") == "?page=2&star=b"
    assert read_choice({"watched": "1"}, watched=["a", "b"]).file_arguments["watch"] == "a,b"


TABLE = StoredTable(
    "pair", {"id": "text", "price": "numeric", "at": "timestamp with time zone",
             "active": "boolean", "extra": "jsonb"}, ["id"],
)  # fmt: skip


def test_conditions_of_any_column_are_read():
    text = "price >= 1,000, id = a, b, active = no, at <= 2026-01-31"
    assert read_where(TABLE, text) == [
        Condition("price", ">=", Decimal(1000)),
        Condition("id", "=", "a, b"),
        Condition("active", "=", False),
        Condition("at", "<=", datetime(2026, 1, 31, tzinfo=UTC)),
    ]
    assert read_where(TABLE, " ") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [("price > 1", "price > 1 is not NAME >= VALUE"), ("cost = 1", "there are id, price, at"),
     ("price = x", "price = x: that is not a value of the type numeric"),
     ("extra = {}", "of the type jsonb, or none that rows are chosen by"),
     ("active = maybe", "not a value of the type boolean"),
     ("at = today", "that is not a value of the type timestamp")],
)  # fmt: skip
def test_condition_that_can_not_be_read_is_told(text, problem):
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        read_where(TABLE, text)


@pytest.mark.parametrize("package", ["", "xlsxwriter"])
def test_workbook_is_linked_where_it_can_be_made(package, monkeypatch):
    monkeypatch.setattr(any_table, "find_spec", lambda name: name == package)
    assert ("xlsx" in any_table.file_formats()) == bool(package)
