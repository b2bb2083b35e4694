"""scrapyd behind a proxy that serves it under a path: nothing leads out of there."""

import re
from html import unescape
from http.client import HTTPConnection
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

from tests.helpers.http_server import Handler, Server, running
from tests.helpers.processes import wait_until
from tests.helpers.scrapyd_process import CONFIGURATION

PREFIX = "/coins"
SCHEDULE = f"{CONFIGURATION}\n[schedule:test]\nspider = coins\nevery = 1h\nargument.pages = 1\n"
LINK = re.compile(r'(?:href|src|action)="([^"]*)"')
LOGIN = {"SCRAPYD_USERNAME": "me", "SCRAPYD_PASSWORD": "secret words"}
HOPPING = ("transfer-encoding", "connection", "content-length")


class Proxy(Handler):
    """As ``location /coins/ { proxy_pass http://scrapyd/; }`` of nginx."""

    def do_GET(self):
        assert self.path.startswith(f"{PREFIX}/"), f"{self.path} is not under {PREFIX}"
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = dict(self.headers) | {"X-Forwarded-Prefix": PREFIX}
        connection = HTTPConnection("127.0.0.1", self.server.port)
        connection.request(self.command, self.path.removeprefix(PREFIX), body, sent)
        answer = connection.getresponse()
        body = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOPPING:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        connection.close()

    do_POST = do_GET


class Browser:
    """Asks as one does, keeps cookies of the right path, and follows nothing by itself."""

    def __init__(self, server):
        self.server, self.cookies = server, {}

    def ask(self, address, form=None, accept="text/html"):
        url = urlsplit(address)
        headers = {"Accept": accept, "Cookie": "; ".join(map("=".join, self.cookies.items()))}
        if form:
            headers |= {"Origin": self.server.url, "Sec-Fetch-Site": "same-origin"}
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = HTTPConnection(url.netloc)
        path = f"{url.path}?{url.query}" if url.query else url.path
        connection.request("POST" if form else "GET", path, form and urlencode(form), headers)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        for cookie in answer.msg.get_all("Set-Cookie", []):
            assert f"Path={PREFIX}/" in cookie
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        if location := answer.getheader("Location"):
            assert self.inside(urljoin(address, location))
        connection.close()
        return answer.status, location, text

    def inside(self, address):
        return address.startswith(f"{self.server.url}{PREFIX}/")


@pytest.fixture
def browser(scrapyd, sandbox, database_url, query):
    api = sandbox("--coins", 300)
    daemon = scrapyd(
        SCHEDULE, DATABASE_URL=database_url, COINGECKO_BASE_URL=api.url,
        SCRAPYD_PROXIES_TRUSTED="127.0.0.1", **LOGIN,
    )  # fmt: skip
    wait_until(lambda: query("SELECT 1 FROM pg_class WHERE relname = 'crawl'"))
    wait_until(lambda: query("SELECT 1 FROM crawl WHERE outcome = 'complete'"))
    server = Server(Proxy)
    server.port = daemon.port
    with running(server):
        yield Browser(server)


def log_in(browser):
    home = f"{browser.server.url}{PREFIX}/"
    status, _, page = browser.ask(home)
    assert status == 401
    [action] = re.findall(r'action="([^"]*)"', page)
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    form = {**fields, "username": LOGIN["SCRAPYD_USERNAME"], "password": LOGIN["SCRAPYD_PASSWORD"]}
    status, location, _ = browser.ask(urljoin(home, action), form)
    assert status == 303
    return urljoin(home, location)


def test_no_link_leaves_the_prefix(browser):
    known = [log_in(browser), f"{browser.server.url}{PREFIX}/logs"]
    paths = {}
    for address in known:
        status, location, page = browser.ask(address)
        assert status in (200, 301, 302), address
        found = map(unescape, LINK.findall(page)) if page.startswith("<") else ()
        for link in filter(None, (location, *found)):
            target = urljoin(address, link).partition("#")[0]
            assert browser.inside(target), f"{link} of {address}"
            # Of pages that differ only in their query a few are enough.
            path = urlsplit(target).path
            paths[path] = paths.get(path, 0) + (target not in known)
            if target not in known and paths[path] <= 3 and not path.endswith("/logout"):
                known.append(target)
    visited = {urlsplit(address).path for address in known}
    wanted = ("", "coins", "coin", "crawls", "rejected", "jobs", "logs/", "metrics", "coins.csv")
    assert visited >= {f"{PREFIX}/{name}" for name in wanted}
    assert any(path.endswith(".log") for path in visited)


def test_prefix_of_any_other_client_is_not_believed(scrapyd):
    daemon = scrapyd(**LOGIN)
    server = Server(Proxy)
    server.port = daemon.port
    with running(server):
        connection = HTTPConnection("127.0.0.1", server.server_port)
        connection.request("GET", f"{PREFIX}/", headers={"Accept": "text/html"})
        page = connection.getresponse().read().decode()
        connection.close()
    assert 'action="/login"' in page
