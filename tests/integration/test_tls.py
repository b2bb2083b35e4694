"""A server that can't prove its identity gets no key, and its data is not stored."""

import json

import pytest

from tests.helpers.processes import DATA, last_line
from tests.helpers.tls_api import Authority, https_api

BODY = json.dumps(json.loads((DATA / "coins_markets_eur_2025-03-04.json").read_text())[:3]).encode()
UNKNOWN = "its certificate is self-signed, expired, or from an unknown authority"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


def crawl(scrapy, api, *options):
    return scrapy("crawl", "coins", *options, COINGECKO_BASE_URL=api.url, POSTGRES_ENABLED="0",
                  COINGECKO_API_KEY="key-s3cret", COINGECKO_PLAN="demo")  # fmt: skip


@pytest.mark.parametrize(
    ("certificate", "problem"),
    [
        ({"self_signed": True}, UNKNOWN),
        ({"days": -1}, UNKNOWN),
        ({"host": "other.example"}, "its certificate is for another name"),
    ],
    ids=["self-signed", "expired", "wrong name"],
)
def test_server_with_a_bad_certificate_gets_no_call(scrapy, authority, certificate, problem):
    with https_api(authority.issue(**certificate), BODY) as api:
        done = crawl(scrapy, api, "-s", f"DOWNLOAD_CA_FILE={authority.file}")
        assert api.headers == []
    assert done.returncode == 1
    assert problem in last_line(done)
    assert "Traceback" not in done.stderr
    assert "retry/count" not in done.stderr, "it would not become better"


def test_authority_is_trusted_once_it_is_named(scrapy, authority):
    with https_api(authority.issue(), BODY) as api:
        done = crawl(scrapy, api)
        assert (done.returncode, api.headers) == (1, [])
        done = crawl(scrapy, api, "-s", f"DOWNLOAD_CA_FILE={authority.file}")
        assert done.returncode == 0, done.stderr
        assert api.headers[0]["X-Cg-Demo-Api-Key"] == "key-s3cret"


@pytest.mark.parametrize(
    ("text", "problem"), [(None, "No such file"), ("no certificate", "has no certificate in PEM")]
)
def test_file_without_an_authority_stops_the_start(scrapy, tmp_path, text, problem):
    file = tmp_path / "ca.pem"
    if text:
        file.write_text(text)
    done = scrapy("crawl", "coins", "-s", f"DOWNLOAD_CA_FILE={file}")
    assert done.returncode != 0
    assert problem in last_line(done)
    assert "Traceback" not in done.stderr
