"""``scrapy sandbox``, a real process over HTTP, behaves as CoinGecko is known to."""

import argparse
import json
import socket
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import IncompleteRead
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from scrapy.exceptions import UsageError
from scrapy.settings import Settings

from coinspider.commands.sandbox import Command
from coinspider.sandbox.behaviour import LIMITS, STYLES, Fault, Faults
from coinspider.sandbox.plausible_coins import NOTHING
from coinspider.sandbox.served_coins import coin_id, made_up_coin
from tests import conftest
from tests.helpers.processes import PROJECT, SCRAPY, wait_until

COINS = 600
PLAIN = ("--coins", COINS)
ODD = ("--coins", COINS, "--moving-rank", "--short-page", 2, "--short-page", 3)
DEMO = ("--coins", 5, "--plan", "demo", "--key", "right")
PRO = ("--coins", 5, "--plan", "pro", "--key", "right")

# conftest.py's fixture for the whole file: starting a process takes most of a second.
start = pytest.fixture(scope="module", name="start")(conftest.sandbox.__wrapped__)


@pytest.fixture(scope="module", name="shared")
def fixture_shared(start):
    """One sandbox for each set of options, for tests that don't mind other tests' calls."""
    return cache(start)


class Answer(NamedTuple):
    status: int
    headers: Message
    body: Any

    def ids(self):
        return [coin["id"] for coin in self.body]

    def error_code(self):
        return self.body["status"]["error_code"]


def get(api, headers=None, **parameters) -> Answer:
    query = urlencode({"vs_currency": "usd"} | parameters)
    request = Request(f"{api.url}/coins/markets?{query}", headers=headers or {})  # noqa: S310
    try:
        response = urlopen(request, timeout=120)  # noqa: S310
    except HTTPError as error:
        response = error
    with response:
        body = json.loads(response.read(), parse_float=Decimal)
        return Answer(response.status, response.headers, body)


def numbers(first, last):
    return [coin_id(number) for number in range(first, last)]


@pytest.mark.parametrize(
    ("per_page", "count"),
    [
        pytest.param({}, 100, id="default"),
        pytest.param({"per_page": 1}, 1, id="least"),
        pytest.param({"per_page": 250}, 250, id="most"),
    ],
)
def test_a_page_has_as_many_coins_as_requested(shared, per_page, count):
    answer = get(shared(*PLAIN), **per_page)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.ids() == numbers(0, count)


@pytest.mark.parametrize(
    ("page", "ids"),
    [
        pytest.param(1, numbers(0, 250), id="first"),
        pytest.param(2, numbers(250, 500), id="middle"),
        pytest.param(3, numbers(500, 600), id="last, partly filled"),
        pytest.param(4, [], id="past the end"),
        pytest.param(10**9, [], id="far past the end"),
    ],
)
def test_pages_follow_on_until_one_is_empty(shared, page, ids):
    answer = get(shared(*PLAIN), per_page=250, page=page)
    assert (answer.status, answer.ids()) == (200, ids)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"per_page": 0}, id="per_page too small"),
        pytest.param({"per_page": 251}, id="per_page too large"),
        pytest.param({"per_page": -1}, id="per_page negative"),
        pytest.param({"per_page": "many"}, id="per_page no number"),
        pytest.param({"page": 0}, id="page 0"),
        pytest.param({"page": -1}, id="page negative"),
        pytest.param({"page": "9" * 5000}, id="page beyond reason"),
        pytest.param({"order": "best"}, id="unknown order"),
        pytest.param({"vs_currency": ""}, id="no currency"),
    ],
)
def test_wrong_parameters_are_refused(shared, parameters):
    answer = get(shared(*PLAIN), **parameters)
    assert 400 <= answer.status < 429
    assert answer.body["status"]["error_message"]


@pytest.mark.parametrize(
    ("order", "first"),
    [("id_asc", 0), ("id_desc", COINS - 1), ("market_cap_asc", COINS - 1), ("volume_desc", 0)],
)
def test_order_decides_which_coin_is_first(shared, order, first):
    assert get(shared(*PLAIN), order=order, per_page=1).ids() == [coin_id(first)]


