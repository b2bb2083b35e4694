"""How a crawl ended, from plain values."""

import pytest

from coinspider.crawl.outcome import CrawlOutcome, Facts
from coinspider.crawl.reasons import Reason
from coinspider.crawl.target import Place
from coinspider.stats import FIGURES

FULL = {"page_count": 2, "record_count": 20, "inserted_count": 3, "unchanged_count": 17}


def facts(figures=FULL, **others):
    given = {"figures": dict.fromkeys(FIGURES, 0) | figures, "handled": 20, "is_stored": True}
    return Facts(**(given | others))


def complete(**others):
    return CrawlOutcome(end_reached=True, place=Place("here"), **others)


def test_complete_crawl_says_what_it_did_and_what_is_remarkable():
    outcome = complete()
    outcome.remark("two coins came late")
    said = outcome.conclude(facts())
    assert said.message == (
        "the crawl is complete: 2 pages, 20 records, 3 new, 0 changed, 17 unchanged, 0 rejected;"
        " two coins came late"
    )
    assert said.ending.figures == {"remarks": ["two coins came late"]}
    assert (said.status, said.ending.code) == (0, None)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"finish": "shutdown"}, "interrupted"),
        ({"finish": "closespider_timeout"}, "not_finished"),
        ({"handled": 19}, "records_lost"),
        ({"has_exceptions": True}, "spider_exception"),
        ({"found": 3, "found_share_max": 0.1}, "found_by_key"),
        ({"figures": FULL | {"unchanged_count": 16}}, "records_uncounted"),
        ({"has_failed_feeds": True}, "feed_failed"),
        ({"figures": FULL | {"unchanged_count": 7, "rejected_count": 10},
          "rejected_share_max": 0.1}, "rejected_share"),
        ({"figures": {"page_count": 1}, "handled": 0, "must_find": True}, "no_records"),
    ],
)  # fmt: skip
def test_problem_has_its_code(changed, code):
    said = complete().conclude(facts(**changed))
    assert said.ending.code == code
    assert said.status != 0


def test_list_without_an_end_is_not_complete():
    assert CrawlOutcome().conclude(facts()).ending.code == "not_finished"


def test_first_reason_counts_unless_the_crawl_was_not_to_run():
    outcome = complete()
    outcome.note(Reason("database_error", {"why": "gone"}))
    outcome.note(Reason("feed_failed", {"why": "full"}))
    assert outcome.conclude(facts()).message.startswith("the crawl failed: gone (2 pages")
    outcome.note(Reason("skipped", {"why": "the same crawl is running already"}))
    said = outcome.conclude(facts())
    assert (said.name, said.message) == ("skipped", "the same crawl is running already")
