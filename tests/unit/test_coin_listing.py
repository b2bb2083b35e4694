"""When a page may use the listing of the coins, and when the listing is made again."""

from datetime import UTC, datetime
from types import SimpleNamespace

import psycopg
import pytest

from coinspider.daemon.views import listing as module
from coinspider.daemon.views.listing import CoinListing, Made
from coinspider.store.listing import TABLE, Version

ENDED = datetime(2026, 3, 4, tzinfo=UTC)
FIRST = Version(ENDED, 100)
WRITTEN, NEXT = FIRST._replace(written=101), Version(datetime(2026, 3, 5, tzinfo=UTC), 101)


@pytest.fixture
def world(monkeypatch):
    """The clock and the database's content; a thread's work is done at once."""
    found = SimpleNamespace(now=1000.0, version=FIRST, makes=0, seconds=0.1, error=None)

    def make(sorts):
        found.makes += 1
        if found.error:
            raise found.error
        return Made(found.version, found.now, found.seconds, sorts)

    class Thread:
        def __init__(self, target, **_):
            self.start = target

    monkeypatch.setattr(module, "monotonic", lambda: found.now)
    monkeypatch.setattr(module, "listing_version", lambda *_: found.version)
    monkeypatch.setattr(module, "Thread", Thread)
    found.listing = CoinListing(make)
    return found


def test_first_page_does_not_wait_for_the_listing_and_the_next_uses_it(world):
    assert [world.listing.current(None) for _ in range(3)] == [None, TABLE, TABLE]
    assert world.makes == 1


def test_page_that_needs_the_listing_waits_for_it(world):
    assert world.listing.needed(None) == TABLE
    assert world.makes == 1


@pytest.mark.parametrize(
    ("version", "seconds", "later", "expected"),
    [
        (FIRST, 0.1, 1, (TABLE, 1)),
        (FIRST, 0.1, 61, (TABLE, 2)),
        (FIRST, 0.1, 121, (None, 2)),
        (WRITTEN, 0.1, 1, (TABLE, 1)),
        (WRITTEN, 0.1, 3, (TABLE, 2)),
        (WRITTEN, 0.1, 6, (None, 2)),
        (WRITTEN, 10, 90, (TABLE, 1)),
        (WRITTEN, 10, 110, (TABLE, 2)),
        (WRITTEN, 10, 201, (None, 2)),
        (NEXT, 1, 1, (None, 2)),
        (NEXT, 10, 1, (TABLE, 2)),
    ],
    ids=["same", "ageing", "an hour ago was another time", "written", "written, ageing",
         "written, old", "dear", "dear, ageing", "dear, old", "a crawl has ended",
         "a crawl has ended, dear"],
)  # fmt: skip
def test_listing_is_used_while_it_is_up_to_date(world, version, seconds, later, expected):
    world.seconds = seconds
    world.listing.current(None)
    world.version, world.now = version, world.now + later
    assert (world.listing.current(None), world.makes) == expected


def test_making_a_table_that_is_not_allowed_is_not_tried_each_time(world):
    world.error = psycopg.errors.InsufficientPrivilege("permission denied")
    assert [world.listing.current(None) for _ in range(3)] == [None] * 3
    assert world.listing.needed(None) is None
    assert world.makes == 1
    world.error, world.now = None, world.now + 601
    assert [world.listing.current(None) for _ in range(2)] == [None, TABLE]


def test_listing_that_somebody_dropped_is_made_again(world):
    world.listing.current(None)
    world.listing.forget()
    assert [world.listing.current(None) for _ in range(2)] == [None, TABLE]


def test_order_that_a_page_asks_for_is_in_the_next_listing(world):
    world.listing.current(None)
    assert [world.listing.has_order("ath"), world.listing.has_order("atl")] == [False, False]
    assert world.listing.current(None) == TABLE
    assert [world.listing.has_order("ath"), world.listing.has_order("atl")] == [True, True]
    world.listing.current(None)
    assert world.makes == 2
