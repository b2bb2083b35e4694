"""A network between a crawl and PostgreSQL that is slow, or that a test can cut."""

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

SOCKET = ".s.PGSQL.5432"


class PostgresProxy:
    """Forwards everything between a Unix socket of its own and that of a server or a pooler.

    With ``cut_reply_to``, the connection breaks once, when the reply to a message with these
    bytes arrives; by then the server has done what it was asked to do. While ``is_silent`` is
    set, it accepts everything and forwards nothing. Each reply is ``delay`` seconds late, and
    ``round_trips`` counts them.
    """

    def __init__(self, database_url: str, delay: float = 0.0):
        self.delay, self.round_trips = delay, 0
        parts = conninfo_to_dict(database_url)
        self.address: Any = str(Path(parts["host"]) / SOCKET)
        self.family = socket.AF_UNIX
        if not Path(self.address).exists():
            self.address, self.family = (parts["host"], int(parts["port"])), socket.AF_INET
        self.directory = TemporaryDirectory(prefix="proxy-")
        self.url = make_conninfo(database_url, host=self.directory.name, port=5432)
        self.cut_reply_to: bytes | None = None
        self.accepts = True
        self.is_silent = False
        self.clients: list[socket.socket] = []
        self.servers: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        self.listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        self.listener.bind(str(Path(self.directory.name) / SOCKET))
        self.listener.listen()
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self.listener, *self.clients, *self.servers):
            _shut(end)
        for thread in self.threads:
            thread.join()
        for end in (self.listener, *self.clients, *self.servers):
            end.close()
        self.directory.cleanup()

    def cut(self) -> None:
        """Break the clients' connections. The server does not notice, as when a network is cut."""
        for client in self.clients:
            _shut(client)

    def _start(self, target, *arguments) -> None:
        self.threads.append(threading.Thread(target=target, args=arguments))
        self.threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.clients.append(client)
                if not self.accepts:
                    _shut(client)
                    continue
                server = socket.socket(self.family)
                self.servers.append(server)
                server.connect(self.address)
                is_cut, waits = threading.Event(), threading.Event()
                self._start(self._to_server, client, server, is_cut, waits)
                self._start(self._to_client, client, server, is_cut, waits)

    def _to_server(self, client, server, is_cut, waits) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 20):
                waits.set()
                if self.cut_reply_to and self.cut_reply_to in data:
                    self.cut_reply_to = None
                    is_cut.set()
                if not self.is_silent:
                    server.sendall(data)

    def _to_client(self, client, server, is_cut, waits) -> None:
        with suppress(OSError):
            while (data := server.recv(1 << 20)) and not is_cut.is_set():
                if waits.is_set():
                    waits.clear()
                    self.round_trips += 1
                    time.sleep(self.delay)
                if not self.is_silent:
                    client.sendall(data)
        _shut(client)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
