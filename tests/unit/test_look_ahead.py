"""Which pages are requested at once."""

import pytest

from coinspider.http.pagination import IN_SEQUENCE, LookAhead, PageNumber
from tests.helpers.answered import answered, things


def walk(look_ahead: LookAhead, pages: int) -> list[int]:
    """The requested pages of a list of ``pages`` pages, each in the order of its answer."""
    asked, waiting = [], [1]
    while waiting:
        page = waiting.pop(0)
        asked.append(page)
        if page <= pages:
            waiting += look_ahead.after(page)
    return asked


@pytest.mark.parametrize("pages", [0, 1, 2, 7, 8, 9, 68])
@pytest.mark.parametrize("known", [None, 1, 2, 8, 9, 68, 80])
@pytest.mark.parametrize("ways", [1, 2, 8])
def test_every_page_and_the_empty_one_are_requested_once(pages, known, ways):
    asked = walk(LookAhead(ways, known), pages)
    assert len(asked) == len(set(asked))
    assert set(asked) >= set(range(1, pages + 2))


@pytest.mark.parametrize("pages", [1, 8, 68])
def test_no_call_is_wasted_if_the_number_of_pages_is_known(pages):
    assert sorted(walk(LookAhead(8, pages), pages)) == list(range(1, pages + 2))


def test_in_sequence_requests_one_page_after_the_other():
    assert walk(IN_SEQUENCE, 5) == [1, 2, 3, 4, 5, 6]


def test_look_ahead_has_several_pages_under_way():
    assert LookAhead(4).after(1) == [2, 3, 4, 5]
    assert LookAhead(4).after(3) == [7]
    assert LookAhead(4, start=3).after(3) == [4, 5, 6, 7]


def test_look_ahead_travels_in_the_requests():
    step = PageNumber().following(answered(things(0, 9), look_ahead=LookAhead(3)))
    assert [r.number for r in step.requests] == [2, 3, 4]
    assert {r.look_ahead for r in step.requests} == {LookAhead(3)}