@pytest.mark.parametrize(
    ("order", "key"), [("market_cap", "market_cap"), ("volume", "total_volume"), ("id", "id")]
)
@pytest.mark.parametrize("vs_currency", ["usd", "btc"])
def test_amounts_fall_and_rise_with_the_order(shared, order, key, vs_currency):
    falling, rising = (
        [
            coin[key]
            for page in (1, 2, 3)
            for coin in get(shared(*PLAIN), order=f"{order}_{way}", page=page, per_page=250,
                            vs_currency=vs_currency).body
        ]
        for way in ("desc", "asc")
    )  # fmt: skip
    assert len(set(falling)) == COINS
    # The ids rise as the amounts fall.
    assert falling == sorted(falling, reverse=True)
    assert rising == falling[::-1]


def test_the_default_order_is_the_ranking(shared):
    api = shared(*PLAIN)
    assert get(api).ids() == get(api, order="market_cap_desc").ids()


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        pytest.param("coin-0000007", [7], id="one"),
        pytest.param("coin-0000300,coin-0000007", [7, 300], id="in the order of the list"),
        pytest.param("coin-0000007,bitcoin", [7], id="an unknown one is left out"),
        pytest.param("bitcoin", [], id="only unknown ones"),
    ],
)
def test_ids_choose_coins(shared, ids, found):
    assert get(shared(*PLAIN), ids=ids).ids() == [coin_id(number) for number in found]


@pytest.mark.parametrize(
    ("options", "headers", "expected"),
    [
        pytest.param(DEMO, {}, (401, 10002), id="none on the demo host"),
        pytest.param(PRO, {}, (401, 10002), id="none on the pro host"),
        pytest.param(PRO, {"x-cg-demo-api-key": "right"}, (400, 10011), id="demo on the pro host"),
        pytest.param(DEMO, {"x-cg-pro-api-key": "right"}, (400, 10010), id="pro on the demo host"),
        pytest.param(DEMO, {"x-cg-demo-api-key": "wrong"}, (401, 10002), id="a wrong demo key"),
        pytest.param(PRO, {"x-cg-pro-api-key": "wrong"}, (401, 10002), id="a wrong pro key"),
    ],
)
def test_a_key_that_does_not_fit_is_refused(shared, options, headers, expected):
    answer = get(shared(*options), headers)
    assert (answer.status, answer.error_code()) == expected


@pytest.mark.parametrize(("options", "plan"), [(DEMO, "demo"), (PRO, "pro")], ids=["demo", "pro"])
def test_the_right_key_passes_in_the_header_and_in_the_query(shared, options, plan):
    api = shared(*options)
    assert get(api, {f"X-Cg-{plan}-Api-Key": "right"}).status == 200
    assert get(api, **{f"x_cg_{plan}_api_key": "right"}).status == 200


def test_a_refusal_says_in_how_many_seconds_the_next_window_opens(start):
    api = start("--coins", 5, "--calls", 1, "--period", 3)
    assert get(api).headers["Retry-After"] is None
    refusal = get(api)
    assert (refusal.status, refusal.error_code()) == (429, 429)
    assert refusal.body["status"]["error_message"].startswith("You've exceeded the Rate Limit.")
    assert refusal.headers["Retry-After"] in ("1", "2", "3")
    wait_until(lambda: get(api).status == 200)
    opened = api.calls()
    # A call is noted a moment after its window opened.
    assert opened[-1][0] - opened[0][0] >= 2.9


