"""What the pages say of a crawl's row, and what they advise."""

import string

import pytest

from coinspider.crawl.reasons import KINDS, Reason, by_hand, page_reason, stored_reason
from coinspider.daemon.outcomes import remedy, told, told_figures
from coinspider.store.crawl import NO_SCHEDULE

URL = "http://database.example/disk/rejected?page=401"
MISSING = {"missing_count": 4000, "known_count": 17000, "most": "0.1"}
FIGURES = {
    "pages": 20, "records": 5000, "new": 0, "changed": 4000, "unchanged": 1000, "older": 3,
    "repeated": 0, "dropped": 0, "rejected": 1,
}  # fmt: skip


def row_of(reason: Reason | None, remarks=(), **others):
    figures = dict(reason.figures) if reason else {}
    if remarks:
        figures["remarks"] = remarks
    code = reason.code if reason else None
    return {"reason": code, "reason_figures": figures, "message": "whatever it was"} | others


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (row_of(None), ""),
        (row_of(None, ["12 coins came late"]), "12 coins came late"),
        (row_of(Reason("interrupted")), ""),
        (row_of(Reason("database_error", {"why": "gone"}), ["5 rows are lost"]),
         "gone; 5 rows are lost"),
        (row_of(Reason("coins_missing", MISSING)),
         "4,000 of the 17,000 known coins are missing: more than DELISTED_SHARE_MAX=0.1 is taken"
         " for a fault of the API, and none is marked as delisted"),
        ({"message": "the crawl is complete: 3 pages", "reason": None, "reason_figures": None},
         "the crawl is complete: 3 pages"),
        (row_of(None) | {"reason": "of_a_newer_version"}, "whatever it was"),
        ({}, ""),
    ],
    ids=["complete", "remark", "interrupted", "lost rows", "figures", "0.2", "newer", "running"],
)  # fmt: skip
def test_row_is_told_by_its_reason_and_remarks(row, text):
    assert told(row) == text


def test_figures_of_a_row_are_those_of_its_columns():
    said = "20 pages, 5,000 records, 0 new, 4,000 changed, 1,000 unchanged, 3 older"
    assert told_figures(FIGURES) == said
    assert told_figures({"pages": 0}) == ""


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        (page_reason(URL, "HTTP status 401", 401, setting="API_TOKEN"), "Check API_TOKEN in"),
        (page_reason(URL, "Throttled", 429, setting="API_RATE_LIMIT"), "lower API_RATE_LIMIT"),
        (page_reason(URL, "no page in 600 s", 0, "page_refused", "LIMIT"), "lower LIMIT"),
        (page_reason(URL, "HTTP status 503, the database is away", 503), "could not be reached"),
        (page_reason(URL, "HTTP status 404", 404), "arguments"),
        (page_reason(URL, "no answer came: Connection refused"), "API could not be reached"),
        (page_reason(URL, "slow", setting="DOWNLOAD_TIMEOUT"), "raise DOWNLOAD_TIMEOUT"),
        (page_reason(URL, "not valid", code="page_untrusted"), "DOWNLOAD_CA_FILE"),
        (page_reason(URL, "out of order", code="page_spoiled"), "next run tries again"),
    ],
)
def test_advice_is_by_the_cause_and_not_by_the_words(reason, advice):
    assert advice in remedy(row_of(reason))
    assert reason.finish == "page_failed"
    assert reason.message.startswith(f"page {URL} could not be fetched: ")


@pytest.mark.parametrize("code", KINDS)
def test_advice_for_a_crawl_by_hand_speaks_of_no_next_run(code):
    assert "next run" not in by_hand(KINDS[code].remedy).lower()


def test_crawl_by_hand_is_one_that_no_schedule_began():
    reason = Reason("no_records")
    assert "the next run tries again" in remedy(row_of(reason, schedule="coins"))
    assert "run it again" in remedy(row_of(reason, schedule=NO_SCHEDULE))


@pytest.mark.parametrize("code", KINDS)
def test_every_reason_has_a_sentence_and_a_remedy(code):
    kind = KINDS[code]
    names = {
        name for text in (kind.sentence, kind.remedy)
        for _, name, _, _ in string.Formatter().parse(text) if name
    }  # fmt: skip
    reason = Reason(code, dict.fromkeys(names, 1))
    assert stored_reason(code, reason.figures) == reason
    assert "{" not in f"{reason.message}{reason.remedy}{reason.for_people()}"
    assert reason.remedy.endswith(".")


@pytest.mark.parametrize(
    ("status", "advice"),
    [(None, "lack of memory"), (130, "next run"), (2, "argument"), (1, "Its log says more")],
)
def test_advice_for_a_job_without_a_row(status, advice):
    assert advice in remedy({"exit_status": status})


@pytest.mark.parametrize("row", [{}, row_of(None), row_of(Reason("died")) | {"reason": "x"}])
def test_row_without_a_known_reason_refers_to_its_log(row):
    assert remedy(row) == "Its log says more."


@pytest.mark.parametrize(
    "figures",
    [
        {"missing_count": "x", "known_count": None, "most": [], "remarks": 5},
        {"missing_count": {}, "known_count": 1.5, "most": {}, "remarks": [1, None]},
    ],
)
def test_row_with_odd_figures_is_shown(figures):
    row = {"reason": "coins_missing", "reason_figures": figures, "message": None}
    assert "known coins are missing" in told(row)
    assert remedy(row)
