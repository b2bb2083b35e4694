"""A server for ALERT_URL, and an API that can be up or down."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.helpers.http_server import Handler, Server, running

COIN = b'[{"id": "a", "symbol": "a", "name": "A"}]'


class Receiver(Server):
    """``alerts`` has what came by POST: the header Authorization, and the JSON.

    The next ``refusals`` of them get a status of 500. GET requests go to an API of one coin,
    which answers with ``api_status``.
    """

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.api_status, self.refusals = 200, 0
        self.alerts: list[tuple[str | None, Any]] = []


class _Handler(Handler):
    server: Receiver

    def do_GET(self) -> None:
        self.send(self.server.api_status, COIN)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refusals:
            self.server.refusals -= 1
            self.send(500, b"")
        else:
            self.server.alerts.append((self.headers["Authorization"], body))
            self.send(200, b"")


@contextmanager
def start_receiver() -> Iterator[Receiver]:
    with running(Receiver()) as server:
        yield server
