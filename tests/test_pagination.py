"""Which page comes after which."""

from dataclasses import FrozenInstanceError
from urllib.parse import parse_qs, urlsplit

import pytest

from coinspider.pagination import PageNumber

URL = "https://api.example/coins?vs_currency=usd&ids=a%2Cb"


def query(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


@pytest.mark.parametrize(
    "url", [URL, f"{URL}&page=7", f"{URL}&page="], ids=["no page", "another page", "empty page"]
)
def test_the_first_page_is_page_1_of_the_same_query(url):
    first = PageNumber().first(url)
    assert query(first) == {"vs_currency": ["usd"], "ids": ["a,b"], "page": ["1"]}
    assert urlsplit(first)[:3] == urlsplit(URL)[:3]


@pytest.mark.parametrize(("page", "following"), [(1, "2"), (9, "10"), (71, "72")])
def test_the_page_number_goes_up_by_one(page, following):
    after = PageNumber().following(f"{URL}&page={page}", ["a record"])
    assert query(after) == {"vs_currency": ["usd"], "ids": ["a,b"], "page": [following]}


def test_a_url_without_a_page_is_page_1():
    assert query(PageNumber().following(URL, ["a record"]))["page"] == ["2"]


def test_an_empty_page_is_the_end():
    assert PageNumber().following(f"{URL}&page=3", []) is None


@pytest.mark.parametrize("size", [1, 125, 249])
def test_a_short_page_is_not_the_end(size):
    after = PageNumber().following(f"{URL}&per_page=250&page=3", range(size))
    assert query(after)["page"] == ["4"]


@pytest.mark.parametrize(
    ("page", "goes_on"), [(1, True), (2, True), (3, False)], ids=["first", "second", "last"]
)
def test_the_last_page_wanted_is_the_end(page, goes_on):
    after = PageNumber(last=3).following(f"{URL}&page={page}", ["a record"])
    assert (after is not None) == goes_on


def test_an_empty_page_before_the_last_one_wanted_is_the_end():
    assert PageNumber(last=3).following(f"{URL}&page=2", []) is None


def test_the_parameter_may_have_another_name():
    strategy = PageNumber(parameter="p")
    first = strategy.first("https://api.example/?page=5")
    assert query(first) == {"page": ["5"], "p": ["1"]}
    assert query(strategy.following(first, ["a record"])) == {"page": ["5"], "p": ["2"]}
    assert strategy.number("https://api.example/?page=5&p=12") == 12


def test_a_strategy_can_not_change_during_a_crawl():
    with pytest.raises(FrozenInstanceError):
        PageNumber().last = 2
