"""Which records came before, for lists in any order, without keeping all keys in memory."""

import random
from contextlib import closing

import msgspec
import pytest

from coinspider.records.keys import SeenKeys


@pytest.fixture
def seen():
    with closing(SeenKeys()) as seen:
        yield seen


def pages(order, size=10, count=40):
    keys = [f"coin-{number:04}" for number in range(size * count)]
    if order == "falling":
        keys.reverse()
    elif order == "none":
        random.Random(1).shuffle(keys)
    cut = [keys[start : start + size] for start in range(0, len(keys), size)]
    if order == "look-ahead":
        for start in range(0, count, 4):
            cut[start : start + 4] = cut[start : start + 4][::-1]
    return cut


@pytest.mark.parametrize("order", ["rising", "falling", "look-ahead", "none"])
def test_repeated_keys_are_those_that_came_before(seen, order):
    drawn, came = random.Random(2), set()
    for fresh in pages(order):
        page = [*fresh, *drawn.sample(sorted(came), min(3, len(came))), fresh[0]]
        expected = []
        for key in page:
            expected.append(key in came)
            came.add(key)
        assert seen.repeated(page) == expected, "asked, and nothing noted"
        assert seen.add(page) == expected
    assert {key for line in seen.read() for key in msgspec.json.decode(b"[" + line + b"]")} == came
    assert seen.count == len(came)
    assert {key for page in seen.pages() for key in page} == came
    before, *_, after = seen.around("coin-0100", "coin-0200")
    assert before < "coin-0100"
    assert after > "coin-0200"
    assert len({tuple(seen.around("coin-0100", "coin-0200", turn)) for turn in range(3)}) == 3


@pytest.mark.parametrize("order", ["rising", "falling", "look-ahead"])
def test_list_in_order_takes_no_memory_per_record(seen, order):
    for page in pages(order):
        assert not any(seen.add(page))
    assert seen.numbers is None


def test_keys_of_other_types_are_distinguished(seen):
    assert seen.add([1, "1", ("a", 1), '["a",1]']) == [False] * 4
    assert seen.add([1, "1", ("a", 1), '["a",1]', "a"]) == [True] * 4 + [False]


def test_unknown_key_is_not_repeated_but_makes_the_keys_incomplete(seen):
    assert seen.add(["a", None, None]) == [False] * 3
    assert seen.incomplete == "one record does not say whose it is"
    assert seen.around("b", "c") == ["a"]
    assert seen.around("a", "a") == []


def test_without_room_for_a_file_the_keys_are_incomplete(monkeypatch, tmp_path):
    monkeypatch.setattr("coinspider.records.keys._MEMORY", 100)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with closing(SeenKeys()) as seen:
        seen.add([f"coin-{number}" for number in range(100)])
        assert seen.incomplete.startswith("there is no room for a file of their keys:")
        assert not any(seen.add(["a", "b"]))


def test_awaited_key_that_comes_counts_as_returned(seen):
    seen.awaited = {"b", "z"}
    seen.add(["a", "b"])
    assert seen.returned == {"b"}
