"""A server that can't prove its identity gets no key, and its data is not stored."""

import json
import os
import select
import socket
import subprocess
import sys
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.http_server import Handler, Server, running
from tests.helpers.processes import CLEAN, DATA, PROJECT, last_line
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


@contextmanager
def proxy_to(port):
    """A proxy that leads to this port, whatever is asked for; yields what it was asked for."""

    class Leading(Handler):
        def do_CONNECT(self):
            self.server.asked.append((self.path, self.headers["Proxy-Authorization"]))
            with socket.create_connection(("127.0.0.1", port)) as there:
                self.send_response(200)
                self.end_headers()
                relay(self.connection, there)
            self.close_connection = True

    server = Server(Leading)
    server.asked = []
    with running(server):
        yield server


def relay(here, there):
    while True:
        for side, other in ((here, there), (there, here)):
            if select.select([side], [], [], 0.02)[0]:
                data = side.recv(65_536)
                if not data:
                    return
                other.sendall(data)


def test_recipe_for_a_companys_proxy(empty_project, authority):
    page = (PROJECT / "docs/how-to.md").read_text()
    recipe = page.partition("## Behind a company's proxy")[2].partition("```console\n")[2]
    with (
        https_api(authority.issue(host="api.example"), BODY) as api,
        proxy_to(api.server_port) as proxy,
    ):
        recipe = recipe.partition("```")[0].replace("proxy.example:8080", proxy.url[7:])
        done = subprocess.run(
            ["bash", "-euc", recipe.replace("/etc/ssl/company.pem", str(authority.file))],
            cwd=empty_project.directory, capture_output=True, text=True, check=False,
            env=os.environ | CLEAN | empty_project.environment | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "COINGECKO_BASE_URL": "https://api.example/api/v3", "POSTGRES_ENABLED": "0",
            },
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {*proxy.asked} == {("api.example:443", f"Basic {b64encode(b'user:password').decode()}")}


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
