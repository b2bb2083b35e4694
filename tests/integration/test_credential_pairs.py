"""Credentials of every kind with every pagination: each page is requested with them."""

import json
import os
import subprocess
import sys
from base64 import b64encode

import pytest

from tests.helpers.documented_apis.server import APIS, COUNT, SIZE, THINGS, Answer, Request, api
from tests.helpers.documented_apis.server import serve as serve_apis
from tests.helpers.processes import CLEAN, PROJECT

QUERY_KEY = "coinspider.http.handler.TokenParameterDownloadHandler"
KINDS = {
    "Token": {"API_TOKEN": "k"},
    "Bearer": {"API_TOKEN": "k", "API_TOKEN_SCHEME": "Bearer"},
    "own header": {"API_TOKEN": "k", "API_TOKEN_HEADER": "X-Key"},
    "query": {"API_TOKEN": "k", "API_TOKEN_PARAMETER": "key"},
    "Basic": {"API_USERNAME": "me", "API_PASSWORD": "k"},
}
GIVEN = {"Token k", "Bearer k", f"Basic {b64encode(b'me:k').decode()}"}
PAGINATIONS = ("auto", "next", "link", "cursor", "page", "offset")
PAIRS = [(kind, pagination) for kind in KINDS for pagination in PAGINATIONS]


def any_way(request: Request) -> Answer:
    """A list that can be paged in every way, if the credentials are right."""
    query, headers = request.query, request.headers
    known = headers.get("Authorization") in GIVEN or "k" in (headers.get("X-Key"), query.get("key"))
    if not known:
        return Answer({"detail": "no"}, 401)
    start = (int(query.get("page", 1)) - 1) * SIZE
    start += int(query.get("offset", 0)) + int(query.get("cursor", 0))
    url, end = f"{request.url}?cursor={start + SIZE}", start + SIZE >= COUNT
    body = {"results": THINGS[start : start + SIZE], "next": None if end else url}
    body["next_cursor"] = None if end else str(start + SIZE)
    return Answer(body, headers={"Link": f'<{url}>; rel="{"self" if end else "next"}"'})


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, str], list[str]]:
    api("every way", "")(any_way)
    jobs = []
    try:
        with serve_apis() as url:
            for kind, pagination in PAIRS:
                arguments = {"url": f"{url}/any_way", "table": "t", "pagination": pagination}
                settings = {**KINDS[kind], "DOWNLOAD_HANDLERS": {"http": QUERY_KEY}}
                if kind != "query":
                    del settings["DOWNLOAD_HANDLERS"]
                jobs.append({"arguments": arguments, "settings": settings})
            done = subprocess.run(
                [sys.executable, "-m", "tests.helpers.crawl_many"], cwd=PROJECT, text=True,
                env=os.environ | CLEAN | {"POSTGRES_ENABLED": "0"}, input=json.dumps(jobs),
                capture_output=True, check=False, timeout=120,
            )  # fmt: skip
    finally:
        del APIS["any_way"]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(PAIRS, lines, strict=True))


@pytest.mark.parametrize("pair", PAIRS, ids=" with ".join)
def test_credentials_go_with_every_page(outcomes, pair):
    outcome, message = outcomes[pair]
    assert outcome == "complete", message
    assert "3 pages, 25 records" in message
