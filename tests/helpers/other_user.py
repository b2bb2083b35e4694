"""Programs run as an ordinary user, or with separate mounts; these tests need root."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.processes import PROJECT

USER = "coinspider-test"
# What :func:`with_mounts` and :func:`make_user` use.
NEEDS_ROOT = pytest.mark.needs("root", "unshare", "useradd", "setpriv")
AS_USER = f"setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs"


def make_user() -> None:
    """Make an ordinary user whose home does not exist."""
    made = subprocess.run(["useradd", "--system", "--no-create-home", USER], check=False)
    assert made.returncode in (0, 9)  # 9: it exists
    assert not Path(f"/home/{USER}").exists()


def own(path: Path) -> None:
    shutil.chown(path, USER, USER)


def with_mounts(script: str, *arguments: str) -> list[str]:
    """The command for a shell script in a separate mount namespace."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", *arguments]


def opened() -> str:
    """For such a script: let others reach Python and the project if root's home contains them."""
    needed = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), PROJECT}
    closed = {ancestor: path for path in needed if (ancestor := _closed_ancestor(path))}
    inside = [path for path in sorted(needed) if _closed_ancestor(path) in closed]
    lines = ["opened=/mnt", 'mount -t tmpfs -o mode=755 none "$opened"']
    for number, path in enumerate(inside):
        lines += [f'mkdir "$opened/{number}"', f'mount --rbind "{path}" "$opened/{number}"']
    lines += [f'mount -t tmpfs -o mode=755 none "{ancestor}"' for ancestor in closed]
    for number, path in enumerate(inside):
        lines += [f'mkdir -p "{path}"', f'mount --rbind "$opened/{number}" "{path}"']
    return "\n".join([*lines, ""]) if closed else ""


def _closed_ancestor(path: Path) -> Path | None:
    return next((a for a in reversed(path.parents) if not a.stat().st_mode & 0o001), None)
