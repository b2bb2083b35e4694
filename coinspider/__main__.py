"""``coinspider``, the installed program: Scrapy's commands and this project's, in any folder."""

import difflib
import os
import pkgutil
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from scrapy.utils.project import ENVVAR

from coinspider.installation import NAME
from coinspider.text import say

_OWN, _SCRAPYS = "coinspider.commands", "scrapy.commands"


def main() -> None:
    """As ``scrapy`` in the project's folder, always with this project's settings."""
    os.environ[ENVVAR] = "coinspider.settings"
    given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if not given:
        print(f"{NAME} {_version()}")
        if "--version" not in sys.argv:
            _list_commands()
        return
    known = {*_names(_OWN), *_names(_SCRAPYS)}
    if given[0] not in known:
        near = difflib.get_close_matches(given[0], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"{NAME} lists what there is"
        say(f"{NAME}: no command {given[0]}: {hint}")
        raise SystemExit(2)
    from scrapy.cmdline import execute

    execute()


def _version() -> str:
    try:
        return version(NAME)
    except PackageNotFoundError:
        return "from a folder, not installed"


def _names(package: str) -> list[str]:
    return [found.name for found in pkgutil.iter_modules(import_module(package).__path__)]


def _list_commands() -> None:
    print(f"\nUsage: {NAME} COMMAND [options], {NAME} COMMAND --help\n")
    for name in _names(_OWN):
        command = import_module(f"{_OWN}.{name}").Command()
        print(f"  {name:<12} {command.short_desc()}")
    others = sorted({*_names(_SCRAPYS)} - {*_names(_OWN)})
    print(f"\nand Scrapy's own: {', '.join(others)}")


if __name__ == "__main__":
    main()
