"""Answers that never come, never end, or end too soon: the crawl ends with one line each."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread

import pytest

from tests.helpers.processes import CLEAN, PROJECT

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
MANY = 1000  # so that a crawl that takes them all has a bounded size
RESET = struct.pack("ii", 1, 0)


def answer_silent(client):
    client.recv(1)


def answer_slowly(client):
    client.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        client.sendall(b" ")
        time.sleep(0.05)


def answer_without_end(client):
    client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        client.sendall(b"1000\r\n" + b" " * 0x1000 + b"\r\n")


def answer_to_the_close(client):
    client.sendall(HEAD + b"Connection: close\r\n\r\n")
    while True:
        client.sendall(b" " * 4096)


def answer_with_headers(client):
    client.sendall(HEAD)
    for _ in range(MANY):
        client.sendall(b"".join(b"X-%d: %s\r\n" % (n, b"x" * 1000) for n in range(64)))
    client.recv(1)


def answer_with_one_header(client):
    client.sendall(HEAD + b"X: y\r\n")
    for _ in range(MANY):
        client.sendall((b" " + b"x" * 1000 + b"\r\n") * 64)
    client.recv(1)


def answer_to_go_on(client):
    for _ in range(MANY):
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
    client.recv(1)


def answer_large(client):
    client.sendall(HEAD + b"Content-Length: 999999999999\r\n\r\n[")
    client.recv(1)


def answer_short(client):
    client.sendall(HEAD + b'Content-Length: 1000\r\n\r\n[{"id": 1}]')


def answer_reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


TOO_LONG = "it was not complete within DOWNLOAD_TIMEOUT=0.5 seconds"
TOO_LARGE = "it is larger than DOWNLOAD_MAXSIZE=100000 bytes"
LARGE_HEADERS = "its headers are larger than 128 kB"
ANSWERS = {
    "silent": (answer_silent, TOO_LONG),
    "slow": (answer_slowly, TOO_LONG),
    "endless chunks": (answer_without_end, TOO_LARGE),
    "endless": (answer_to_the_close, TOO_LARGE),
    "endless headers": (answer_with_headers, LARGE_HEADERS),
    "an endless header": (answer_with_one_header, LARGE_HEADERS),
    "endless status 100": (answer_to_go_on, LARGE_HEADERS),
    "a length of a terabyte": (answer_large, TOO_LARGE),
    "cut short": (answer_short, "the connection ended before the page was whole"),
    "reset": (answer_reset, "no answer came: Connection to the other side was lost"),
}


@contextmanager
def serving(answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client, suppress(OSError):
                        client.recv(65536)
                        answer(client)

        Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x"


@pytest.fixture(scope="module")
def outcomes():
    """The last line of a crawl of each API, all in one process."""
    with ExitStack() as servers:
        jobs = []
        for answer, line in ANSWERS.values():
            settings = {"DOWNLOAD_MAXSIZE": 100_000, "RETRY_TIMES": 0,
                        "DOWNLOAD_TIMEOUT": 0.5 if line is TOO_LONG else 60}  # fmt: skip
            arguments = {"url": servers.enter_context(serving(answer)), "table": "x"}
            jobs.append({"arguments": arguments, "settings": settings})
        done = subprocess.run(
            [sys.executable, "-m", "tests.helpers.crawl_many"], cwd=PROJECT,
            input=json.dumps(jobs), env=os.environ | CLEAN | {"POSTGRES_ENABLED": "0"},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(jobs), done.stderr[-2000:]
    return dict(zip(ANSWERS, lines, strict=True))


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_without_an_end_fails_the_crawl_with_one_line(outcomes, name):
    outcome, line = outcomes[name]
    assert outcome == "failed"
    assert ANSWERS[name][1] in line
    assert "\n" not in line
