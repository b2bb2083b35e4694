"""Ports for servers that have to be told theirs."""

import os
import socket
from contextlib import suppress
from itertools import count

_numbers = count(os.getpid() * 100)


def free_port() -> int:
    """A port that stays free until the server listens on it.

    What connects, or lets the system choose, gets one from 32768 on; each process of the tests
    begins at another place below.
    """
    for number in _numbers:
        port = 11_000 + number % 21_000
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError
