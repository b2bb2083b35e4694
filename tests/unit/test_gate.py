"""The gate's checks, on requests that Twisted has parsed."""

from urllib.parse import unquote_to_bytes

import pytest
from twisted.internet import task
from twisted.internet.address import IPv4Address
from twisted.logger import formatEvent, globalLogPublisher
from twisted.web.test.requesthelper import DummyChannel

from coinspider.daemon.gate.clients import Tally, Throttle
from coinspider.daemon.gate.gate import Gate, GateOptions
from coinspider.daemon.gate.passwords import Account, Credentials, hashed, is_password
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


def test_all_addresses_of_this_machine_are_one_client():
    throttle = Throttle(Clock())
    for number in range(5):
        throttle.fail(f"127.9.0.{number}")
    assert throttle.wait("127.0.0.1") == throttle.wait("::1") > 0


def test_ipv6_addresses_of_one_network_are_one_client():
    throttle = Throttle(Clock())
    for number in range(5):
        throttle.fail(f"2001:db8::{number}")
    assert throttle.wait("2001:db8::ffff")
    assert not throttle.wait("2001:db8:0:1::1")


ME = Account("me", "s3cret")


def tried(credentials, request, password, username=b"me"):
    """The status of a log-in."""
    try:
        credentials.check(request, username, password)
    except RequestDeniedError as denial:
        return denial.status
    return 200


def client(gate, **cookies):
    request = make_request(gate)
    request.received_cookies |= {name.encode(): value.encode() for name, value in cookies.items()}
    return request


def test_while_a_client_waits_each_answer_is_the_same_and_nothing_is_compared():
    """Also after a good log-in from the same address."""
    clock, gate = Clock(), Gate(GateOptions())
    credentials = Credentials([ME], Throttle(clock))
    assert tried(credentials, client(gate), b"s3cret") == 200
    answers = set()
    for number in range(3000):
        status = tried(credentials, client(gate), b"guess%d" % number)
        answers.add(status)
        if status == 429:
            with pytest.raises(RequestDeniedError, match=r"try again in \d s") as right:
                credentials.check(client(gate), b"me", b"s3cret")
            with pytest.raises(RequestDeniedError) as wrong:
                credentials.check(client(gate), b"me", b"wrong")
            assert str(right.value) == str(wrong.value)
            assert right.value.retry_after == wrong.value.retry_after
        clock.time += 0.001
    assert answers == {401, 429}


def test_throttled_tries_make_the_next_wait_longer_but_not_endless():
    clock, gate = Clock(), Gate(GateOptions())
    throttle = Throttle(clock)
    credentials = Credentials([ME], throttle)
    for _ in range(60):
        tried(credentials, client(gate), b"wrong")
    clock.time += 0.11
    assert tried(credentials, client(gate), b"wrong") == 401
    assert throttle.wait("192.168.1.1") == pytest.approx(5)
    clock.time += 5
    assert tried(credentials, client(gate), b"s3cret") == 200


def test_client_that_has_logged_in_waits_for_nobody_elses_failures_but_for_its_own():
    clock, gate = Clock(), Gate(GateOptions())
    credentials = Credentials([ME, Account("reader", "look", may_change=False)], Throttle(clock))
    first = client(gate)
    assert tried(credentials, first, b"s3cret") == 200
    name, _, value = cookie_of(first).partition("=")
    for _ in range(5):
        tried(credentials, client(gate), b"wrong")
    assert tried(credentials, client(gate), b"s3cret") == 429
    assert tried(credentials, client(gate, **{name: value[:-1]}), b"s3cret") == 429
    assert tried(credentials, client(gate, **{name: value}), b"s3cret") == 200
    assert tried(credentials, client(gate, **{name: value}), b"look", b"reader") == 429
    for _ in range(4):
        assert tried(credentials, client(gate, **{name: value}), b"wrong") == 401
    assert tried(credentials, client(gate, **{name: value}), b"s3cret") == 429


def test_throttled_tries_are_logged_once_a_minute_with_their_number():
    time, lines = task.Clock(), []
    tally = Tally(time, "{number} refused: {most}")
    observer = lambda event: lines.append(formatEvent(event))  # noqa: E731
    globalLogPublisher.addObserver(observer)
    try:
        for number in range(3000):
            tally.note(f"192.0.2.{number % 2}")
            time.advance(0.001)
        time.advance(58)
        time.advance(61)
        tally.note("192.0.2.9")
    finally:
        globalLogPublisher.removeObserver(observer)
    assert lines == [
        "1 refused: 192.0.2.0 (1)",
        "2999 refused: 192.0.2.1 (1500), 192.0.2.0 (1499)",
        "1 refused: 192.0.2.9 (1)",
    ]


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        ("10.0.0.9", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.9", ["198.51.100.7, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.9", ["198.51.100.7, 192.0.2.1:4711"], "192.0.2.1"),
        ("10.0.0.9", ["192.0.2.1, 10.0.0.8:80"], "192.0.2.1"),
        ("10.0.0.9", ["[2001:db8::1]:4711"], "2001:db8::2"),
        ("10.0.0.9", ["[2001:db8::1]"], "2001:db8::2"),
        ("10.0.0.9", ["2001:db8::1"], "2001:db8::2"),
        ("10.0.0.9", ["198.51.100.7", "192.0.2.1, 10.0.0.8"], "192.0.2.1"),
        ("::ffff:10.0.0.9", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.9", [], "10.0.0.9"),
        ("10.0.0.9", [""], "10.0.0.9"),
        ("192.0.2.2", ["192.0.2.1"], "192.0.2.2"),
    ],
)
def test_only_a_trusted_proxy_says_which_client_failed(peer, told, client):
    throttle = Throttle(Clock())
    credentials = Credentials([ME], throttle, ["10.0.0.9", "10.0.0.8"])
    for _ in range(4):
        request = make_request(Gate(GateOptions()))
        request.client = IPv4Address("TCP", peer, 1)
        for value in told:
            request.requestHeaders.addRawHeader("X-Forwarded-For", value)
        with pytest.raises(RequestDeniedError):
            credentials.check(request, b"me", b"wrong")
    names = ("192.0.2.1", "192.0.2.2", "10.0.0.9", "2001:db8::2")
    assert [name for name in names if throttle.wait(name)] == [client]


def test_session_ends_after_its_time_or_by_logging_out():
    clock = Clock()
    sessions = Sessions(clock)
    first, second = sessions.open(ME), sessions.open(ME)
    assert sessions.account(first) == ME
    assert not sessions.account("")
    assert not sessions.account("other")
    sessions.close(first)
    assert not sessions.account(first)
    clock.time += DURATION - 1
    assert sessions.account(second)
    clock.time += 1
    assert not sessions.account(second)


@pytest.mark.parametrize(
    "name", ["Host", "Origin", "Accept", "Authorization", "X-Forwarded-For", "X-Forwarded-Prefix",
             "X-Forwarded-Proto", "Referer", "Sec-Fetch-Site"],
)  # fmt: skip
def test_header_that_is_no_text_is_refused(name):
    gate = Gate(GateOptions(username="me", password="s3cret"))
    request = make_request(gate, host=None if name == "Host" else OWN)
    request.requestHeaders.addRawHeader(name.encode(), b"127.0.0.1\xff")
    assert status(gate, request) == 400


@pytest.mark.parametrize("path", ["/%00", "/logs/a%00b", "/%ff", "/coin/%c3%28"])
def test_path_that_is_no_text_is_refused(path):
    request = make_request(gate := Gate(GateOptions()), path=path)
    request.postpath = [unquote_to_bytes(part) for part in request.postpath]
    assert status(gate, request) == 400
