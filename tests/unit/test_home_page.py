"""The HTML of the start page and of the crawls in states that are hard to bring about."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from coinspider.daemon.views.overview import Headline, Remaining
from coinspider.daemon.views.view import render
from coinspider.installation import program_name
from coinspider.store.account import ApiUsage

NOW = datetime.now(UTC)
MINUTE, MONTH_END = 60.0, datetime(2026, 4, 1, tzinfo=UTC)
USAGE = ApiUsage(
    account="api.example without key", calls_this_minute=12, calls_this_month=2500, told_calls=0,
    told_period=MINUTE, learned_calls=0, learned_period=MINUTE, waiting_crawls=0, wait_reason="",
    refused_wait=0.0, credits_left=None, credits_until=MONTH_END, credits_last_until=None,
    exhausted="",
)  # fmt: skip
SCHEDULE = {
    "name": "coins", "spider": "coins", "said": "every 3 minutes", "next_part": None,
    "warning": None,
    "next_time": (NOW + timedelta(days=2.5)).isoformat(timespec="seconds"), "active": None,
    "last_job": None, "enabled": True, "paused": False, "args": {}, "file": "scrapyd.conf",
    "skipped": 0, "runs": 1,
}  # fmt: skip
CRAWL = {
    "spider": "coins", "currency": "usd", "pages": 5, "records": 1250, "seconds": 10.0,
    "job": "coins.1", "progress": None, "message": None,
}  # fmt: skip
FAILED = {"spider": "coins", "currency": None, "ended_at": NOW, "told": "a <b> of the API",
          "outcome": "failed", "healed": False, "remedy": "Wait.", "log": None}  # fmt: skip


RUNS = {
    "crawls": [], "charts": {}, "more": False, "failed_jobs": [], "actions": set(), "page": 1,
    "outcomes": (), "no_schedule": "", "arguments": {}, "plans": [], "done": None, "stamp": 1,
    "token": "t", "database": "coins on db:5432", "projects": ["coinspider"],
}  # fmt: skip


def html_of(template, **values):
    usual = {
        "section": "", "market": [], "currency": "", "running": [], "sources": [], "failures": [],
        "schedules": [], "usage": [], "unused": 0, "verdict": Headline("good", "All is well."),
        "tables": [], "choice": None, "rows": [],
    }  # fmt: skip
    html = render(template, **usual | RUNS | values)
    return re.search("<main.*</main>", html, re.DOTALL)[0]


def text_of(template, **values):
    html = html_of(template, **values)
    bars = re.sub(r'<progress max="(\d+)" value="(\d+)"[^>]*>', r"[\2/\1] ", html)
    return " ".join(re.sub("<[^>]*>", " ", bars).split())


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "No crawl at the moment."),
        ({"running": [CRAWL]}, "coins in usd 5 pages, 1,250 records in 10.0 s"),
        ({"running": [CRAWL | {"progress": Remaining(20, 30.0)}]},
         "[5/20] 5 of 20 pages, 1,250 records in 10.0 s about 30.0 s to go"),
        ({"schedules": [SCHEDULE | {"active": "pending", "last_job": "coins.2"}]},
         "Running now coins is about to begin."),
        ({"running": [CRAWL], "schedules": [SCHEDULE | {"active": "running",
                                                        "last_job": "coins.1"}]},
         "in 10.0 s Age of the data"),
        ({"schedules": [SCHEDULE]}, "in 2 d every 3 minutes"),
        ({"schedules": [SCHEDULE | {"next_time": None, "paused": True}]}, "paused every"),
        ({"schedules": [SCHEDULE | {"warning": "used up on the 9th"}]}, "used up on the 9th"),
        ({"failures": [FAILED]}, "ago a &lt;b&gt; of the API Wait."),
        ({"failures": [FAILED | {"healed": True}]}, "ago , well again since"),
        ({"failures": [FAILED, FAILED | {"currency": "eur"}]}, "coins in eur failed"),
        ({"usage": [USAGE]}, "12 calls in the last minute 2,500 calls this month"),
        ({"usage": [USAGE._replace(told_calls=30)]}, "[12/30] 12 calls in the last minute; limit"),
        ({"usage": [USAGE._replace(credits_left=7500)]},
         "[2500/10000] 2,500 calls this month (25 % of 10,000), 7,500 credits left until"),
        ({"usage": [USAGE._replace(credits_left=0, exhausted="All gone.")]},
         "0 credits left until 2026-04-01: All gone. No call goes out until then"),
        ({"usage": [USAGE._replace(refused_wait=45.0, waiting_crawls=1, wait_reason="429")]},
         "1 crawl waits: 429; the API refused a call, the next one goes out in 45.0 s"),
        ({"usage": [USAGE], "unused": 4}, f"4 more, not in use: {program_name()} budget"),
    ],
)  # fmt: skip
def test_state_is_told(values, text):
    assert text in text_of("crawls.html", **values)


def test_start_page_says_in_one_line_whether_all_is_well():
    assert text_of("home.html") == "Overview State All is well. Crawls"
    late = Headline("bad", "The data is late.", "See what runs.")
    text = text_of("home.html", verdict=late, sources=[CRAWL | {"ended_at": NOW}])
    assert "The data is late. See what runs. The last complete crawl was" in text
    assert text_of("home.html", tables=["asset", "a/b"]).endswith("Tables asset a/b")
    assert 'href="table/a%2Fb"' in html_of("home.html", tables=["asset", "a/b"])


def test_failure_is_three_lines_with_its_address_behind_a_click():
    address = "https://api.example/coins?page=7"
    failed = FAILED | {"told": f"page {address}: HTTP 503"}
    bad = Headline("bad", "The last crawl failed.")
    html = html_of("home.html", verdict=bad, failures=[failed, FAILED | {"healed": True}])
    [lines] = re.findall('<div class="failure">(.*?)</div>', html, re.DOTALL)
    assert "<summary>page api.example: HTTP 503</summary>" in lines
    shown = re.sub('<p class="soft">.*?</p>', "", lines)
    assert address in lines
    assert address not in shown
    assert len(re.findall("<p>|<p |<summary>", shown)) == 3
