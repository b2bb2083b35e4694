"""``python -m coinspider.daemon``: scrapyd, with the plain ends and the clean starts of a service.

It writes no pid file: one that a crash leaves behind names, after a restart of the machine, some
other process, and would block every start. A ``scrapyd.conf`` that can't be read is one line.
"""

import configparser
import sys

from scrapyd import Config
from scrapyd.__main__ import main as scrapyd_main


def main() -> None:
    try:
        Config()
    except (configparser.Error, UnicodeDecodeError) as error:
        raise SystemExit(f"scrapyd does not start: {' '.join(str(error).split())}") from None
    sys.argv.insert(1, "--pidfile=")
    scrapyd_main()


if __name__ == "__main__":
    main()
