"""What all stand-ins share: a list of 25 things, a registry and a server."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.helpers.http_server import Handler, Server, running

COUNT = 25
SIZE = 10
# Each thing's price has more digits than a float can hold.
PRICE = "0.0000000000001234567890123456"


def exact(text: str) -> str:
    """A number that is sent with all its digits, which a float would lose."""
    return f"@{text}@"


def as_json(value: Any) -> bytes:
    return re.sub(r'"@([^"@]+)@"', r"\1", json.dumps(value)).encode()


@dataclass
class Request:
    """The request that a stand-in gets."""

    base: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    method: str = "GET"
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.base + self.path


@dataclass
class Answer:
    """Its answer: a JSON value, a status, headers."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Api:
    """A stand-in, and how it is crawled."""

    name: str
    source: str
    answer: Callable[[Request], Any]
    arguments: dict[str, str]
    settings: dict[str, str]
    price: str | None
    """The column, or the path in ``extra`` or in a ``jsonb`` column, of the price."""
    key: str
    path: str


APIS: dict[str, Api] = {}


def api(
    name: str,
    source: str,
    *,
    key: str = "id",
    price: str | None = "price",
    settings: Mapping[str, str] | None = None,
    **arguments: str,
) -> Callable[..., Any]:
    """Register a function of a :class:`Request` under the name of an API."""

    def register(answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        path = f"/{answer.__name__}"
        if key not in ("id", "key"):
            arguments["key"] = key
        APIS[answer.__name__] = Api(
            name, source, answer, arguments, dict(settings or {}), price, key, path
        )
        return answer

    return register


def price(number: int) -> str:
    return f"{PRICE}{number:02}"


def thing(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "name": f"n{number}", "price": exact(price(number)), **more}


THINGS = [thing(number) for number in range(1, COUNT + 1)]


def refused(request: Request, header: str, value: str) -> Answer | None:
    if request.headers.get(header) == value:
        return None
    return Answer({"error": {"message": f"{header} is missing or wrong"}}, 401)


class _Handler(Handler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        port = self.server.server_port
        request = Request(
            base=f"http://127.0.0.1:{port}", path=url.path, headers=self.headers,
            query=dict(parse_qsl(url.query, keep_blank_values=True)), method=self.command,
            body=json.loads(self.rfile.read(length) or b"{}"),
        )  # fmt: skip
        found = next(a for a in APIS.values() if url.path == a.path)
        answer = found.answer(request)
        self._send(answer if isinstance(answer, Answer) else Answer(answer))

    do_POST = do_GET

    def _send(self, answer: Answer) -> None:
        self.send(answer.status, as_json(answer.body), answer.headers)


@contextmanager
def serve() -> Iterator[str]:
    """Serve all of them on a free port of this machine, and return the address."""
    with running(Server(_Handler)) as server:
        yield server.url
