"""Each endpoint with each argument that it takes, and with values that nobody means."""

import re
from contextlib import ExitStack
from tempfile import TemporaryDirectory

import pytest
import requests

from coinspider.daemon.views.choice import FILTERS
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

VALUES = {
    "empty": "",
    "not a number": "nan",
    "infinite": "inf",
    "huge": "1e400",
    "of 5000 digits": "9" * 5000,
    "negative": "-1",
    "none": "0",
    "NUL": "a\0",
    "not UTF-8": b"\xff",
    "other digits": "\u0663",
    "markup": "'\"><b>",
    "two lines": "a\r\nX-Own: b",
    "a path": "../../x",
    "twice": ["1", "2"],
}
COINS = [
    *FILTERS, "currency", "sort", "descending", "columns", "limit", "page", "watch", "all",
]  # fmt: skip
TABLE = ["search", "where", "sort", "descending", "columns", "limit", "page", "all"]
JOB = {"project": "coinspider", "spider": "market_chart", "days": "1", "ids": "none"}
# The arguments that an endpoint gets besides, and those that are varied.
GET = {
    "": ({}, ["done"]),
    "coins": ({}, COINS),
    "coins.json": ({}, COINS),
    "coins.csv": ({}, COINS),
    "table/crawl": ({}, TABLE),
    "table/crawl.csv": ({}, TABLE),
    "coin": ({"id": "none"}, ["id", "currency", "range", "days", "candles", "log", "compare"]),
    "coin-history.csv": ({"id": "none"}, ["id", "currency", "resolution"]),
    "coin-history.json": ({"id": "none"}, ["id", "currency", "resolution"]),
    "crawls": ({}, ["schedule", "outcome", "page", "done"]),
    "rejected": ({}, ["crawl", "reason", "record", "page"]),
    "jobs": ({}, ["done"]),
    "logs/": ({}, ["raw"]),
    "metrics": ({}, ["any"]),
    "crawls.json": ({}, ["job", "limit"]),
    "schedules.json": ({}, ["any"]),
    "daemonstatus.json": ({}, ["any"]),
    "listjobs.json": ({}, ["project"]),
    "listprojects.json": ({}, ["any"]),
    "listspiders.json": ({"project": "coinspider"}, ["project", "_version"]),
    "listversions.json": ({"project": "coinspider"}, ["project"]),
    "status.json": ({"job": "none"}, ["job", "project"]),
}
POST = {
    "schedule.json": (
        JOB, [*JOB, "vs_currency", "top", "priority", "jobid", "_version", "setting", "any"],
    ),
    "cancel.json": ({"project": "coinspider", "job": "none"}, ["project", "job", "signal"]),
    "pauseschedule.json": ({}, ["schedule"]),
    "resumeschedule.json": ({}, ["schedule"]),
    "runschedule.json": ({}, ["schedule"]),
    "addversion.json": ({"project": "a", "version": "1"}, ["project", "version", "egg"]),
    "delversion.json": ({"project": "a", "version": "1"}, ["project", "version"]),
    "delproject.json": ({"project": "a"}, ["project"]),
    "crawls": ({"action": "pause", "schedule": "coins"}, ["action", "schedule", "back", "token"]),
    "jobs": ({"action": "cancel", "project": "coinspider", "job": "a"}, ["action", "job", "back"]),
}  # fmt: skip
SCHEDULE = "[schedule:coins]\nspider = coins\nevery = 30d\n"
# What an exception says that nobody has worded.
RAW = re.compile(
    r"\b[A-Za-z]+(Error|Exception)\b|Traceback|Errno|0x[0-9a-f]{6}|could not convert|literal"
)


@pytest.fixture(scope="module")
def daemon(server_url):
    configuration = CONFIGURATION.replace("poll_interval ", "max_proc = 1\npoll_interval ")
    with ExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory(prefix="coinspider-"))
        daemon = Scrapyd(directory, f"{configuration}{SCHEDULE}", DATABASE_URL=server_url,
                         COINGECKO_BASE_URL="http://127.0.0.1:9")  # fmt: skip
        stack.callback(daemon.start().end)
        yield daemon


@pytest.mark.parametrize(
    ("method", "path"), [("GET", path) for path in GET] + [("POST", path) for path in POST]
)
def test_odd_argument_is_answered_in_plain_words(daemon, method, path):
    given, names = (GET if method == "GET" else POST)[path]
    place = "params" if method == "GET" else "data"
    problems = []
    with requests.Session() as client:
        for name in names:
            for kind, value in VALUES.items():
                sent = {place: {**given, name: value}}
                answer = client.request(method, f"{daemon.url}/{path}", **sent, timeout=60,
                                        allow_redirects=False)  # fmt: skip
                if problem := problem_of(answer, path):
                    problems.append(f"{name} {kind}: {answer.status_code} {problem}")
    assert not problems, "\n".join(problems)


def problem_of(answer, path):
    if answer.status_code not in (200, 303, 400, 403, 404, 409):
        return answer.text[:300]
    if "X-Own" in answer.headers:
        return "a header of the client's"
    text = answer.text
    if path.endswith(".json") and answer.status_code != 404:
        found = answer.json()
        text = found.get("message", "") if found["status"] == "error" else ""
    raw = RAW.search(text)
    return text[max(0, raw.start() - 100) : raw.end() + 200] if raw else ""
