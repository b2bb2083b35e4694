"""When the end of a list is believed."""

import re
from pkgutil import resolve_name
from typing import Any

import pytest

from coinspider.crawl.evidence import End, PageLog, doubt
from coinspider.http.pagination import Evidence, PageRequest
from tests.helpers.answered import URL, answered, things
from tests.helpers.processes import PROJECT


def log_of(*counts: int, envelope: dict[str, Any] | None = None, **headers: str) -> PageLog:
    """The log of pages with these numbers of records."""
    log, start = PageLog(contents={}), 0
    for number, count in enumerate(counts, start=1):
        rows = things(start, start + count)
        body = {"results": rows, **(envelope or {})} if envelope else rows
        path = ["results"] if envelope else []
        page = answered(body, PageRequest(URL, number=number), path=path, **headers)
        log.note(page, [row["id"] for row in rows])
        if not count:
            log.ends[number] = end(f"page {number} is empty")
        start += count
    return log


def end(
    evidence: str = "next is null", by: Evidence | None = None, is_numbered: bool = True
) -> End:
    is_empty = evidence.endswith("is empty")
    by = by or (Evidence.EMPTY_PAGE if is_empty else Evidence.NO_LEAD)
    return End(PageRequest(URL), evidence, by, is_empty or "answers" in evidence, is_numbered)


def reason(log: PageLog, known_pages: int | None = None) -> str | None:
    """Why the end is not believed, also after everything was requested again."""
    found = doubt(log, known_pages)
    return found.reason if found and not found.once else None


@pytest.mark.parametrize("counts", [(10, 10, 5, 0), (10, 3, 10, 0), (1, 0), (10, 0)])
def test_empty_page_is_the_end_if_nothing_contradicts_it(counts):
    assert reason(log_of(*counts)) is None
    assert reason(log_of(*counts), known_pages=len(counts) - 1) is None


def test_empty_page_before_one_with_records_is_not_the_end():
    found = doubt(log_of(10, 0, 10, 0), None)
    assert found.reason == "page 2 is empty, and yet page 3 has records"
    assert found.page


@pytest.mark.parametrize("headers", [{"Total": "50"}, {"X_Total_Count": "50"}], ids=str)
def test_total_is_compared_with_what_came(headers):
    found = doubt(log_of(10, 10, 0, **headers), None)
    assert "says 50 records, 20 came" in found.reason
    assert found.page, "the empty page is asked for again"
    assert reason(log_of(10, 10, 10, 10, 10, 0, **headers)) is None


def test_short_numbered_pages_in_the_middle_are_not_a_shortage():
    assert reason(log_of(10, 4, 10, 0, Total="30")) is None
    log = log_of(10, 4, 10, Total="30")
    log.ends[3] = end(is_numbered=False)
    assert "24 came" in reason(log)


def test_total_that_is_the_number_of_a_pages_records_is_none():
    log = PageLog()
    for number, count in enumerate((10, 10, 9, 0), start=1):
        rows = things(10 * number, 10 * number + count)
        body = {"total": count, "rows": rows}
        log.note(answered(body, PageRequest(URL, number=number), path=["rows"]), [])
    assert log.reached_total() is None


def test_of_totals_that_shrink_the_least_counts():
    log = log_of(10, 10, Total="21")
    log.note(answered([], PageRequest(URL, number=3), Total="20"), [])
    log.ends[3] = end("page 3 is empty")
    assert reason(log) is None


def test_number_of_pages_is_compared_with_what_came():
    log = log_of(10, envelope={"total_pages": 3})
    log.ends[1] = end()
    assert reason(log) == "the pages say that there are 3, 1 came; next is null"


def test_end_before_the_last_complete_crawls_is_requested_again():
    found = doubt(log_of(10, 0), 3)
    assert (found.once, found.fails) == (False, False)
    assert doubt(log_of(10, 0), 3, told="all came") is None


def test_empty_page_is_requested_again_without_evidence_that_all_came():
    found = doubt(log_of(10, 0), None)
    assert (found.reason, found.once, found.fails) == ("page 2 is empty", True, False)
    assert doubt(log_of(10, 0), None, told="all came") is None
    log = log_of(10, 0)
    log.ends[2] = end("page 2 is empty", Evidence.FLAG)
    assert doubt(log, None) is None


@pytest.mark.parametrize(
    ("counts", "words", "is_end"),
    [
        ((10, 10), "HTTP status 404, Invalid page.", False),
        ((10, 10), "HTTP status 400, the page number requested is larger than ...", False),
        ((10, 10), "HTTP status 422, offset must be less than 20", False),
        ((10, 5), "HTTP status 404, Not found", True),
        ((10, 10), "HTTP status 404, coin not found", False),
        ((10, 10), "HTTP status 400", False),
    ],
)
def test_error_is_the_end_if_it_says_so_or_follows_a_short_page(counts, words, is_end):
    log = log_of(*counts)
    log.ends[3] = end(f"page 3 answers {words}", Evidence.NO_SUCH_PAGE)
    assert (reason(log) is None) is is_end


def test_empty_first_page_is_not_the_end_unless_it_says_so():
    found = doubt(log_of(0), None)
    assert (found.reason, found.once, found.fails) == ("the first page has no records", True, True)
    assert reason(log_of(0, envelope={"count": 0})) is None
    assert not doubt(log_of(0), None, may_be_empty=True).fails


def test_pages_that_are_not_wanted_are_not_missed():
    log = log_of(10, 10, Total="50")
    log.ends[2] = end("the last page that was wanted", Evidence.WANTED)
    assert reason(log) is None


def test_ambiguous_key_is_noticed_within_and_across_pages():
    log = log_of(10, 10)
    page = answered([{"id": 3, "exchange": "x"}], PageRequest(URL, number=3))
    assert not log.has_two_of_a_key(page.records, [3])
    log.note(page, [3])
    log.ends[4] = end("page 4 is empty")
    assert "1 of 21 records have the key of another record" in reason(log)
    twice = answered([{"id": 3, "exchange": "x"}, {"id": 3, "exchange": "y"}])
    assert log.has_two_of_a_key(twice.records, [3, 3])
    same = answered([{"id": 3}, {"id": 3}])
    assert not log.has_two_of_a_key(same.records, [3, 3])


ROW = re.compile(r"^\| (.+) \| `(coinspider\.\S+)` \| `(\w+\.py)::(\w+)` \|$", re.M)
ROWS = ROW.findall((PROJECT / "docs/completeness.md").read_text())


def test_docs_have_all_kinds_of_evidence_and_no_other():
    assert [words for words, *_ in ROWS] == [kind.value for kind in Evidence]


@pytest.mark.parametrize(("code", "file", "test"), [row[1:] for row in ROWS])
def test_evidence_is_implemented_and_tested_where_the_docs_say(code, file, test):
    assert resolve_name(code)
    assert f"def {test}(" in (PROJECT / "tests/unit" / file).read_text()
