"""The embedded PostgreSQL after accidents of its machine."""

import json
import os
import signal
import stat
from contextlib import nullcontext
from pathlib import Path
from pwd import getpwnam
from subprocess import CalledProcessError
from threading import Lock
from types import SimpleNamespace

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from coinspider._compat import SERVER_USER, forget_dead_users
from coinspider.errors import ConfigurationError, DatabaseUnreachableError
from coinspider.store import embedded_server
from coinspider.store.embedded_server import start_embedded_server
from tests.helpers.postgres import postmaster
from tests.helpers.processes import wait_until


def test_server_that_was_killed_starts_again_with_its_data(data_directory):
    url = start_embedded_server(data_directory)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    for sign in (signal.SIGKILL, signal.SIGINT):
        pid = postmaster(data_directory)
        os.kill(pid, sign)
        wait_until(lambda pid=pid: not psutil.pid_exists(pid))
        with psycopg.connect(start_embedded_server(data_directory)) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]
    # As after a restart of the machine: another process has this number now.
    file = data_directory / "postmaster.pid"
    text = file.read_text()
    os.kill(postmaster(data_directory), signal.SIGINT)
    wait_until(lambda: not file.exists())
    file.write_text(text.replace(text.split("\n")[0], str(os.getpid())))
    with psycopg.connect(start_embedded_server(data_directory)) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_running_server_is_left_running(data_directory):
    start_embedded_server(data_directory)
    pid = postmaster(data_directory)
    start_embedded_server(data_directory)
    assert postmaster(data_directory) == pid


def test_server_that_can_not_start_says_why_and_is_tried_once(data_directory, caplog):
    start_embedded_server(data_directory)
    os.kill(pid := postmaster(data_directory), signal.SIGINT)
    wait_until(lambda: not psutil.pid_exists(pid))
    with (data_directory / "postgresql.conf").open("a") as file:
        file.write("max_connections = many\n")
    reason = r"did not start: configuration file .* contains errors \(its log is .*/log\)$"
    with pytest.raises(DatabaseUnreachableError, match=reason):
        start_embedded_server(data_directory)
    assert (data_directory / "log").read_text().count("contains errors") == 1
    assert not caplog.records


@pytest.mark.parametrize(("status", "is_told"), [(0, False), (9, False), (1, True)])
def test_user_that_another_process_makes_at_the_same_time_is_used(
    tmp_path, monkeypatch, status, is_told
):
    """As when several crawls are the first ones on a machine."""
    program = tmp_path / "useradd"
    program.write_text(f"#!/bin/sh\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(embedded_server, "SERVER_USER", "coinspider-no-one")
    with pytest.raises(CalledProcessError) if is_told else nullcontext():
        embedded_server._make_user()


@pytest.mark.needs("root")
def test_folders_above_the_data_stay_closed_to_all_but_the_servers_user(data_directory):
    project = data_directory.parent / "project"
    project.mkdir(mode=0o700)
    with psycopg.connect(start_embedded_server(project / ".scrapy" / "postgresql")) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    found = project.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o710, 0)
    assert found.st_gid == getpwnam(SERVER_USER).pw_gid
    os.chown(project, 12_345, 12_345)
    project.chmod(0o700)
    with pytest.raises(ConfigurationError, match=f"may not pass through {project}: "):
        start_embedded_server(project / "other")
    assert stat.S_IMODE(project.stat().st_mode) == 0o700


def test_socket_is_its_users_alone_also_with_a_long_path(data_directory, tmp_path, monkeypatch):
    short = tmp_path.parent.parent
    monkeypatch.setattr("tempfile.tempdir", str(short))
    long = data_directory.parent / ("x" * 100) / "postgresql"
    url = start_embedded_server(long)
    socket = Path(conninfo_to_dict(url)["host"], ".s.PGSQL.5432")
    assert socket.is_relative_to(short / f"coinspider-{os.geteuid()}")
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW unix_socket_permissions").fetchall() == [("0700",)]


def test_folder_for_the_socket_that_others_can_change_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = embedded_server.socket_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match="which others can change"):
        embedded_server.socket_folder()


@pytest.mark.parametrize("text", ["[1, 4194305]", "[1] 2]", ""])
def test_list_of_users_is_changed_under_the_servers_lock(tmp_path, text):
    """Who reads it while it is written finds no users, and stops the server."""

    class Users(embedded_server._pgserver().utils.DiskList):
        def put(self, values):
            assert lock.locked()
            super().put(values)

    lock, users = Lock(), Users(tmp_path / "users")
    users.path.write_text(text)
    forget_dead_users(SimpleNamespace(_lock=lock, global_process_id_list=users))
    assert json.loads(users.path.read_text()) == ([1] if text.endswith("4194305]") else [])
