"""The gate's checks, on requests that Twisted has parsed."""

import pytest
from twisted.internet.address import IPv4Address
from twisted.web.test.requesthelper import DummyChannel

from coinspider.daemon.gate.gate import Gate, GateOptions
from coinspider.daemon.gate.passwords import Credentials, Throttle, hashed, is_password
from coinspider.daemon.gate.sessions import DURATION, Sessions, form_token
from coinspider.daemon.gate.site import GateRequest
from coinspider.errors import RequestDeniedError

OWN = "127.0.0.1:6800"
BROWSER = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
PROGRAM, FOREIGN = {}, {"Origin": "https://evil.example"}


def make_request(gate, method="GET", path="/", host=OWN, local="127.0.0.1"):
    channel = DummyChannel()
    channel.site.gate = gate
    request = GateRequest(channel)
    request.host = IPv4Address("TCP", local, 6800)
    request.site = channel.site
    request.method, request.path = method.encode(), path.encode()
    request.postpath = request.path[1:].split(b"/")
    request.args = {}
    if host is not None:
        request.requestHeaders.addRawHeader("Host", host)
    return request


def request_of(gate, headers, **about):
    request = make_request(gate, **about)
    for name, value in headers.items():
        request.requestHeaders.addRawHeader(name, value)
    return request


def status(gate, request):
    """200 if the gate lets it through."""
    try:
        gate.check(request)
    except RequestDeniedError as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:6800", 200), ("127.0.0.1", 200), ("localhost:6800", 200), ("LOCALHOST.", 200),
        ("[::1]:6800", 200), ("[0:0:0:0:0:0:0:1]", 200), ("192.0.2.7:6800", 200),
        ("coins.example", 200), ("coins.example:443", 200),
        ("evil.example", 400), ("127.0.0.1.evil.example", 400), ("localhost@evil.example", 400),
        ("localhost:6800@evil.example", 400), ("evil.example#localhost", 400), ("", 400),
        ("192.0.2.8", 400), ("localhost evil", 400), ("127.1", 400), (None, 400),
    ],
)  # fmt: skip
def test_only_its_own_host_names_are_answered(host, expected):
    gate = Gate(GateOptions("192.0.2.7", hosts_allowed=("Coins.Example",)))
    assert status(gate, make_request(gate, host=host)) == expected


@pytest.mark.parametrize(("host", "expected"), [("192.0.2.9", 200), ("192.0.2.8", 400)])
def test_bound_to_all_addresses_it_answers_to_the_connected_one(host, expected):
    gate = Gate(GateOptions("0.0.0.0"))  # noqa: S104
    assert status(gate, make_request(gate, host=host, local="192.0.2.9")) == expected