def test_a_refusal_may_give_a_date(start):
    api = start("--coins", 5, "--calls", 1, "--retry-after", "date")
    get(api)
    date = get(api).headers["Retry-After"]
    assert date.endswith(" GMT")
    assert 40 < (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds() <= 61


def test_a_refusal_may_have_no_header_and_status_200(start):
    api = start("--coins", 5, "--calls", 1, "--retry-after", "none", "--disguise")
    assert len(get(api).body) == 5
    refusal = get(api)
    assert (refusal.status, refusal.error_code()) == (200, 429)
    assert refusal.headers["Retry-After"] is None


def test_failed_calls_count_and_each_call_is_logged(start):
    api = start("--coins", 5, "--calls", 3, "--limit", "sliding-window")
    assert api.calls() == []
    expected = [200, 400, 200, 429]
    assert [get(api, page=page).status for page in (1, 0, 2, 1)] == expected
    times, statuses = zip(*api.calls(), strict=True)
    assert list(statuses) == expected
    assert list(times) == sorted(times)


@pytest.mark.parametrize(
    ("kind", "style", "headers"),
    [
        ("fixed-window", "none", {}),
        ("sliding-window", "ietf", {"RateLimit-Policy": '"default";q=2;w=100'}),
        ("token-bucket", "ratelimit", {"RateLimit-Limit": "2", "RateLimit-Remaining": "1"}),
        ("fixed-window", "x-seconds", {"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1"}),
        ("sliding-window", "x-epoch", {"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1"}),
    ],
)
def test_each_kind_of_limit_tells_what_is_left(start, kind, style, headers):
    options = ("--calls", 2, "--period", 100, "--limit", kind, "--limit-headers", style)
    api = start("--coins", 1, *options)
    answers = [get(api) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert headers == {name: answers[0].headers[name] for name in headers}
    told = [name for name in answers[0].headers if "ratelimit" in name.lower()]
    assert bool(told) == bool(headers)
    # A bucket gives back a call after half of the period.
    assert (int(answers[2].headers["Retry-After"]) <= 50) == (kind == "token-bucket")


def test_key_is_refused_like_any_call_but_costs_no_credit(start):
    api = start(*PRO, "--calls", 3, "--credits", 2)
    asked = [key_of(api, "right")["current_remaining_monthly_calls"] for _ in range(2)]
    assert asked == [2, 2]
    key = {"x-cg-pro-api-key": "right"}
    assert [get(api, key).status for _ in range(2)] == [200, 429]
    with pytest.raises(HTTPError, match="429"):
        key_of(api, "right")
    assert [status for _, status in api.calls("key-calls")] == [200, 200, 429]


@pytest.mark.parametrize("status", [401, 403])
def test_calls_without_credits_have_the_chosen_status(start, status):
    api = start("--coins", 1, "--credits", 1, "--exhausted-status", status)
    assert [get(api).status for _ in range(2)] == [200, status]


def test_a_short_page_lacks_only_its_second_half(shared):
    api = shared(*ODD)
    pages = [get(api, order="id_asc", per_page=200, page=page).ids() for page in (1, 2, 3, 4)]
    assert pages == [numbers(0, 200), numbers(200, 300), numbers(400, 500), []]


def test_bodies_are_sent_unchanged(start, tmp_path):
    bodies = {"one": "[1, 2]", "two": '{"no": "array"}'}
    for name, body in bodies.items():
        (tmp_path / name).write_text(body)
    api = start("--body", tmp_path / "one", "--body", tmp_path / "two")
    assert [get(api, page=page).body for page in (1, 2, 3)] == [[1, 2], {"no": "array"}, []]


def test_the_records_of_a_file_are_sent_digit_for_digit_and_in_order(start, tmp_path):
    records = {
        "small": '{"id":"small","market_cap":7.6620e-05}',
        "null": '{"id":"null","market_cap":null}',
        "large": '{"id":"large","market_cap": 1000000000000000000000000.10}',
    }
    (tmp_path / "coins.json").write_text(f"[{', '.join(records.values())}]")
    api = start("--data", tmp_path / "coins.json")
    assert get(api, order="market_cap_asc").ids() == ["small", "large", "null"]
    assert get(api, order="id_desc").ids() == ["small", "null", "large"]
    with urlopen(f"{api.url}/coins/markets?vs_currency=eur") as response:  # noqa: S310
        sent = response.read().decode()
    assert sent == f"[{records['large']},{records['small']},{records['null']}]"


def test_made_up_coins_are_always_the_same(shared):
    [sent] = get(shared(*PLAIN), ids=coin_id(42)).body
    assert sent == json.loads(made_up_coin(42, wanted=NOTHING), parse_float=Decimal)


def test_coins_change_with_the_ticks(start):
    api = start("--coins", 30, "--tick", 1)
    before = get(api).body
    wait_until(lambda: get(api).body != before)
    after = get(api).body
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) >= 10
    for old, new in changed:
        assert old["id"] == new["id"]
        assert old["last_updated"] < new["last_updated"]
        age = datetime.now(UTC) - datetime.fromisoformat(new["last_updated"])
        assert abs(age.total_seconds()) < 120


def test_a_moving_ranking_does_not_change_the_order_by_id(shared):
    api = shared(*ODD)
    assert len({tuple(get(api).ids()) for _ in range(4)}) > 1
    assert {tuple(get(api, order="id_asc").ids()) for _ in range(4)} == {tuple(numbers(0, 100))}


def fate(api):
    """What went wrong with a call."""
    try:
        assert len(get(api, per_page=250).body) == 250
    except IncompleteRead:
        return {Fault.TRUNCATED}
    except ConnectionError:
        return {Fault.RESET}
    except ValueError:
        return {Fault.UNAVAILABLE, Fault.HTML}
    return {Fault.NONE}


def test_faults_are_of_all_kinds_and_always_the_same(start):
    api = start("--coins", 250, "--faults", 0.8, "--seed", 7)
    faults = Faults(0.8, seed=7)
    expected = [faults.next() for _ in range(40)]
    assert set(expected) == set(Fault)
    for fault in expected:
        assert fault in fate(api)
    status = {Fault.RESET: 0, Fault.UNAVAILABLE: 503, Fault.HTML: 403}
    assert [status for _, status in api.calls()] == [status.get(f, 200) for f in expected]


def test_latency_delays_calls_and_those_that_give_up_are_logged(start):
    api = start("--coins", 5, "--latency", 0.3)
    started = time.monotonic()
    get(api)
    assert time.monotonic() - started >= 0.3
    with suppress(TimeoutError):
        urlopen(f"{api.url}/coins/markets?vs_currency=usd", timeout=0.1)  # noqa: S310
    wait_until(lambda: len(api.calls()) == 2)
    assert [status for _, status in api.calls()] == [200, 200]


@pytest.mark.needs("IPv6")
def test_address_in_ipv6_is_one_that_a_crawl_can_use(start):
    api = start("--coins", 1, "--host", "::1")
    assert api.url.startswith("http://[::1]:")
    assert get(api).status == 200


def test_only_this_machine_can_reach_it(shared):
    address = urlsplit(shared(*PLAIN).url)
    assert address.hostname == "127.0.0.1"
    with pytest.raises(OSError, match=r".*"):
        socket.create_connection(("127.0.0.2", address.port), timeout=2)


def run(*options):
    """Run a sandbox that ends by itself."""
    return subprocess.run(
        [*SCRAPY, "sandbox", *map(str, options)],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_help_names_every_option_and_explains_limits():
    done = run("--help")
    assert done.returncode == 0
    _, parser = command_and_parser()
    options = {option for action in parser._actions for option in action.option_strings}
    assert not {option for option in options if f" {option}" not in done.stdout}
    # A line may end after a hyphen.
    told = " ".join(done.stdout.split()).replace("- ", "-")
    explained = [*LIMITS, *STYLES, "RateLimit-Limit", "/key", "credits", "x-cg-pro-api-key"]
    assert not [name for name in explained if name not in told]
    # Scrapy takes a line that ends with a colon for a heading.
    assert "(Default" not in done.stdout


def test_a_wrong_option_ends_with_one_line_and_status_2():
    done = run("--port", 0, "--calls", 0)
    assert (done.returncode, done.stdout) == (2, "")
    message = "error: argument --calls: 0 is not a whole number from 1"
    assert done.stderr.splitlines()[-1].endswith(message)
    assert "Traceback" not in done.stderr


def test_a_port_in_use_ends_with_one_line_and_status_2():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--port", port)
    assert done.returncode == 2
    assert f"can't listen on 127.0.0.1:{port}: " in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def command_and_parser():
    command, parser = Command(), argparse.ArgumentParser()
    command.settings = Settings()
    command.add_options(parser)
    return command, parser


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--limit", "foo", "invalid choice: 'foo'"),
        ("--plan", "gold", "invalid choice: 'gold'"),
        ("--data", "missing.json", "missing.json can't be read: No such file or directory"),
        ("--data", "Makefile", "Makefile holds no coins: not a JSON array"),
        ("--body", "missing", "missing can't be read: No such file or directory"),
        ("--calls", "many", "many is not a whole number from 1"),
        ("--coins", "-1", "-1 is not a whole number from 0"),
        ("--port", "65536", "65536 is not a whole number from 0 to 65535"),
        ("--short-page", "0", "0 is not a whole number from 1"),
        ("--period", "0", "0 is not a number from 0.001 to 86400"),
        ("--tick", "0", "0 is not a number from 0.001 to 86400"),
        ("--latency", "-1", "-1 is not a number from 0 to 86400"),
        ("--faults", "1.1", "1.1 is not a number from 0 to 1"),
        ("--faults", "nan", "nan is not a number from 0 to 1"),
        ("--calls", "9" * 40, f"{'9' * 40} is more than 10,000,000"),
        ("--coins", "10000001", "10000001 is more than 10,000,000"),
        ("--seed", "x", "invalid int value: 'x'"),
        ("--limit-headers", "github", "invalid choice: 'github'"),
        ("--retry-after", "minutes", "invalid choice: 'minutes'"),
        ("--credits", "-1", "-1 is not a whole number from 0"),
        ("--exhausted-status", "500", "500 is not a whole number from 400 to 499"),
        ("--key", "", "only visible ASCII characters are allowed, at least one"),
        ("--key", "a key", "only visible ASCII characters are allowed, at least one"),
        ("--token", "ä", "only visible ASCII characters are allowed, at least one"),
        ("--encoding", "", "only visible ASCII characters are allowed, at least one"),
        ("--links-to", "ftp://here", "ftp://here does not start with http:// or https://"),
    ],
)
def test_error_for_a_wrong_value_says_what_is_allowed(monkeypatch, capsys, option, value, message):
    monkeypatch.chdir(PROJECT)
    _, parser = command_and_parser()
    with pytest.raises(SystemExit) as end:
        parser.parse_args([f"{option}={value}"])
    assert end.value.code == 2
    assert f"argument {option}: {message}" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--key", "x"], "--key needs --plan demo or --plan pro", id="no plan"),
        pytest.param(
            ["--call5", "3"], r"no option --call5: did you mean --calls\?", id="unknown option"
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    command, parser = command_and_parser()
    opts, args = parser.parse_known_args(options)
    with pytest.raises(UsageError, match=message):
        command.run(args, opts)


def key_of(api, key):
    request = Request(f"{api.url}/key", headers={"x-cg-pro-api-key": key})  # noqa: S310
    with urlopen(request, timeout=120) as response:  # noqa: S310
        return json.load(response)


def test_each_key_has_its_own_limit_and_credits_and_can_ask_for_them(start):
    api = start("--coins", 5, "--plan", "pro", "--key", "one", "--key", "two",
                "--calls", 5, "--credits", 3)  # fmt: skip
    one, two = ({"x-cg-pro-api-key": key} for key in ("one", "two"))
    assert [get(api, one).status for _ in range(4)] == [200, 200, 200, 429]
    assert "monthly credits" in get(api, one).body["status"]["error_message"]
    assert get(api, two).status == 200
    answer = key_of(api, "two")
    assert answer["rate_limit_request_per_minute"] == 5
    assert answer["api_key_monthly_call_credit"] == 3
    assert answer["current_remaining_monthly_calls"] == 2
    assert key_of(api, "one")["api_key_current_remaining_monthly_calls"] == 0
