"""Which pages of a list in key order are doubtful, and which keys are out of order."""

import pytest

from coinspider.crawl.key_order import PageChain, falls, first_fall


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a-b", "aa"), ("aa", "a-b"), ("Zcash", "aave"), ("aave", "Zcash"), ("coin-10", "coin-9"),
        ("0-5x-long", "0x"), ("_x", "x"), ("x_y", "x-y"), ("x1", "x_1"),
        ("zoé", "zoa"), ("漢", "字"), ("a", "a"), ("x[old]", "x"),
        pytest.param("x" + "2" * 5000, "x" + "1" * 5000 + "0", id="more digits than Python reads"),
    ],
)  # fmt: skip
def test_keys_that_some_collation_has_in_order_do_not_fall(first, second):
    assert not (falls(first, second) and falls(second, first))
    assert not falls(first, second) or first == "x[old]"


@pytest.mark.parametrize("pair", [("b", "a"), ("coin-00010", "coin-00009"), ("x2-y", "x1-z")])
def test_keys_that_every_collation_has_the_other_way_round_fall(pair):
    assert falls(*pair)
    assert first_fall([*pair]) == pair
    assert first_fall(sorted(pair)) is None


def keys(start, count):
    return [f"coin-{number:04}" for number in range(start, start + count)]


def chain_of(*pages, size=10, descending=False):
    chain = PageChain(size, descending)
    for number, page in enumerate(pages, start=1):
        assert chain.fall(number, page) is None
        chain.note(number, page)
    return chain


def doubted(chain, answers=()):
    """The pages that are requested again, each answered as given or as before."""
    found = []
    while (number := chain.doubtful()) is not None:
        found.append(number)
        if number in answers:
            chain.note(number, answers[number])
        else:
            chain.settled.add(number)
    return found


WHOLE = [keys(start, 10) for start in range(0, 50, 10)]


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ({}, []),
        ({3: keys(20, 5)}, [3]),
        ({1: keys(0, 4), 5: keys(40, 4)}, [1, 5]),
        ({3: keys(22, 10)}, [3]),
        ({3: keys(18, 10)}, [2, 3]),
        ({3: keys(22, 10), 4: keys(32, 10)}, [4, 3]),
        ({5: keys(43, 7)}, [5]),
    ],
    ids=["whole", "short", "both ends", "moved on", "moved back", "two", "end"],
)  # fmt: skip
def test_pages_that_do_not_join_are_requested_again(changed, again):
    pages = [changed.get(number, page) for number, page in enumerate(WHOLE, start=1)]
    answers = dict(enumerate(WHOLE, start=1))
    assert set(doubted(chain_of(*pages), answers)) >= set(changed)
    assert doubted(chain_of(*pages), answers)[: len(again)] == again
    descending = [page[::-1] for page in reversed(pages)]
    assert len(doubted(chain_of(*descending, descending=True))) == len(doubted(chain_of(*pages)))


def test_pages_that_overlap_the_wrong_way_round_are_requested_again():
    chain = PageChain(2)
    chain.note(1, ["b-1", "b2"])
    chain.note(2, ["b1", "b-1"])
    assert chain.joints == {1}


def test_short_last_page_is_requested_once_and_usual_short_pages_a_few_times():
    assert doubted(chain_of(*WHOLE, keys(50, 3))) == [6]
    assert doubted(chain_of(*[keys(start, 9) for start in range(0, 90, 9)], size=250)) == [1]
    short = [keys(start, 10 - (start > 0)) for start in range(0, 200, 10)]
    assert doubted(chain_of(*short)) == [2, 3, 4, 20]


def test_page_is_not_requested_endlessly():
    chain, found = chain_of(*WHOLE[:2], keys(20, 5)), []
    while (number := chain.doubtful()) is not None:
        found.append(number)
        chain.note(number, keys(20, 5 + len(found)))
    assert found == [3, 3]


def test_pages_that_come_out_of_order_are_named():
    chain = chain_of(*WHOLE[:2])
    assert chain.fall(3, [*keys(20, 5), *keys(10, 5)]) == (
        "coin-0010 comes after coin-0024, in a list by key"
    )
    assert chain.fall(3, keys(5, 10)) == (
        "it begins with coin-0005, and the page before it with coin-0010"
    )
    assert chain.fall(3, keys(18, 10)) is None, "the list moved"
    chain.note(5, keys(40, 10))
    assert chain.fall(4, keys(60, 10)) == (
        "it begins with coin-0060, and the page after it with coin-0040"
    )


def test_list_that_begins_in_no_order_may_go_on_so():
    chain = PageChain(10)
    assert chain.fall(1, ["c", "a", "b"]) is None
    assert chain.in_order is False
    chain.note(1, ["c", "a", "b"])
    assert chain.fall(2, ["b", "a"]) is None
    assert chain.doubtful() == 1, "it is short"