def test_two_host_headers_are_refused():
    gate = Gate(GateOptions())
    request = request_of(gate, {"Host": OWN})
    assert status(gate, request) == 400


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("GET", PROGRAM, 200),
        ("POST", PROGRAM, 200),
        ("DELETE", PROGRAM, 200),
        ("POST", {"Origin": "http://evil.example"}, 403),
        ("POST", {"Origin": "http://127.0.0.1:8000"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Origin": "file://"}, 403),
        ("POST", {"Origin": "http://127.0.0.1:6800.evil.example"}, 403),
        ("POST", {"Referer": "http://evil.example/page"}, 403),
        ("POST", {"Referer": "http://127.0.0.1:6800/jobs"}, 200),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", {"Sec-Fetch-Site": "same-site"}, 403),
        ("POST", {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:6800"}, 403),
        ("POST", {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"}, 403),
        ("PUT", {"Sec-Fetch-Site": "cross-site"} | BROWSER, 403),
        ("GET", {"Sec-Fetch-Site": "cross-site"} | BROWSER, 200),
        ("GET", {"Sec-Fetch-Site": "same-site"} | BROWSER, 200),
        ("GET", {"Sec-Fetch-Site": "none"} | BROWSER, 200),
        ("GET", {"Sec-Fetch-Site": "cross-site"} | BROWSER | {"Sec-Fetch-Dest": "iframe"}, 403),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ("GET", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ("GET", FOREIGN, 403),
        ("POST", {"Origin": "https://named.example", "Sec-Fetch-Site": "cross-site"}, 200),
        ("OPTIONS", {"Origin": "https://named.example"}, 200),
        ("OPTIONS", FOREIGN, 403),
        # Its own pages, without a token
        ("POST", {"Origin": "http://127.0.0.1:6800"}, 403),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
def test_request_from_another_sites_page_is_refused(method, headers, expected):
    gate = Gate(GateOptions(cors_origins=("https://named.example",)))
    assert status(gate, request_of(gate, headers, method=method)) == expected


def cookie_of(request):
    [cookie] = request.cookies
    return cookie.decode().partition(";")[0]


@pytest.mark.parametrize("origin", ["http://127.0.0.1:6800", "null"])
def test_form_with_the_token_of_its_page_is_let_through(origin):
    gate = Gate(GateOptions())
    page = make_request(gate)
    token = form_token(page)
    assert form_token(page) == token
    assert "SameSite=strict" in page.cookies[0].decode()
    assert "HttpOnly" in page.cookies[0].decode()
    name, _, value = cookie_of(page).partition("=")
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    for cookie, given, expected in (
        (value, token, 200), (value, "x" * 64, 403), (value, "é", 403), ("other", token, 403),
        ("", token, 403), (value, "", 403),
    ):  # fmt: skip
        form = request_of(gate, headers, method="POST")
        form.received_cookies[name.encode()] = cookie.encode()
        form.args = {b"token": [given.encode()], b"a": [b"b"]}
        assert status(gate, form) == expected
        assert list(form.args) == [b"a"], "the resource knows nothing of it"


def test_field_named_token_from_a_program_belongs_to_the_spider():
    gate = Gate(GateOptions())
    request = make_request(gate, "POST")
    request.args = {b"token": [b"x"]}
    assert status(gate, request) == 200
    assert request.args == {b"token": [b"x"]}


@pytest.mark.parametrize("kept", ["päss:word", hashed("päss:word")], ids=["plain", "hashed"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [("päss:word", True), ("päss:wor", False), ("päss:word ", False), ("", False)],
)
def test_password_may_be_plain_or_hashed(kept, given, expected):
    assert is_password(given.encode(), kept) is expected


def test_hash_is_not_accepted_as_a_password():
    kept = hashed("secret")
    assert not is_password(kept.encode(), kept)


class Clock:
    time = 1000.0

    def __call__(self):
        return self.time


def test_client_that_fails_waits_longer_each_time_and_others_do_not():
    clock = Clock()
    throttle = Throttle(clock)
    waits = []
    for _ in range(60):
        clock.time += throttle.wait("192.0.2.1")
        throttle.fail("192.0.2.1")
        waits.append(throttle.wait("192.0.2.1"))
    assert waits[:6] == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3])
    assert waits[-1] == pytest.approx(5)
    assert throttle.wait("192.0.2.2") == 0
    throttle.succeed("192.0.2.1")
    assert throttle.wait("192.0.2.1") == 0


def test_ipv6_addresses_of_one_network_are_one_client():
    throttle = Throttle(Clock())
    for number in range(5):
        throttle.fail(f"2001:db8::{number}")
    assert throttle.wait("2001:db8::ffff")
    assert not throttle.wait("2001:db8:0:1::1")


def test_right_password_is_not_locked_out_by_others_behind_the_same_proxy():
    clock = Clock()
    credentials = Credentials("me", "secret", Throttle(clock))
    gate = Gate(GateOptions())
    request = make_request(gate)
    credentials.check(request, b"me", b"secret")
    for _ in range(4):
        with pytest.raises(RequestDeniedError, match="wrong name or password"):
            credentials.check(request, b"me", b"wrong")
    with pytest.raises(RequestDeniedError, match="try again in 1 s") as caught:
        credentials.check(request, b"me", b"wrong")
    assert (caught.value.status, caught.value.retry_after) == (429, pytest.approx(0.1))
    credentials.check(request, b"me", b"secret")


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        ("10.0.0.9", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.9", ["198.51.100.7, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.9", ["198.51.100.7", "192.0.2.1, 10.0.0.8"], "192.0.2.1"),
        ("::ffff:10.0.0.9", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.9", [], "10.0.0.9"),
        ("10.0.0.9", [""], "10.0.0.9"),
        ("192.0.2.2", ["192.0.2.1"], "192.0.2.2"),
    ],
)
def test_only_a_trusted_proxy_says_which_client_failed(peer, told, client):
    throttle = Throttle(Clock())
    credentials = Credentials("me", "secret", throttle, ["10.0.0.9", "10.0.0.8"])
    for _ in range(4):
        request = make_request(Gate(GateOptions()))
        request.client = IPv4Address("TCP", peer, 1)
        for value in told:
            request.requestHeaders.addRawHeader("X-Forwarded-For", value)
        with pytest.raises(RequestDeniedError):
            credentials.check(request, b"me", b"wrong")
    assert [name for name in ("192.0.2.1", "192.0.2.2", "10.0.0.9") if throttle.wait(name)] == [
        client
    ]


def test_session_ends_after_its_time_or_by_logging_out():
    clock = Clock()
    sessions = Sessions(clock)
    first, second = sessions.open(), sessions.open()
    assert sessions.is_open(first)
    assert not sessions.is_open("")
    assert not sessions.is_open("other")
    sessions.close(first)
    assert not sessions.is_open(first)
    clock.time += DURATION - 1
    assert sessions.is_open(second)
    clock.time += 1
    assert not sessions.is_open(second)
