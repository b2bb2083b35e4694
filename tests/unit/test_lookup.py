"""What an answer to a request for certain keys shows."""

from contextlib import closing

import pytest

from coinspider.crawl.lookup import Lookup
from coinspider.records.keys import SeenKeys


@pytest.fixture
def lookup():
    with closing(SeenKeys()) as seen:
        seen.add(["a", "c", "e"])
        seen.add(["g", "i", "k"])
        yield Lookup(5, seen, lambda key: "," not in str(key))


def test_keys_are_asked_for_with_witnesses_around_them(lookup):
    assert lookup.keys_a_call() == 2
    assert lookup.keys_a_call(longest=4) == 1
    calls = lookup.calls(["d", "f", "h", "x,y"], 2)
    assert [list(call.keys) for call in calls] == [["d", "f"], ["h"]]
    assert all(set(call.witnesses) <= set("acegik") for call in calls)
    lookup.spare_unnamed(["d", "x,y"])
    assert lookup.seen.has_all(["x,y"])


def test_what_does_not_come_beside_its_witnesses_is_gone(lookup):
    [call] = lookup.calls(["d", "f"], 2)
    assert lookup.take(call, [*call.witnesses, "f"], 1).is_believed
    assert lookup.gone == {"d"}


def test_answer_without_a_witness_proves_nothing(lookup):
    [call] = lookup.calls(["d"], 2)
    found = lookup.take(call, call.witnesses[:1], 1)
    assert "on the pages a moment ago" in found.why
    assert list(found.call.keys) == ["d"]
    assert not lookup.gone


def test_other_records_twice_mean_that_keys_are_ignored(lookup):
    [call] = lookup.calls(["d"], 2)
    again = lookup.take(call, ["k", "zz"], 1)
    assert "not asked for" in again.why
    assert not lookup.is_ignored
    found = lookup.take(again.call, ["k", "zz"], 2)
    assert (found.call, found.is_believed, lookup.is_ignored) == (None, False, True)


def test_keys_of_a_call_fit_into_a_url(lookup):
    long = [f"{number:04}-{'x' * 2000}" for number in range(5)]
    assert [len(call.keys) for call in lookup.calls(long, 100)] == [2, 2, 1]
