"""PostgreSQL in other versions than the embedded one, if this machine has them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.helpers.forked import PROJECT
from tests.helpers.postgres import folder_in_memory

# Debian's, and those from tests/fetch_postgresql.py.
_PLACES = (
    Path(os.environ.get("TEST_POSTGRESQL", "/usr/lib/postgresql")).glob("*/bin"),
    (PROJECT / "build/postgresql").glob("*/package/native/bin"),
)


def _version(programs: Path) -> str:
    command = [programs / "postgres", "--version"]
    shown = subprocess.run(command, check=False, capture_output=True, text=True)
    return shown.stdout.split()[-1].partition(".")[0] if shown.returncode == 0 else ""


# The directory of the programs, by major version.
VERSIONS = {
    version: programs
    for place in _PLACES
    for programs in place
    if (programs / "initdb").exists() and (version := _version(programs))
}


@contextmanager
def server_of_version(version: str, address: str = "", **parameters: str) -> Iterator[str]:
    """Start a server of that version on a Unix socket; yield the URL of its first database.

    If an ``address`` is given, it also listens there, for everybody.
    """
    parameters |= {"listen_addresses": address, "fsync": "off"}
    with TemporaryDirectory(prefix="coinspider-", dir=folder_in_memory()) as directory:
        Path(directory).chmod(0o777)
        programs, data = VERSIONS[version], Path(directory, "data")
        run(programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
        if address:
            with (data / "pg_hba.conf").open("a") as access:
                access.write("host all all all trust\n")
        parameters["unix_socket_directories"] = directory
        options = " ".join(f"-c {name}={value}" for name, value in parameters.items())
        control(version, directory, "start", "-l", Path(directory, "log"), "-o", options)
        try:
            yield f"postgresql://postgres@/postgres?host={directory}"
        finally:
            control(version, directory, "stop", "-m", "immediate")


def control(version: str, directory: str, *command: object) -> None:
    """Start, stop or restart the server in this directory."""
    run(VERSIONS[version] / "pg_ctl", "-D", Path(directory, "data"), "-w", *command)


def run(*command: object) -> None:
    """Run one of PostgreSQL's programs, which refuse to run as root."""
    user = "nobody" if os.geteuid() == 0 else None
    subprocess.run(
        [*map(str, command)], user=user, cwd="/", check=True, stdout=subprocess.DEVNULL
    )  # fmt: skip
