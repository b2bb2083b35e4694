"""``python -m coinspider.daemon``: scrapyd as a service, with clean starts and plain errors.

It writes no pid file: after a crash and a reboot, the old file would name some other process and
block every start. Without a ``scrapyd.conf`` the shipped one holds; if there is one that can't be
read, or that is not of this project, one line says so. The files that it and its crawls write are
for this user alone.
"""

import configparser
import os
import sys
from pathlib import Path

from scrapyd import Config
from scrapyd.__main__ import main as scrapyd_main

from coinspider._compat import lay_beneath_scrapyds_files
from coinspider.installation import shipped_configuration


def main() -> None:
    os.umask(0o077)
    lay_beneath_scrapyds_files(shipped_configuration)
    try:
        config = Config()
    except (configparser.Error, UnicodeDecodeError) as error:
        raise SystemExit(f"scrapyd does not start: {' '.join(str(error).split())}") from None
    if not config.get("application", "").startswith("coinspider."):
        raise SystemExit(
            f"scrapyd does not start: the scrapyd.conf in {Path.cwd()} is not of coinspider, and a"
            " bare scrapyd would ask nobody for a password: start it in another folder"
        )
    sys.argv.insert(1, "--pidfile=")
    scrapyd_main()


if __name__ == "__main__":
    main()
