"""Ports for servers that can't choose their own."""

import os
import socket
from contextlib import suppress
from itertools import count

_numbers = count(os.getpid() * 100)


def free_port() -> int:
    """A port that stays free until the server listens on it.

    The system chooses ports from 32768 up. These are below, and each test process begins at
    another one.
    """
    for number in _numbers:
        port = 11_000 + number % 21_000
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError
