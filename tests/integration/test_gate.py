"""Attacks on a real scrapyd, and programs that go on working with it."""

import asyncio
import json
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from contextlib import ExitStack
from importlib.resources import files
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from tempfile import TemporaryDirectory

import psycopg
import pytest
import requests

from coinspider.daemon.gate.passwords import hashed
from coinspider.items import FullCoin
from coinspider.store.migration import migrate
from tests.helpers.eggs import egg
from tests.helpers.postgres import crawl_connection, new_database
from tests.helpers.processes import PROJECT, Scrapy, project_files, wait_until
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


_PUT_EGG = "INSERT INTO fleet_egg (project, version, egg) VALUES (%s, '1', 'PK')"


def test_egg_that_can_not_be_used_gets_one_line(daemon):
    before = daemon.log.read_text()
    for sent, why in ((egg(spy__settings_py="1 / 0"), "ZeroDivisionError"), ({}, "egg")):
        answer = requests.post(f"{daemon.url}/addversion.json", auth=ME, timeout=120, files=sent,
                               data={"project": "broken", "version": "1"})  # fmt: skip
        message = answer.json()["message"]
        assert why in message
        assert "\n" not in message
    requests.post(f"{daemon.url}/delproject.json", auth=ME, data={"project": "broken"}, timeout=120)
    said = daemon.log.read_text().removeprefix(before)
    assert "Refused: the project can't be used: ZeroDivisionError" in said
    assert "Traceback" not in said


# As one that waits for a server which does not answer.
WAITS = """
import os, pathlib, time
home = pathlib.Path(os.environ["HOME"])
home.joinpath("begun").touch()
while not home.joinpath("go").exists():
    time.sleep(0.1)
SPIDER_MODULES = ["spy.spiders"]
"""


def test_egg_that_does_not_end_keeps_nobody_waiting(daemon):
    with ThreadPoolExecutor() as threads:
        sent = threads.submit(
            requests.post, f"{daemon.url}/addversion.json", auth=ME, timeout=120,
            files=egg(spy__settings_py=WAITS), data={"project": "waits", "version": "1"},
        )  # fmt: skip
        try:
            wait_until((daemon.directory / "begun").exists)
            for path in ("daemonstatus.json", "listprojects.json", "metrics", ""):
                assert requests.get(f"{daemon.url}/{path}", auth=ME, timeout=20).ok
        finally:
            (daemon.directory / "go").touch()
        assert sent.result().json()["status"] == "ok"
    requests.post(f"{daemon.url}/delproject.json", auth=ME, data={"project": "waits"}, timeout=120)


def test_egg_whose_name_is_no_file_stops_no_heartbeat(daemon):
    for project, version in (("x" * 300, "1"), ("..", "1"), ("a/b", "1"), ("", "1"), ("a\nb", "1"),
                             ("a", "1" * 300)):  # fmt: skip
        answer = requests.post(f"{daemon.url}/addversion.json", auth=ME, files=egg(), timeout=120,
                               data={"project": project, "version": version})  # fmt: skip
        assert answer.json()["message"].startswith("a project is of 80 letters, digits and")
    with psycopg.connect(daemon.environment["DATABASE_URL"], autocommit=True) as connection:
        try:
            # As a role writes them that may; a heartbeat brings each node its eggs.
            for project in ("x" * 300, "../../../x", "good"):
                connection.execute(_PUT_EGG, [project])
            wait_until((daemon.directory / ".scrapy/scrapyd/eggs/good/1.egg").exists)
        finally:
            connection.execute("DELETE FROM fleet_egg")


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
    assert len(browser.cookies) == 2
    assert all(cookie.has_nonstandard_attr("HttpOnly") for cookie in browser.cookies)
    browser.cookies.clear()
    assert browser.get(f"{daemon.url}/jobs", timeout=120).status_code == 401


def test_password_that_is_guessed_while_a_client_waits_is_not_found(scrapyd, server_url):
    daemon = scrapyd(SCRAPYD_USERNAME="me", SCRAPYD_PASSWORD="s3cret", DATABASE_URL=server_url)
    url = f"{daemon.url}/jobs"
    owner = requests.Session()
    assert owner.get(url, auth=ME, timeout=120).status_code == 200
    guesser, answers = requests.Session(), Counter()
    for number in range(500):
        password = "s3cret" if number % 50 == 49 else f"wrong{number}"
        answer = guesser.post(f"{daemon.url}/login", timeout=120, allow_redirects=False,
                              data={"username": "me\n", "password": password})  # fmt: skip
        answers[answer.status_code, answer.headers.get("Retry-After")] += 1
    assert set(answers) <= {(401, None), *((429, str(seconds)) for seconds in range(1, 6))}
    assert answers[401, None] < 20
    for path in ("jobs", "daemonstatus.json"):
        for auth in (ME, ("me", "wrong")):
            answer = requests.get(f"{daemon.url}/{path}", auth=auth, timeout=120)
            assert (answer.status_code, bool(answer.headers["Retry-After"])) == (429, True)
    assert owner.get(url, auth=ME, timeout=120).status_code == 200
    log = daemon.log.read_text()
    assert "Log-in as me\\n from 127.0.0.1 failed" in log
    assert "1 log-ins were refused unread" in log
    assert "wrong0" not in log


READER = ("reader", "only-looks")


@pytest.fixture(scope="module")
def read_only(server_url):
    database_url = new_database(server_url)
    asyncio.run(make_coins(database_url))
    with ExitStack() as stack:
        yield start(
            stack, UPLOADS, DATABASE_URL=database_url, SCRAPYD_USERNAME="me",
            SCRAPYD_PASSWORD="s3cret", SCRAPYD_READER_USERNAME=READER[0],
            SCRAPYD_READER_PASSWORD=READER[1],
        )  # fmt: skip


ADD_COIN = """
INSERT INTO full_coin (coin_id, vs_currency, symbol, name, extra)
VALUES (%s, 'usd', 's', upper(%s), '{}')
"""


async def make_coins(url):
    async with await crawl_connection(url) as connection:
        await migrate(connection, FullCoin)
        for name in ("aa", "bb", "cc"):
            await connection.execute(ADD_COIN, [name, name])


def logged_in(daemon, username, password):
    browser = requests.Session()
    browser.headers.update({"Accept": "text/html"})
    data = {"username": username, "password": password}
    browser.post(f"{daemon.url}/login", data=data, timeout=120)
    browser.headers.update({"Sec-Fetch-Site": "same-origin"})
    return browser


def watched(daemon, browser):
    page = browser.get(f"{daemon.url}/coins?watched=1", timeout=120).text
    assert "<h1>Watch list</h1>" in page
    return re.findall(r'aria-label="No longer watch (\w+)"', page)


def test_watch_list_of_an_account_is_in_the_database(read_only):
    here, elsewhere = (logged_in(read_only, *ME) for _ in range(2))
    token = re.search(r'name="token" value="(\w+)"', here.get(f"{read_only.url}/coins").text)[1]

    def post(path, **data):
        return here.post(f"{read_only.url}/{path}", data=data, timeout=120, allow_redirects=False)

    assert post("coins", star="aa").status_code == 403
    here.get(f"{read_only.url}/coins?star=cc", timeout=120)
    assert watched(read_only, here) == []
    added = post("coins?sort=name&watch=bb", star="aa", token=token)
    assert (added.status_code, added.headers["Location"]) == (303, "coins?sort=name")
    assert post("coins", star="nobody", token=token).status_code == 303
    assert watched(read_only, here) == watched(read_only, elsewhere) == ["AA", "BB"]
    assert (
        'value="aa" aria-label="No longer watch'
        in elsewhere.get(f"{read_only.url}/coin?id=aa", timeout=120).text
    )
    assert post("coin?id=bb", unstar="bb", token=token).headers["Location"] == "coin?id=bb"
    assert watched(read_only, elsewhere) == ["AA"]
    assert post("rejected", star="bb", token=token).status_code == 405

    scrapy = Scrapy({"DATABASE_URL": read_only.environment["DATABASE_URL"]})
    assert "\nAA," in scrapy("coins", "--watched", "--columns", "name,symbol").stdout
    assert len(scrapy("coins", "--watched", "me", "--limit", "9").stdout.splitlines()) == 2
    assert "no coin is watched" in scrapy("coins", "--watched", "nobody").stderr


def test_watch_list_of_a_reader_is_in_the_browser(read_only):
    browser = logged_in(read_only, *READER)
    browser.get(f"{read_only.url}/coins?star=cc", timeout=120)
    assert watched(read_only, browser) == ["CC"]
    assert watched(read_only, logged_in(read_only, *READER)) == []
    with psycopg.connect(read_only.environment["DATABASE_URL"]) as connection:
        found = connection.execute("SELECT DISTINCT username FROM watched_coin").fetchall()
        assert READER[0] not in str(found)


def routes():
    """Each route of this scrapyd and of scrapyd itself, from where they are defined."""
    config = ConfigParser()
    config.read_string(files("scrapyd").joinpath("default_scrapyd.conf").read_text())
    config.read_string(CONFIGURATION)
    return ["", "jobs", "logs/", "favicon.svg", "nowhere", *config["services"]]


@pytest.mark.parametrize("path", routes())
def test_reader_sees_everything_and_changes_nothing(read_only, path):
    url = f"{read_only.url}/{path}"
    everyone = [requests.request("GET", url, auth=auth, timeout=120) for auth in (ME, READER)]
    assert everyone[0].status_code == everyone[1].status_code
    data = {"project": "coinspider", "spider": "coins", "job": "a", "version": "1"}
    for method in ("POST", "PUT", "DELETE", "PATCH", "ANY"):
        answer = requests.request(method, url, auth=READER, data=data, timeout=120)
        assert answer.status_code == 403
        assert "change nothing" in answer.text


def test_reader_logs_in_and_out_by_the_form(read_only):
    data = {"username": READER[0], "password": READER[1]}
    with requests.Session() as browser:
        browser.post(f"{read_only.url}/login", data=data, timeout=120)
        page = browser.get(f"{read_only.url}/jobs", timeout=120)
        assert page.status_code == 200
        token = page.text.partition('name="token" value="')[2].partition('"')[0]
        data = {"token": token, "project": "coinspider", "job": "a"}
        assert browser.post(f"{read_only.url}/cancel.json", data=data, timeout=9).status_code == 403
        out = browser.post(f"{read_only.url}/logout", data=data, timeout=9, allow_redirects=False)
        assert out.status_code == 303
        assert browser.get(f"{read_only.url}/jobs", timeout=9).status_code == 401


def send(port, data, seconds=20):
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65_536), b""))


@pytest.mark.parametrize(
    "lines",
    [
        b"GET / HTTP/1.0\r\nHost: localhost\xff",
        b"POST / HTTP/1.0\r\nHost: localhost\r\nOrigin: http://\xff\r\nContent-Length: 0",
        b"GET / HTTP/1.0\r\nHost: localhost\r\nAccept: text/html\xff",
        b"GET / HTTP/1.0\r\nHost: localhost\r\nAuthorization: Basic \xff",
        b"GET / HTTP/1.0\r\nHost: localhost\r\nX-Forwarded-For: \xff",
        b"GET / HTTP/1.0\r\nHost: localhost\r\nX-Forwarded-Prefix: /\xff",
        b"GET /%00 HTTP/1.0\r\nHost: localhost",
        b"GET /logs/%00/a HTTP/1.0\r\nHost: localhost",
        b"GET /coin/%ff HTTP/1.0\r\nHost: localhost",
    ],
)
def test_bytes_that_are_no_text_get_one_line(open_daemon, lines):
    before = open_daemon.log.read_text()
    answer = send(open_daemon.port, lines + b"\r\n\r\n")
    assert answer.partition(b" ")[2].startswith(b"400 ")
    [line] = open_daemon.log.read_text().removeprefix(before).splitlines()
    assert '" 400 ' in line


HALF = b"POST /coins HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n"


@pytest.fixture
def few_files():
    """Processes that a test starts may open 128 files."""
    allowed, most = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (128, most))
    yield lambda: setrlimit(RLIMIT_NOFILE, (allowed, most))
    setrlimit(RLIMIT_NOFILE, (allowed, most))


def test_clients_that_trickle_keep_no_place(few_files, scrapyd, database_url, sandbox):
    url = sandbox("--coins", 10).url
    daemon = scrapyd(DATABASE_URL=database_url, COINGECKO_BASE_URL=url)
    few_files()
    with ExitStack() as stack:
        for number in range(300):
            client = socket.create_connection(("127.0.0.1", daemon.port), timeout=120)
            stack.enter_context(client).sendall(HALF + (b"\r\n" if number % 2 else b""))
        assert daemon.finish(pages="1")["outcome"] == "complete"
    assert "were closed to let others in" in daemon.log.read_text()
    assert "Too many open files" not in daemon.log.read_text()


def test_clients_that_read_nothing_keep_no_place(few_files, scrapyd, server_url):
    daemon = scrapyd(DATABASE_URL=server_url)
    few_files()
    (daemon.directory / ".scrapy/scrapyd/logs/large.log").write_bytes(b"x" * LARGE)
    with ExitStack() as stack:
        for _ in range(60):
            client = socket.create_connection(("127.0.0.1", daemon.port), timeout=120)
            stack.enter_context(client).sendall(GET % b"logs/large.log")
            client.recv(1)  # so that its answer has begun
        for _ in range(5):
            assert daemon.get("daemonstatus.json")["status"] == "ok"
    assert "were closed to let others in" in daemon.log.read_text()


