"""Pages as a pagination strategy sees them."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from msgspec import Raw

from coinspider.http.pagination import AnsweredPage, LookAhead, PageRequest, Step
from coinspider.records.cutting import Cut, cut_records

URL = "https://api.example/things?vs_currency=usd"
LIST = PageRequest(URL)


def answered(
    body: Any = (),
    request: PageRequest | None = None,
    *,
    number: int = 1,
    path: Iterable[str] = (),
    look_ahead: LookAhead | None = None,
    **headers: str,
) -> AnsweredPage:
    """The answer to a request, with records at ``path``, or as the whole body."""
    cut = Cut(tuple(path), optional=True)
    request = replace(request or PageRequest(URL, number=number), cut=cut)
    text = json.dumps(body).encode()
    is_list = isinstance(body, list | tuple)
    records: list[Raw] = cut_records(text, cut) if is_list or path else []
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return AnsweredPage(request, request.url, named, text, records,
                        look_ahead=look_ahead or LookAhead())  # fmt: skip


def things(start: int, end: int) -> list[dict[str, int]]:
    return [{"id": number} for number in range(start, end)]


def query(request: PageRequest) -> dict[str, str]:
    """The parameters in a request's URL."""
    return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))


def urls(step: Step) -> list[str]:
    return [request.url for request in step.requests]
