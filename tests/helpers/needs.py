"""What some tests need and not every machine has: a program, root's rights, a device.

``@pytest.mark.needs("promtool")`` skips a test where it is missing. So does :func:`program`, the
only way in which helpers find programs. The end of a run says how many tests lacked what.
"""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.forked import PROJECT
from tests.helpers.postgres_versions import VERSIONS

DBT = PROJECT / "build/dbt/bin/python"
# Everything else is a program.
_OTHERS: dict[str, Callable[[], bool]] = {
    "root": lambda: os.geteuid() == 0,
    "IPv6": lambda: socket.has_ipv6,
    "/dev/full": Path("/dev/full").exists,
    "dbt (make dbt)": DBT.exists,
    "another PostgreSQL": lambda: bool(VERSIONS),
    "PostgreSQL 15": lambda: "15" in VERSIONS,
}
_NAMES = {"chromium": ("chromium", "chromium-browser"), "soffice": ("soffice", "libreoffice")}


def program(name: str) -> str:
    """The path of a program; without it the test is skipped."""
    need(name)
    return _path(name) or ""


def need(*names: str) -> None:
    """Skip the test unless this machine has all of them."""
    if missing := [name for name in names if not _is_there(name)]:
        pytest.skip(f"needs {' and '.join(missing)}")


def _is_there(name: str) -> bool:
    return _OTHERS[name]() if name in _OTHERS else bool(_path(name))


def _path(name: str) -> str | None:
    return next(filter(None, map(shutil.which, _NAMES.get(name, (name,)))), None)