LARGE = 40_000_000  # bytes, of which the system takes a part without a reader
GET = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
IMPATIENT = """
import sys
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.static import Data, File
from coinspider.daemon.gate import site
from coinspider.daemon.gate.gate import Gate, GateOptions

site.HEAD_TIME = site.BODY_TIME = site.READ_TIME = site.GateChannel.abortTimeout = 1.0
root = Resource()
root.putChild(b"data", Data(bytes(40_000_000), "text/plain"))
root.putChild(b"file", File(sys.argv[1]))
made = site.GateSite(root, Gate(GateOptions()), None)
print(reactor.listenTCP(0, made, interface="127.0.0.1").getHost().port, flush=True)
reactor.run()
"""


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """The port of a gate that waits for a second."""
    file = tmp_path_factory.mktemp("large") / "file"
    file.write_bytes(bytes(LARGE))
    command = [sys.executable, "-c", IMPATIENT, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("start", "more"),
    [(b"", b""), (HALF, b"X: y\r\n"), (HALF + b"\r\n", b"x"),
     (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"")],
    ids=["silent", "headers", "body", "idle"],
)  # fmt: skip
def test_request_that_trickles_ends_at_its_deadline(impatient, start, more):
    with socket.create_connection(("127.0.0.1", impatient), timeout=0.1) as client:
        began = time.monotonic()
        client.sendall(start)
        while not is_closed(client, more):
            assert time.monotonic() - began < 60
        assert time.monotonic() - began > 0.9


@pytest.mark.parametrize("path", [b"data", b"file"])
def test_answer_that_nobody_reads_ends_at_its_deadline(impatient, path):
    with socket.create_connection(("127.0.0.1", impatient), timeout=60) as client:
        began = time.monotonic()
        client.sendall(GET % path)
        hung_up = select.poll()
        hung_up.register(client, 0)
        assert hung_up.poll(60_000)
        assert time.monotonic() - began > 0.9


@pytest.mark.parametrize("path", [b"data", b"file"])
def test_answer_that_is_read_slowly_comes_whole(impatient, path):
    with socket.create_connection(("127.0.0.1", impatient), timeout=60) as client:
        began, read = time.monotonic(), 0
        client.sendall(GET % path)
        while read < LARGE:
            chunk = client.recv(1_000_000)
            assert chunk, f"it ended after {read} bytes and {time.monotonic() - began:.1f} s"
            read += len(chunk)
            time.sleep(len(chunk) / 8_000_000)
        assert time.monotonic() - began > 4


def is_closed(client, more):
    try:
        client.sendall(more)
        return not client.recv(65_536)
    except TimeoutError:
        return False
    except OSError:
        return True


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
    for path in PATHS:
        answer = requests.options(f"{daemon.url}/{path}", headers={"Origin": origin}, timeout=120)
        assert (answer.status_code, answer.content) == (204, b"")


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


@pytest.mark.parametrize(
    ("given", "status"),
    [("bytes=1-3", 206), ("bytes=10-", 416), ("bytes=", 200), ("bytes=-99", 200),
     ("bytes=--1", 200), ("bytes=0-1,90-91", 200), ("bytes=99-,98-", 200),
     ("bytes=9-1", 200), ("lines=1-2", 200)],
)  # fmt: skip
def test_range_that_is_none_gets_the_whole_file(open_daemon, given, status):
    (open_daemon.directory / ".scrapy/scrapyd/logs/ten.log").write_text("0123456789")
    url = f"{open_daemon.url}/logs/ten.log"
    answer = requests.get(url, headers={"Range": given}, timeout=120)
    whole = {200: "0123456789", 206: "123", 416: ""}
    assert (answer.status_code, answer.text) == (status, whole[status])


@pytest.mark.parametrize("path", ["logs/%2e%2e", "logs/..%2f..", "logs/a%2fb"])
def test_path_out_of_the_logs_is_not_found(open_daemon, path):
    assert requests.get(f"{open_daemon.url}/{path}", timeout=120).status_code == 404


def test_head_of_a_form_that_only_takes_posts_is_refused(daemon):
    answer = requests.head(f"{daemon.url}/logout", auth=("me", "s3cret"), timeout=120)
    assert answer.status_code == 405
