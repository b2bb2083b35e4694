"""How a crawl ended, from plain values."""

import pytest
from scrapy.utils.test import get_crawler

from coinspider.crawl.dispatch import PageMiddleware
from coinspider.crawl.outcome import CrawlOutcome, Facts, summary
from coinspider.crawl.reasons import Reason
from coinspider.crawl.target import Place
from coinspider.http.ratelimit import REFUSED_STAT
from coinspider.spiders.next import NextSpider
from coinspider.stats import FIGURES, PAGE_STAT, REJECTED_STAT

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


def lines(stats, **arguments):
    """What the summary of a crawl of another API says, by the line's name."""
    crawler = get_crawler(NextSpider, {"SPIDER_MIDDLEWARES": {PageMiddleware: 2000}})
    crawler.spider = NextSpider.from_crawler(crawler, url="http://127.0.0.1/a", **arguments)
    crawler.stats.set_stats({PAGE_STAT: 1, **stats})
    return dict(line.strip().split(maxsplit=1) for line in summary(crawler))


@pytest.mark.parametrize(
    ("refused", "said"), [(0, "none"), (1, "not known, though calls were refused")]
)
def test_limit_that_refused_a_call_is_not_said_to_be_none(refused, said):
    assert lines({REFUSED_STAT: refused}, table="a")["limit"] == said


@pytest.mark.parametrize(("given", "is_said"), [({}, True), ({"table": "a"}, False)])
def test_records_that_do_not_fit_the_coins_are_told_of_the_argument_table(given, is_said):
    rejected = lines({REJECTED_STAT: 57}, **given)["rejected"]
    assert ("-a table=NAME" in rejected) is is_said
