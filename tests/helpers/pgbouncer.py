"""PgBouncer between a crawl and its database, as managed PostgreSQL services have it."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.helpers.needs import program
from tests.helpers.ports import free_port
from tests.helpers.processes import wait_until

CONFIGURATION = """
[databases]
* = host={host} port={port} pool_size={pool_size}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_check_delay = 0
logfile = {directory}/log
"""


@contextmanager
def pgbouncer(database_url: str, pool_size: int = 2) -> Iterator[str]:
    """Start a pooler that lends a session per transaction; yield the URL through it."""
    executable = program("pgbouncer")
    parts = conninfo_to_dict(database_url)
    listen_port = free_port()
    with TemporaryDirectory(prefix="coinspider-") as directory:
        path = Path(directory, "pgbouncer.ini")
        user = f"user={parts['user']}" + (f" password={p}" if (p := parts.get("password")) else "")
        text = CONFIGURATION.format(
            host=parts["host"],
            port=parts.get("port", 5432),
            pool_size=pool_size,
            listen_port=listen_port,
            directory=directory,
        ).replace("pool_size=", f"{user} pool_size=")
        path.write_text(text)
        for own in (path.parent, path):
            own.chmod(0o777)
        # It refuses to run as root; the embedded server's user can reach its socket.
        with subprocess.Popen(
            [executable, "-q", path],
            **_own_user(Path(parts["host"])),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                wait_until(lambda: _answers(listen_port))
                yield make_conninfo(
                    host="127.0.0.1", port=listen_port, dbname=parts["dbname"], user=parts["user"]
                )
            finally:
                process.terminate()


def _own_user(socket_directory: Path) -> dict[str, Any]:
    """The arguments for a process of the user who can reach the socket, without root's groups."""
    if os.geteuid() != 0:
        return {}
    owner = socket_directory.stat() if socket_directory.exists() else None
    if not (owner and owner.st_uid):
        return {"user": "nobody"}
    return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
