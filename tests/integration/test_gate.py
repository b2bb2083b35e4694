"""Attacks on a real scrapyd, and programs that go on working with it."""

import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from tempfile import TemporaryDirectory

import pytest
import requests

from coinspider.daemon.gate.passwords import hashed
from tests.helpers.eggs import egg
from tests.helpers.processes import PROJECT, project_files
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

ME = ("me", "s3cret")
UPLOADS = CONFIGURATION.replace("egg_upload        = no", "egg_upload = yes")
# Writes what an egg sees, when asked for its spiders, to where the test reads it.
SPY = """
import json, os, pathlib
SPIDER_MODULES = ["spy.spiders"]
pathlib.Path(os.environ["HOME"], "seen.json").write_text(json.dumps(dict(os.environ)))
"""


def start(stack, configuration, **environment):
    directory = stack.enter_context(TemporaryDirectory(prefix="coinspider-"))
    daemon = Scrapyd(directory, configuration, **environment)
    stack.callback(daemon.start().end)
    return daemon


@pytest.fixture(scope="module")
def open_daemon(server_url):
    """A scrapyd without a password."""
    with ExitStack() as stack:
        yield start(stack, CONFIGURATION, DATABASE_URL=server_url)


@pytest.fixture(scope="module")
def daemon(server_url):
    """A scrapyd with a hashed password that accepts eggs."""
    with ExitStack() as stack:
        daemon = start(
            stack, UPLOADS, DATABASE_URL=server_url, SCRAPYD_USERNAME="me",
            SCRAPYD_PASSWORD=hashed("s3cret"), COINGECKO_API_KEY="api-s3cret",
        )  # fmt: skip
        daemon.environment["HOME"] = str(daemon.directory)
        daemon.stop()
        yield daemon.start()


