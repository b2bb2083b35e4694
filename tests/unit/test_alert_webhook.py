"""What is sent to ``ALERT_URL``, and what is rejected when scrapyd starts."""

import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from psycopg import OperationalError
from psycopg.errors import UndefinedTable
from scrapy.settings import Settings

from coinspider.daemon.alerts import watch
from coinspider.daemon.alerts.watch import FIELDS, Alert, Webhook, alert_service, receiver
from coinspider.errors import ConfigurationError
from tests.helpers.processes import PROJECT, wait_until
from tests.helpers.receiver import start_receiver

ALERTS = (PROJECT / "docs/alerts.md").read_text()
URL = "http://127.0.0.1:1/hook"
SETTINGS = {"ALERT_URL": URL, "ALERT_FAILURES": "1", "ALERT_PERIODS": "3", "ALERT_INTERVAL": "15"}


def test_nothing_is_sent_without_an_address():
    assert alert_service(Settings({})) is None


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"ALERT_URL": "hooks.example/t0psecret"}, "ALERT_URL is not an address as https://"),
        ({"ALERT_URL": "file:///etc/passwd"}, "ALERT_URL is not an address as https://"),
        ({"ALERT_URL": "slack://t0psecret"}, r"ALERT_URL=slack://\.\.\. is not as https://apprise"),
        ({"ALERT_URL": "none://t0psecret"}, r"ALERT_URL=none://\.\.\. is not as https://apprise"),
        ({"ALERT_FAILURES": "often"}, r"ALERT_FAILURES=often is not a number \(0 for never\)"),
        ({"ALERT_PERIODS": "-1"}, "ALERT_PERIODS=-1 is not a number"),
        ({"ALERT_INTERVAL": "0"}, "ALERT_INTERVAL=0 is not a number of seconds between two looks"),
    ],
)
def test_settings_that_can_not_work_are_named_at_the_start(given, line):
    with pytest.raises(ConfigurationError, match=line) as raised:
        alert_service(Settings(SETTINGS | given))
    assert "t0psecret" not in str(raised.value)


@pytest.fixture
def server():
    with start_receiver() as started:
        yield started


def test_webhook_gets_all_fields_and_the_token_in_a_header(server):
    given = Settings(SETTINGS | {"ALERT_URL": server.url, "ALERT_TOKEN": "t0p"})
    assert receiver(given).send(dict.fromkeys(FIELDS, "x")) is None
    [(authorization, sent)] = server.alerts
    assert sent.keys() == set(FIELDS)
    assert authorization == "Bearer t0p"


def test_error_names_the_status_of_a_refusal(server):
    server.refusals = 1
    assert Webhook(server.url).send({}) == "status 500"


def test_service_of_apprise_gets_title_and_message(server, caplog, capfd):
    address = server.url.replace("http://", "json://me:t0psecret@")
    service = receiver(Settings({"ALERT_URL": address}))
    alert = Alert("coins", "failed", "the last run failed").fields()
    assert (service.host, service.send(alert)) == ("json", None)
    [(_, sent)] = server.alerts
    assert (sent["title"], sent["message"]) == ("coins: crawls fail", "the last run failed")
    server.refusals = 1
    assert service.send(alert) == "status 500"
    away = receiver(Settings({"ALERT_URL": "json://me:t0psecret@127.0.0.1:1"}))
    assert away.send(alert) == "no connection"
    assert "t0psecret" not in f"{caplog.text}{capfd.readouterr()}"


def test_apprise_is_named_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigurationError, match="needs the package apprise"):
        receiver(Settings({"ALERT_URL": "ntfy://coins"}))


@pytest.mark.parametrize(("status", "problem"), [("200 OK", None), ("404 Gone", "status 404")])
def test_answer_whose_body_never_ends_is_one(status, problem):
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/hook"
        sent = pool.submit(Webhook(url).send, {"title": "coins"})
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(f"HTTP/1.1 {status}\r\n\r\nand so on".encode())
            assert sent.result() == problem


def test_receiver_whose_answer_trickles_holds_no_alert(monkeypatch):
    monkeypatch.setattr(watch, "DEADLINE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/hook"
        where = receiver(Settings(SETTINGS | {"ALERT_URL": url}))
        assert where.send({"title": "coins"}) == "no answer within 0.2 seconds"
        assert where.send({"title": "coins"}) == "the answer to the alert before has not ended"
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            wait_until(where._sending.done)
    with start_receiver() as well:
        monkeypatch.setattr(watch, "DEADLINE", 60)
        where.to = Webhook(well.url)
        assert where.send(dict.fromkeys(FIELDS, "x")) is None


def test_error_for_a_silent_address_does_not_show_its_secret():
    problem = Webhook("http://me:hush@127.0.0.1:1/t0psecret?key=t0p").send({})
    assert problem == "no connection"


@pytest.mark.parametrize(("error", "looks"), [(UndefinedTable, 0), (OperationalError, 3)])
def test_database_without_tables_yet_is_not_away(monkeypatch, error, looks):
    node = SimpleNamespace(failed_jobs=SimpleNamespace(without_row=Mock(side_effect=error)))
    monkeypatch.setattr(watch, "this_node", lambda: node)
    service = alert_service(Settings(SETTINGS))(None)
    for _ in range(3):
        service._look([])
    assert service.looks_without_database == looks


EXAMPLES = re.findall(r"^ALERT_URL=(\w+://\S+)", ALERTS, re.MULTILINE)


@pytest.mark.parametrize("url", EXAMPLES)
def test_address_in_the_docs_is_one(url):
    """Those of Telegram and Slack have words in place of tokens, which have a form of their own."""
    filled = url.replace("BOT_TOKEN", f"123456789:{'A' * 35}").replace("CHAT_ID", "12345")
    filled = filled.replace("TOKEN_A/TOKEN_B/TOKEN_C", f"T{'1' * 8}/B{'1' * 8}/{'a' * 24}")
    assert receiver(Settings({"ALERT_URL": filled}))


def test_docs_have_examples():
    assert len(EXAMPLES) >= 4
