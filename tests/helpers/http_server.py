"""HTTP servers on this machine, each for as long as a test needs it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import MappingProxyType
from typing import Any, TypeVar

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
# Seconds between two looks of a server whether it has to end.
POLL = 0.05


class Handler(BaseHTTPRequestHandler):
    """Sends whole answers, and logs nothing: the tests print only failures."""

    def send(self, status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Send an answer; a ``Content-Length`` in the headers may be a wrong one."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A server on a free port."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]):
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


ServerT = TypeVar("ServerT", bound=ThreadingHTTPServer)


@contextmanager
def running(server: ServerT) -> Iterator[ServerT]:
    """Serve in a thread until the end of the block."""
    thread = Thread(target=server.serve_forever, args=[POLL], daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
