"""Networks that are not the usual one: IPv6 alone, a company's proxy, old TLS, very long URLs."""

import json
import socket
import ssl
from contextlib import contextmanager

import pytest

from tests.helpers.http_server import Handler, Server, running
from tests.helpers.processes import last_line
from tests.helpers.tls_api import Authority

RECORDS = [{"id": number, "name": f"thing {number}"} for number in range(1, 8)]
OUTSIDE = "http://api.example/things"


@contextmanager
def proxy(status: int):
    """A forward proxy that answers everything, tunnels too, with a status; yields its calls."""
    calls: list[str] = []

    class Refusing(Handler):
        def do_GET(self) -> None:
            calls.append(f"{self.command} {self.path}")
            self.send(status, json.dumps(RECORDS).encode())

        do_CONNECT = do_GET

    server = Server(Refusing)
    server.calls = calls
    with running(server):
        yield server


@contextmanager
def api(family: int = socket.AF_INET, link: str = ""):
    """An API with its records on two pages; the second one's link has a long token."""

    class Pages(Handler):
        def do_GET(self) -> None:
            page = {"items": RECORDS[4:], "next": None}
            if "token=" not in self.path:
                page = {"items": RECORDS[:4], "next": f"/things?token={link}"}
            self.send(200, json.dumps(page).encode())

    class AnyFamily(Server):
        address_family = family

        def __init__(self):
            host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            super(Server, self).__init__((host, 0), Pages)

    with running(AnyFamily()) as server:
        yield server


def crawl(scrapy, url, *options, **environment):
    return scrapy("crawl", "next", "-a", f"url={url}", "-a", "table=thing", *options,
                  POSTGRES_ENABLED="0", **environment)  # fmt: skip


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_address_of_ipv6_is_asked(scrapy):
    with api(socket.AF_INET6, "short") as server:
        done = crawl(scrapy, f"http://[::1]:{server.server_port}/things")
    assert done.returncode == 0, done.stderr
    assert "7 records" in last_line(done)


@pytest.mark.parametrize("length", [3000, 20_000])
def test_link_of_any_length_is_followed(scrapy, length):
    with api(link="x" * length) as server:
        done = crawl(scrapy, f"{server.url}/things")
    assert done.returncode == 0, done.stderr
    assert "7 records" in last_line(done)


def test_this_machine_is_never_asked_through_a_proxy(scrapy):
    with proxy(403) as refusing, api(link="short") as server:
        done = crawl(scrapy, f"{server.url}/things", HTTP_PROXY=refusing.url)
    assert done.returncode == 0, done.stderr
    assert refusing.calls == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_wrong_password_of_a_proxy_is_tried_once_and_named(scrapy, scheme):
    variable = f"{scheme.upper()}_PROXY"
    with proxy(407) as refusing:
        place = refusing.url.removeprefix("http://")
        url = OUTSIDE.replace("http", scheme, 1)
        done = crawl(scrapy, url, **{variable: f"http://me:s3cret-word@{place}"})
    assert done.returncode == 1
    assert len(refusing.calls) == 1
    told = f"the proxy {place}, which {variable} names, wants another user and password"
    assert told in last_line(done)
    assert "s3cret-word" not in done.stdout + done.stderr


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("proxy_url", "words"),
    [
        ("http://127.0.0.1:9", "the connection was refused (through the proxy 127.0.0.1:9"),
        ("socks5://127.0.0.1:9", "127.0.0.1:9, which {} names, is no HTTP proxy"),
    ],
)
def test_proxy_that_is_down_or_none_is_named(scrapy, scheme, proxy_url, words):
    variable = f"{scheme.upper()}_PROXY"
    url = OUTSIDE.replace("http", scheme, 1)
    done = crawl(scrapy, url, "-s", "RETRY_TIMES=0", **{variable: proxy_url})
    assert done.returncode == 1
    assert words.format(variable) in last_line(done)


def test_tunnel_that_a_proxy_refuses_is_tried_once(scrapy):
    with proxy(403) as refusing:
        done = crawl(scrapy, OUTSIDE.replace("http", "https", 1), HTTPS_PROXY=refusing.url)
    assert "refuses the connection: HTTP status 403" in last_line(done)
    assert len(refusing.calls) == 1


def test_server_with_old_tls_alone_is_told_in_words(scrapy, tmp_path):
    class OldServer(Server):
        def handle_error(self, *_: object) -> None:
            """Nothing: a client that wants a newer version hangs up."""

    server = OldServer(Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    authority = Authority(tmp_path)
    context.load_cert_chain(authority.issue())
    server.socket = context.wrap_socket(server.socket, True, do_handshake_on_connect=False)
    with running(server):
        done = crawl(scrapy, server.url.replace("http", "https", 1) + "/things")
    assert done.returncode == 1
    assert "TLS" in last_line(done)
    assert "safe" in last_line(done)


def test_plain_http_behind_https_is_told_in_words(scrapy):
    with api(link="short") as server:
        done = crawl(scrapy, server.url.replace("http", "https", 1) + "/things")
    assert "it does not speak TLS on this port" in last_line(done)
