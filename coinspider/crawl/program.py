"""The command for a program of this environment, as the user would type it here."""

import shlex
import shutil
import sys
from pathlib import Path


def program(name: str = "scrapy") -> str:
    """``scrapy`` if the shell finds this one by name, else ``.venv/bin/scrapy`` or the like.

    ``python -m scrapy`` where there is no such file.
    """
    found = shutil.which(name)
    called, neighbour = Path(sys.argv[0]), Path(sys.executable).with_name(name)
    for own in (called, neighbour):
        if own.name != name or not own.exists():
            continue
        if found and own.samefile(found):
            return name
        return shlex.quote(_from_here(own))
    return f"{shlex.quote(_from_here(Path(sys.executable)))} -m {name}"


def _from_here(path: Path) -> str:
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