PATHS = [
    "", "jobs", "logs/", "schedules.json", "daemonstatus.json", "addversion.json", "coins",
    "coins.json", "metrics", "nowhere", "logs/none",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_each_answer_has_headers_against_reading_framing_and_guessing(open_daemon, path):
    answer = requests.get(f"{open_daemon.url}/{path}", timeout=120)
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", PATHS)
def test_no_resource_answers_to_a_foreign_name_or_page(open_daemon, path):
    url = f"{open_daemon.url}/{path}"
    rebound = requests.get(url, headers={"Host": f"evil.example:{open_daemon.port}"}, timeout=120)
    assert rebound.status_code == 400
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = requests.request(method, url, headers={"Origin": "http://evil.example"},
                                  timeout=120)  # fmt: skip
        assert answer.status_code == 403


def test_egg_is_not_taken_unless_that_is_turned_on(open_daemon):
    for name in ("addversion.json", "delversion.json", "delproject.json"):
        answer = requests.post(f"{open_daemon.url}/{name}", data={"project": "a", "version": "1"},
                               files=egg(), timeout=120)  # fmt: skip
        assert (answer.status_code, answer.json()["status"]) == (403, "error")
        assert "egg_upload in scrapyd.conf" in answer.json()["message"]
    projects = requests.get(f"{open_daemon.url}/listprojects.json", timeout=120).json()["projects"]
    assert "a" not in projects


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_large_body_is_refused_before_it_has_arrived(daemon, chunked):
    head = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 400000000"
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=120) as client:
        client.sendall(b"POST /addversion.json HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % head)
        if chunked:
            client.sendall((b"%x\r\n" % 300_000) + b"x" * 300_000 + b"\r\n")
        answer = b""
        while chunk := client.recv(65_536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"nosniff" in answer


def test_uploaded_code_sees_no_secret_until_it_is_scheduled(daemon):
    seen = daemon.directory / "seen.json"
    files = egg(spy__settings_py=SPY)
    answer = requests.post(f"{daemon.url}/addversion.json", auth=ME, files=files, timeout=120,
                           data={"project": "spy", "version": "1"})  # fmt: skip
    spiders = requests.get(
        f"{daemon.url}/listspiders.json?project=spy", auth=ME, timeout=120
    ).json()
    assert (answer.json()["status"], spiders["spiders"]) == ("ok", [""])
    environment = json.loads(seen.read_text())
    assert "s3cret" not in seen.read_text()
    assert not {"COINGECKO_API_KEY", "DATABASE_URL", "SCRAPYD_PASSWORD"} & environment.keys()
    assert environment["SCRAPY_PROJECT"] == "spy"
    answer = requests.post(f"{daemon.url}/delproject.json", auth=ME, data={"project": "spy"},
                           timeout=120)  # fmt: skip
    assert answer.json()["status"] == "ok"


def test_session_is_opened_and_closed_by_the_form(daemon):
    browser = requests.Session()
    browser.headers.update({"Accept": "text/html", "Sec-Fetch-Site": "same-origin"})

    def post(path, **data):
        return browser.post(f"{daemon.url}/{path}", data=data, timeout=120, allow_redirects=False)

    page = browser.get(f"{daemon.url}/coins?search=a%22b", timeout=120)
    assert page.status_code == 401
    assert "WWW-Authenticate" not in page.headers
    assert 'value="/coins?search=a%22b"' in page.text
    token = page.text.partition('name="token" value="')[2].partition('"')[0]
    assert post("login", username="me", password="s3cret").status_code == 403
    wrong = post("login", username="me", password="wrong", token=token)
    assert wrong.status_code == 401
    assert "wrong name or password" in wrong.text
    evil = post("login", username="me", password="s3cret", token=token, next="//evil.example/")
    assert (evil.status_code, evil.headers["Location"]) == (303, "/")
    assert browser.get(f"{daemon.url}/jobs", timeout=120).status_code == 200
    assert post("logout").status_code == 403
    assert "not found" not in post("cancel.json", project="coinspider", job="x").text
    page = browser.get(f"{daemon.url}/jobs", timeout=120)
    [cookie] = browser.cookies
    assert cookie.has_nonstandard_attr("HttpOnly")
    browser.cookies.clear()
    assert browser.get(f"{daemon.url}/jobs", timeout=120).status_code == 401


def test_failed_log_ins_are_slowed_down_and_logged(daemon):
    started = time.monotonic()
    for number in range(7):
        answer = requests.get(f"{daemon.url}/jobs", auth=("me\n", f"wrong{number}"), timeout=120)
        assert answer.status_code == 401
    # The right password has to wait, too.
    assert requests.get(f"{daemon.url}/jobs", auth=ME, timeout=120).status_code == 200
    assert time.monotonic() - started > 0.1 + 0.2 + 0.3
    assert "Log-in as me\\n from 127.0.0.1 failed" in daemon.log.read_text()
    assert "wrong0" not in daemon.log.read_text()


def test_clients_of_scrapyd_work_as_documented(daemon):
    from scrapyd_client import ScrapydClient

    client = ScrapydClient(daemon.url, *ME)
    assert "coinspider" in client.projects()
    assert "coins" in client.spiders("coinspider")
    # As scrapydweb does it: one session for the pages and the calls.
    session = requests.Session()
    session.auth = ME
    assert session.get(f"{daemon.url}/jobs", timeout=120).status_code == 200
    answer = session.post(f"{daemon.url}/cancel.json", timeout=120,
                          data={"project": "coinspider", "job": "none"})  # fmt: skip
    assert answer.json()["status"] == "ok"


@pytest.mark.needs("curl")
def test_curl_works_as_documented(daemon):
    data = ["-d", "project=coinspider", "-d", "job=none"]
    done = subprocess.run(
        ["curl", "-sS", "-u", ":".join(ME), f"{daemon.url}/cancel.json", *data],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(done.stdout)["prevstate"] is None


def test_allowed_origin_may_read_and_send(scrapyd, server_url):
    origin = "https://named.example"
    daemon = scrapyd(
        CONFIGURATION.replace("cors_origins      =", f"cors_origins = {origin}"),
        SCRAPYD_USERNAME="me", SCRAPYD_PASSWORD="s3cret", DATABASE_URL=server_url,
    )  # fmt: skip
    url = f"{daemon.url}/daemonstatus.json"
    for method, auth, status in (("OPTIONS", None, 204), ("GET", ME, 200), ("GET", None, 401)):
        answer = requests.request(method, url, headers={"Origin": origin}, auth=auth, timeout=120)
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("password", [{}, {"SCRAPYD_USERNAME": "me"}], ids=["none", "name only"])
def test_accepting_eggs_without_a_password_stops_the_start(tmp_path, password):
    daemon = Scrapyd(tmp_path, UPLOADS, **password)
    done = subprocess.run(
        [sys.executable, "-m", "scrapyd"], cwd=tmp_path, env=daemon.environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "SCRAPYD_PASSWORD" in done.stderr.strip().splitlines()[-1]


def test_egg_of_the_project_is_deployed_by_make_deploy(daemon, tmp_path):
    for file in project_files():
        if file.startswith("coinspider/") or "/" not in file:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / file, tmp_path / file)
    cfg = tmp_path / "scrapy.cfg"
    cfg.write_text(cfg.read_text().replace("http://127.0.0.1:6800", daemon.url))
    done = subprocess.run(
        [sys.executable, "-m", "scrapy", "deploy"], cwd=tmp_path, capture_output=True, text=True,
        env=daemon.environment | {"SCRAPYD_PASSWORD": "s3cret"}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Deployed version")
