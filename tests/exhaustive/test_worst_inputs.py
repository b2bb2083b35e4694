"""What an API sends may be made to take long to read: a megabyte of it must not."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property

import pytest
from scrapy.http import Response

from coinspider.errors import ForbiddenLinkError
from coinspider.http.api_errors import (
    explain_body,
    is_error_object,
    is_exhausted,
    is_refusal,
    retry_after,
)
from coinspider.http.limit.headers import limit_in_headers
from coinspider.http.links import check_link, parse_links
from coinspider.http.pagination.signs import Signs
from coinspider.records.discovery import find_cut, with_keys
from coinspider.secrets import masked
from coinspider.sources import coingecko

MEGABYTE = 1_000_000
FIELDS_MANY = 20_000
# Of this process alone, and many times what a slow machine needs: what is quadratic takes minutes.
SECONDS_MAX = 3

PIECES = [
    b"<", b"<!--", b"<title>", b"<title", b"<style ", b"<style>", b"<script", b"</title", b">",
    b"<a ", b"&#9", b"&", b"9", b"[", b"{", b'{"error":', b'{"a":1,', b'"', b"> ", b" ",
    b"error code: 1",
    b"\n", b"rate limit ", b"too ", b"per 1 ", b"month", b". ", b"\xff", b"\xc3\xa9", b"\0",
]  # fmt: skip


@contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Raise in what takes longer, counted in this process's own time."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def bodies(piece: bytes) -> list[bytes]:
    """A megabyte of it: alone, behind what begins a page, and in a message."""
    many = piece * (MEGABYTE // len(piece))
    return [many, b"<html><title>" + many, b"&#" + many, b'{"error": "' + many + b'"}']


@pytest.mark.parametrize("piece", PIECES)
def test_error_bodies_are_read_in_time(piece):
    for body in bodies(piece):
        with stopped_after(SECONDS_MAX):
            assert len(explain_body(body)) <= 300
            is_error_object(body)
            for status in (200, 403, 429):
                response = Response("https://api.example/", status=status, body=body)
                is_refusal(response)
                is_exhausted(response)
                coingecko.is_refusal(response)
                coingecko.is_exhausted(response)


HEADER_PIECES = [
    "<", "<>", '<>;a="', "<>;", "<>; ", '<>;a="\\', "<>;a=b,", ";", '"', "\\", " ", "a", "a=",
    "1;w=", "limit=", "1, ", "/", "/ ", "9", "GMT ", "?a", "?a=", "://", "://a",
    '"key": "', "&key", "@", "token=", '"token": "', "://a:", "://a:b@", '\\"token',
]  # fmt: skip
HEADERS = ("Retry-After", "Date", "RateLimit", "RateLimit-Policy", "X-RateLimit-Limit")


@pytest.mark.parametrize("piece", HEADER_PIECES)
def test_headers_and_links_are_read_in_time(piece):
    many = piece * (MEGABYTE // len(piece))
    with stopped_after(SECONDS_MAX):
        parse_links(many)
        masked(f"https://api.example/?api_key={many}")
        signs = Signs({"link": many, "content-range": many}, b"{}")
        assert not signs.totals
        assert not signs.header_link
        told = Response("https://api.example/", status=403, headers=dict.fromkeys(HEADERS, many))
        limit_in_headers(told, datetime.now(UTC))
        retry_after(told, datetime.now(UTC))
        with suppress(ForbiddenLinkError):
            check_link(f"https://api.example/{many}", "https://api.example/")


@pytest.mark.parametrize(("suffix", "value"), [("", 1), ("id", 1), ("", {"a": 1}), ("", "x")])
def test_fields_of_a_wide_record_are_not_each_looked_for(suffix, value):
    """What is looked for with each of them takes minutes."""
    record = {f"f{number}{suffix}": value for number in range(FIELDS_MANY)}
    body = json.dumps([record, record]).encode()
    with stopped_after(10 * SECONDS_MAX):
        assert with_keys(find_cut(body), body, ()).keys == ("id",)


@pytest.mark.parametrize(
    "around",
    [
        {f"n{number}": number for number in range(FIELDS_MANY)},
        {f"n{number}": {"total": number} for number in range(FIELDS_MANY)},
        {f"n{number}": {"next": f"https://api.example/{number}"} for number in range(FIELDS_MANY)},
        {"a." * 200_000: 1, "a" * 200_000 + ".next": 1},
        {f"n{number}": [{"rel": "next", "href": "x"}] for number in range(FIELDS_MANY)},
    ],
)
def test_values_around_the_records_are_read_in_time(around):
    body = json.dumps({"results": [{"id": 1}]} | around).encode()
    with stopped_after(10 * SECONDS_MAX):
        signs = Signs({}, body)
        for name, found in vars(Signs).items():
            if isinstance(found, cached_property):
                getattr(signs, name)
