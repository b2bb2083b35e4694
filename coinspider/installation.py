"""Where the project's files are, and how its commands are called.

In the folder of a ``scrapy.cfg``, and below it, everything is there: data in ``.scrapy``, as Scrapy
has it. Elsewhere, which is where an installed program is used, data are in the platform's folder
for them, and the user's own files in the folder one stands in, or in ``~/.config/coinspider``.
"""

import configparser
import os
import shlex
import shutil
import sys
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.utils.conf import closest_scrapy_cfg
from scrapy.utils.project import data_path

if TYPE_CHECKING:
    from platformdirs import PlatformDirs

NAME = "coinspider"
SCRAPYD_CONF = "scrapyd.conf"
SHIPPED_CONF = Path(__file__).with_name("daemon") / SCRAPYD_CONF
# Folders that the shipped one names as they are in a project.
_FOLDERS = {"eggs_dir": "scrapyd/eggs", "logs_dir": "scrapyd/logs"}


def project_folder() -> Path | None:
    """That of the nearest ``scrapy.cfg``, or none."""
    found = closest_scrapy_cfg()
    return Path(found).parent if found else None


def data_folder(name: str) -> Path:
    """Where the data of this name are: ``postgresql``, ``logs``, ... It may not be there yet."""
    return Path(data_path(name)) if project_folder() else _platform().user_data_path / name


def own_file(name: str) -> Path:
    """Where the user's own file, such as ``.env``, is or would be.

    Only one is read: a folder of somebody else's can't send a key from ``~/.config`` elsewhere.
    """
    if folder := project_folder():
        return folder / name
    return here if (here := Path(name)).exists() else _platform().user_config_path / name


@cache
def _platform() -> "PlatformDirs":
    # 4 ms that most starts need not spend.
    from platformdirs import PlatformDirs
    from platformdirs.unix import Unix

    # The folders of macOS have a space in their path, in which PostgreSQL can't live.
    return (Unix if os.name == "posix" else PlatformDirs)(NAME, appauthor=False)


def shipped_configuration(beneath: bytes) -> bytes:
    """scrapyd's defaults with the shipped ``scrapyd.conf`` on top, for a folder without one."""
    if Path(SCRAPYD_CONF).exists():
        return beneath
    parser, text = configparser.ConfigParser(interpolation=None), StringIO()
    parser.read_string(beneath.decode())
    parser.read(SHIPPED_CONF, encoding="utf-8")
    for option, name in _FOLDERS.items():
        parser.set("scrapyd", option, str(data_folder(name)).replace("%", "%%"))
    parser.write(text)
    return text.getvalue().encode()


def program_name() -> str:
    """``coinspider`` or ``scrapy``, whichever has the commands here."""
    folder = project_folder()
    if not folder or Path(sys.argv[0]).name == NAME:
        return NAME
    # For the demo's scrapyd an installed program makes a project among its data.
    is_of_demo = folder.name == "demo" and folder.parent == _platform().user_data_path
    return NAME if is_of_demo else "scrapy"


def program(name: str = "") -> str:
    """The same, or another one, as one can type it here.

    With its path where the shell does not find this one by name; ``python -m scrapy`` where there
    is no such file.
    """
    called, name = Path(sys.argv[0]), name or program_name()
    found, neighbour = shutil.which(name), Path(sys.executable).with_name(name)
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
