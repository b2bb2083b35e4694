"""What is sent to ``ALERT_URL``, and what is rejected when scrapyd starts."""

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from psycopg import OperationalError
from psycopg.errors import UndefinedTable
from scrapy.settings import Settings

from coinspider.daemon.alerts import watch
from coinspider.daemon.alerts.watch import FIELDS, Webhook, alert_service
from coinspider.errors import ConfigurationError
from tests.helpers.processes import PROJECT
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
        ({"ALERT_BODY": "{"}, "ALERT_BODY is not JSON"),
        ({"ALERT_BODY": '{"text": "{mesage}"}'}, r"ALERT_BODY has \{mesage\}: there are status,"),
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
def receiver():
    with start_receiver() as server:
        yield server


def send(receiver, fields, **given):
    webhook = Webhook.from_settings(Settings(SETTINGS | {"ALERT_URL": receiver.url} | given))
    assert webhook.send(fields) is None
    return receiver.alerts.pop()


def test_body_is_filled_without_breaking_the_json(receiver):
    body = {"text": "*{title}*: {message}", "n": [1, None, "{status}{crawl}"], "{title}": True}
    message = 'a "quoted" {status} \\ line\n<!channel>'
    fields = {"title": "coins", "message": message, "status": "failed"}
    _, sent = send(receiver, fields, ALERT_BODY=json.dumps(body))
    assert sent == {"text": f"*coins*: {message}", "n": [1, None, "failed"], "{title}": True}


def test_text_for_slack_can_be_escaped(receiver):
    fields = {"message": '<!channel> & "all"'}
    _, sent = send(receiver, fields, ALERT_BODY='{"text": "{message_escaped}"}')
    assert sent == {"text": '&lt;!channel&gt; &amp; "all"'}


def test_all_fields_are_sent_without_a_body_and_the_token_in_a_header(receiver):
    authorization, sent = send(receiver, dict.fromkeys(FIELDS, "x"), ALERT_TOKEN="t0p")
    assert sent.keys() == set(FIELDS)
    assert authorization == "Bearer t0p"


def test_error_names_the_status_of_a_refusal(receiver):
    receiver.refusals = 1
    assert Webhook(receiver.url).send({}) == "status 500"


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


EXAMPLES = re.findall(r"\[(\w+)\]\(\S+\):\n\n```text\n(.*?)```", ALERTS, re.DOTALL)
NEEDED = {
    # https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    "Slack": {"text"},
    # https://docs.ntfy.sh/publish/#publish-as-json
    "ntfy": {"topic", "title", "message"},
}


@pytest.mark.parametrize(("service", "lines"), EXAMPLES)
def test_example_in_the_docs_is_what_its_service_takes(receiver, service, lines):
    given = dict(line.split("=", 1) for line in lines.split("\n") if line)
    given["ALERT_URL"] = receiver.url
    fields = dict.fromkeys(FIELDS, "<x>")
    authorization, sent = send(receiver, fields, **given)
    assert sent.keys() == NEEDED[service]
    assert "{" not in str(list(sent.values()))
    assert authorization == (f"Bearer {token}" if (token := given.get("ALERT_TOKEN")) else None)


def test_there_is_an_example_for_each_service():
    assert dict(EXAMPLES).keys() == NEEDED.keys()
