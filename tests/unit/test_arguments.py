"""``-a NAME=VALUE``, checked before anything starts."""

import re
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from coinspider.errors import ConfigurationError
from coinspider.setting_kinds import parse_arguments
from coinspider.spiders.coins import CoinsArguments

ORDERS = [
    *("market_cap_desc", "market_cap_asc", "volume_desc", "volume_asc"),
    *("id_asc", "id_desc"),
]
SPANS = "1h,24h,7d,14d,30d,200d,1y"


class Arguments(Struct, kw_only=True):
    size: Annotated[int, Meta(ge=1, le=9, description="1 to 9")] = 5
    word: Annotated[str, Meta(pattern="^[a-z]+$", description="small letters")] = "abc"


def test_missing_argument_has_its_default():
    assert parse_arguments(Arguments, {}) == Arguments(size=5, word="abc")


def test_text_becomes_the_type_of_its_field():
    assert parse_arguments(Arguments, {"size": "7", "word": "xyz"}) == Arguments(size=7, word="xyz")


@pytest.mark.parametrize("value", ["1", "9"], ids=["least", "most"])
def test_the_bounds_are_allowed(value):
    assert parse_arguments(Arguments, {"size": value}).size == int(value)


@pytest.mark.parametrize("value", ["0", "10", "-1", "2.5", "two", "", "true", "null"])
def test_error_for_a_wrong_value_says_what_is_allowed(value):
    message = f"wrong argument size={value}: allowed is 1 to 9"
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}$"):
        parse_arguments(Arguments, {"size": value})


def test_text_that_does_not_match_its_pattern_is_refused():
    with pytest.raises(ConfigurationError, match=r"^wrong argument word=ABC: .*small letters$"):
        parse_arguments(Arguments, {"word": "ABC"})


def test_error_for_unknown_arguments_lists_the_known_ones():
    with pytest.raises(
        ConfigurationError, match=r"^unknown argument a, b: allowed are size, word$"
    ):
        parse_arguments(Arguments, {"b": "1", "size": "2", "a": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vs_currency", "usd"),
        ("vs_currency", "btc"),
        ("order", "id_desc"),
        ("per_page", "1"),
        ("per_page", "250"),
        ("ids", "bitcoin"),
        ("ids", "bitcoin,usd-coin"),
        ("category", "layer-1"),
        ("names", "Bitcoin,Wrapped Bitcoin"),
        ("symbols", "btc,eth"),
        ("include_tokens", "all"),
        ("precision", "full"),
        ("precision", "18"),
        ("locale", "zh-tw"),
        ("price_change_percentage", "1h"),
        ("price_change_percentage", "1y,24h"),
    ],
)
def test_coins_takes(name, value):
    arguments = parse_arguments(CoinsArguments, {name: value})
    assert str(getattr(arguments, name)) == value
    assert str(arguments.query()[name]) == value


def test_coins_takes_a_number_of_pages():
    assert parse_arguments(CoinsArguments, {"pages": "3"}) == CoinsArguments(pages=3)


@pytest.mark.parametrize("order", ORDERS)
def test_coins_takes_each_order_of_the_api(order):
    assert parse_arguments(CoinsArguments, {"order": order}).query()["order"] == order


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("vs_currency", "USD", "a currency's code"),
        ("vs_currency", "", "a currency's code"),
        ("vs_currency", "usd&page=2", "a currency's code"),
        ("vs_currency", "a" * 21, "a currency's code"),
        ("per_page", "0", "1 to 250"),
        ("per_page", "251", "1 to 250"),
        ("per_page", "all", "1 to 250"),
        ("order", "rank", f"one of {', '.join(ORDERS)}"),
        ("order", "", f"one of {', '.join(ORDERS)}"),
        ("order", "id_desc,id_asc", f"one of {', '.join(ORDERS)}"),
        ("pages", "0", "a number of pages from 1"),
        ("pages", "-1", "a number of pages from 1"),
        ("pages", "1.5", "a number of pages from 1"),
        ("pages", "all", "a number of pages from 1"),
        ("ids", "", "coin ids"),
        ("category", "", "a category's id"),
        ("names", "", "coin names"),
        ("symbols", "", "symbols"),
        ("include_tokens", "some", "one of top, all"),
        ("include_rehypothecated", "yes please", "true or false"),
        ("sparkline", "7d", "true or false"),
        ("precision", "19", "one of full, 0, 1"),
        ("locale", "xx", "one of ar, bg"),
        ("price_change_percentage", "2h", f"some of {SPANS}"),
        ("price_change_percentage", "1h,", f"some of {SPANS}"),
        ("price_change_percentage", "1h7d", f"some of {SPANS}"),
    ],
)
def test_coins_refuses(name, value, allowed):
    message = re.escape(f"wrong argument {name}={value}: allowed is {allowed}")
    with pytest.raises(ConfigurationError, match=f"^{message}[^\n]*$"):
        parse_arguments(CoinsArguments, {name: value})


def test_coins_refuses_page_which_the_crawl_sets_itself():
    with pytest.raises(ConfigurationError, match=r"^unknown argument page: .*per_page"):
        parse_arguments(CoinsArguments, {"page": "2"})


def test_a_whole_crawl_goes_by_id_in_full_pages_of_dollars():
    assert CoinsArguments().query() == {
        "vs_currency": "usd",
        "order": "id_asc",
        "per_page": 250,
        "include_rehypothecated": "true",
        "price_change_percentage": SPANS,
    }


@pytest.mark.parametrize(
    ("name", "text", "sent"),
    [
        ("include_rehypothecated", "false", "false"),
        ("include_rehypothecated", "TRUE", "true"),
        ("sparkline", "true", "true"),
        ("sparkline", "false", None),
        ("price_change_percentage", "", None),
    ],
)
def test_a_parameter_is_sent_as_the_api_reads_it(name, text, sent):
    assert parse_arguments(CoinsArguments, {name: text}).query().get(name) == sent


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ({}, True),
        ({"order": "id_desc"}, True),
        ({"sparkline": True, "precision": "full", "locale": "de"}, True),
        ({"order": "market_cap_desc"}, False),
        ({"pages": 2}, False),
        ({"first_page": 2}, False),
        ({"ids": "bitcoin"}, False),
        ({"names": "Bitcoin"}, False),
        ({"symbols": "btc"}, False),
        ({"category": "layer-1"}, False),
        ({"include_rehypothecated": False}, False),
    ],
)
def test_only_the_longest_list_says_what_is_gone(given, whole):
    assert CoinsArguments(**given).are_whole() is whole


def test_the_first_pages_are_those_of_the_top_coins():
    assert CoinsArguments(pages=2).query()["order"] == "market_cap_desc"


def test_order_applies_to_the_first_pages_too():
    assert CoinsArguments(pages=2, order="volume_desc").query()["order"] == "volume_desc"


def test_filters_are_part_of_the_query():
    query = CoinsArguments(ids="bitcoin,ethereum", category="layer-1").query()
    assert (query["ids"], query["category"]) == ("bitcoin,ethereum", "layer-1")
